"""Keep the toolbox's messages out of the terminal, and in the log file."""

import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from mmengine.dist import is_main_process
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from ..toolbox import without_notices

#: How the toolbox's warnings begin that no user can act on.
NOTICES = (
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    '"file_client_args" will be deprecated',
    '`resume_param_scheduler` is True but',
    '`save_param_scheduler` is True but',
    'Attribute `_fully_initialized`',
    'Failed to search registry',
    'Fast sampler-level resume is unavailable',
    'Please call `full_init',
    'Reach the end of the dataloader',
    'The prefix is not set in metric class',
    'init_weights of ',
)
#: The classifier of a network that was trained on ImageNet, which no segmentor needs.
_CLASSIFIER = re.compile(
    r'The model and loaded state dict do not match exactly\s+'
    r'unexpected key in source state_dict: ((fc|head|classifier)\.(weight|bias)(, )?)+\s*'
)
_TOOLBOX_FILE = re.compile(r'[/\\](mmengine|mmcv|mmseg)[/\\]')


class _Handler(logging.Handler):
    """Shows warnings and errors on the standard error of the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        text = record.getMessage()
        is_notice = text.startswith(NOTICES) or _CLASSIFIER.fullmatch(text)
        if record.levelno >= logging.ERROR or not is_notice:
            print(self.format(record), file=sys.stderr, flush=True)


def hide_log(logger: logging.Logger) -> None:
    """Let a logger of the toolbox show warnings and errors only; its log file stays whole.

    Args:
        logger (Logger): changed in place.
    """
    handler = _Handler(logging.WARNING if is_main_process() else logging.ERROR)
    handler.setFormatter(logging.Formatter('%(levelname)s: %(message)s'))
    files = [found for found in logger.handlers if isinstance(found, logging.FileHandler)]
    for found in logger.handlers:
        if found not in files:  # a warning that was shown is not shown again
            handler.filters += found.filters
    logger.handlers[:] = [*files, handler]


@contextmanager
def quiet_toolbox() -> Iterator[None]:
    """Within, the toolbox's messages that are not for a user to act on stay out of the terminal.

    Python's warnings out of the toolbox's own files go to the log of the run. Runners need a
    :class:`QuietLog` beside.
    """
    logger = MMLogger.get_current_instance()
    before = logger.handlers[:]
    hide_log(logger)
    with warnings.catch_warnings():
        show = warnings.showwarning

        def log_or_show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if _TOOLBOX_FILE.search(filename):
                MMLogger.get_current_instance().info(f'{category.__name__}: {message}')
            else:
                show(message, category, filename, lineno, file, line)

        warnings.showwarning = log_or_show
        try:
            yield
        finally:
            logger.handlers[:] = before


class QuietLog(Runner):
    """A runner whose log goes to its file only, from the first line on."""

    def build_logger(
        self, log_level: int | str = 'INFO', log_file: str | None = None, **kwargs: Any
    ) -> MMLogger:
        """Build the logger, and hide it."""
        logger = super().build_logger(log_level, log_file, **kwargs)
        hide_log(logger)
        return logger

    def load_or_resume(self) -> None:
        """Load without the line that mmengine prints rather than logs."""
        with without_notices():
            super().load_or_resume()
