"""A process that was started by a command ends when that is gone, however it went."""

from __future__ import annotations

import os
import signal
import threading
import time

_VARIABLE = 'MMSEG_PICIE_PARENT'
_SECONDS = 1.0
_known = ''  # what the variable has held


def make_environment() -> dict[str, str]:
    """Make the environment of a command that this process starts."""
    return os.environ | {_VARIABLE: str(os.getpid())}


def has_parent() -> bool:
    """Whether a command has started this process, and is there."""
    return (_known or os.environ.get(_VARIABLE)) == str(os.getppid())


def end_with_parent() -> None:
    """Send this process SIGTERM once the process that started it with such an environment is gone.

    A command that is killed cannot end those that it runs. They would go on, and hold the locks of
    their folders when the command is started again.
    """
    global _known
    _known = os.environ.pop(_VARIABLE, '')  # it is of no concern to what this process starts
    if has_parent():
        threading.Thread(target=_watch, daemon=True).start()
    elif _known:  # gone already
        os.kill(os.getpid(), signal.SIGTERM)


def _watch() -> None:
    while has_parent():
        time.sleep(_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
