"""How a command ends: with its result, with one sentence, or with a traceback and a plea.

What a user can mend is told in one line on stderr, with exit
code 2, and `--debug` shows its traceback as well. Anything else is an error of this package and
keeps its traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from ..apis.child_commands import MISTAKE
from ..launched import is_first
from ..printing import printable
from ..version import __version__
from .causes import Mistake, find_cause

#: Seconds that other processes of a job wait for the first to speak.
_PATIENCE = 2.0
REPORT = (
    f'This is an error of mmseg_picie {__version__} itself. Please report it in its issue tracker, '
    'with this traceback, the command and the config.'
)


class CommandParser(argparse.ArgumentParser):
    """A parser that shows the usage where a word is wrong, and a sentence where a value is.

    While words are parsed, `error` is argparse's. Afterwards it raises a :class:`Mistake`.

    Args:
        kwargs: As of ``ArgumentParser``. Options cannot be abbreviated, so that `--resum` is not
            taken for `--resume`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)
        self._is_parsed = False

    def parse_words(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse the words of a command line."""
        args = self.parse_args(words)
        self._is_parsed = True
        return args

    def error(self, message: str) -> NoReturn:
        """Refuse a word, or what it stands for."""
        if self._is_parsed:
            raise Mistake(message)
        super().error(printable(message))


@contextmanager
def end_in_a_sentence(program: str, args: argparse.Namespace) -> Iterator[None]:
    """Within, errors end the process as a command is to end.

    Args:
        program: What the line begins with, such as 'picie train'.
        args: Parsed arguments: `debug`, and `config` if the command has one.

    Raises:
        SystemExit: With :data:`MISTAKE`.
    """
    try:
        yield
    except BrokenPipeError:  # what reads the output has ended, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        cause = find_cause(error, getattr(args, 'config', None))
        if cause is None:
            _ask_for_report(error)
            raise
        if getattr(args, 'debug', False):
            traceback.print_exception(error)
        _let_first_rank_speak()
        tell(program, f'error: {cause}')
        if _is_distributed():
            os._exit(MISTAKE)  # the threads of gloo would abort a process that ends in order
        raise SystemExit(MISTAKE) from None


def tell(program: str, sentence: str) -> None:
    """Write a line to stderr, behind all that was printed."""
    sys.stdout.flush()
    print(printable(f'{program}: {sentence}'), file=sys.stderr, flush=True)


def _is_distributed() -> bool:
    """Whether this process is one of several of a job."""
    distributed: Any = sys.modules.get('torch.distributed')
    if distributed is None or not (distributed.is_available() and distributed.is_initialized()):
        return False
    return distributed.get_world_size() > 1


def _let_first_rank_speak() -> None:
    """Wait in other processes of a job: if the first has the same to say, it ends the job."""
    if not is_first():
        time.sleep(_PATIENCE)


def _ask_for_report(error: Exception) -> None:
    """Let the traceback end with where to report it."""
    if hasattr(error, 'add_note'):
        error.add_note(REPORT)
    else:  # Python 3.10
        print(REPORT, file=sys.stderr)
