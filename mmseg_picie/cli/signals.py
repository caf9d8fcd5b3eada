"""SIGINT and SIGTERM end a command soon, in order, and with one line."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from ..launched import is_first
from ..parents import has_parent

#: Signals that end a command -> how they are called.
SIGNALS = {signal.SIGINT: 'Ctrl-C (SIGINT)', signal.SIGTERM: 'SIGTERM'}
#: Seconds that a command has to end in order, before it ends at once: a step of a network on a CPU
#: may take longer, and Python hears of a signal only between two steps. A command that runs others
#: waits for them.
PATIENCE, PATIENCE_OF_PARENTS = 1.0, 1.7


class Stopped(KeyboardInterrupt):
    """A signal has asked the command to end.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def stop_on_signals(program: str, has_children: bool = False) -> Iterator[None]:
    """Within, a signal ends the command with one line, at once if an orderly end takes too long.

    To be used in the main thread, by a process that is there for one command. Processes that it
    forks, such as the workers of a data loader, leave Ctrl-C to it.

    Args:
        program: What the line begins with.
        has_children: Whether it runs other commands, which end first.

    Raises:
        SystemExit: With 128 and the number of the signal.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in SIGNALS:
        signal.signal(number, _raise)
    os.register_at_fork(after_in_child=_leave_to_parent)
    told = threading.Event()
    patience = PATIENCE_OF_PARENTS if has_children else PATIENCE
    threading.Thread(target=_watch, args=(reading, program, patience, told), daemon=True).start()
    try:
        yield
    except Stopped as stop:
        told.set()
        with suppress(OSError):  # nobody reads any more
            sys.stdout.flush()
        _tell(program, stop.number)
        _end_workers()
        raise SystemExit(128 + stop.number) from None
    finally:
        for number in SIGNALS:  # from here on there is nothing to do in order
            signal.signal(number, signal.SIG_DFL)


def _raise(number: int, frame: FrameType | None) -> None:
    """Stop the command; a second signal while it ends changes nothing."""
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


def _leave_to_parent() -> None:
    """In a forked process: Ctrl-C reaches it too, and its parent will end it."""
    with suppress(ValueError):  # not the main thread
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _watch(reading: int, program: str, patience: float, told: threading.Event) -> None:
    """End the process if it does not end by itself after a signal."""
    number = 0
    while number not in SIGNALS:  # others, such as a child's end, are written there as well
        number = os.read(reading, 1)[0]
    time.sleep(patience)
    if not told.is_set():
        _tell(program, number)
    _end_workers()
    os._exit(128 + number)


def _tell(program: str, number: int) -> None:
    """Write the line, past all buffers: the main thread may hold their locks."""
    # The first process of a distributed job says it, and the command that has started this one.
    if not is_first() or has_parent():
        return
    show_cursor = '\x1b[?25h' if os.isatty(2) else ''  # a progress bar hides it
    line = (
        f'{show_cursor}{program}: stopped by {SIGNALS[signal.Signals(number)]}; what was written '
    )
    with suppress(OSError):
        os.write(2, f'{line}is whole\n'.encode())


def _end_workers() -> None:
    """End the processes that were forked, such as the workers of a data loader."""
    multiprocessing = sys.modules.get('multiprocessing')
    if multiprocessing is not None:
        for worker in multiprocessing.active_children():
            worker.terminate()
