"""What a run shows on the terminal while it works."""

import atexit
from collections.abc import Iterable, Iterator
from functools import cache
from typing import ClassVar, TypeVar

from mmengine.dist import is_main_process
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..launched import is_first

Item = TypeVar('Item')


@cache
def get_console() -> Console:
    """The console that everything is shown on.

    It is made at its first use, as it looks then whether the standard output is a terminal; while
    the toolbox is imported it is not.
    """
    return Console(highlight=False, soft_wrap=True)


class Bar:
    """A progress bar with the time left, which goes when it is done; only one at a time.

    Where there is no terminal it is a line at its start. Other processes than the main one show
    nothing.

    Args:
        description (str): what is done.
        total (int): steps.
        done (int): steps that are done already.
    """

    _shown: ClassVar['Bar | None'] = None

    def __init__(self, description: str, total: int, done: int = 0) -> None:
        if Bar._shown is not None:  # an error has left it
            Bar._shown.stop()
        self._progress: Progress | None = None
        if not (is_main_process() and is_first()):
            return
        console = get_console()
        if not (console.is_terminal and console.is_interactive):
            say(f'{description} ...')
            return
        self._progress = Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            refresh_per_second=4,
        )
        self._task = self._progress.add_task(description, total=total, completed=done)
        self._progress.start()
        Bar._shown = self
        atexit.register(self._progress.stop)  # an error must not leave the cursor hidden

    def advance(self) -> None:
        """Count a step."""
        if self._progress is not None:
            self._progress.advance(self._task)

    def stop(self) -> None:
        """Take the bar away; doing it again changes nothing."""
        if self._progress is not None:
            self._progress.stop()
            atexit.unregister(self._progress.stop)
            self._progress = Bar._shown = None


def track(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """The items, with a :class:`Bar`.

    Args:
        items (Iterable): to go through.
        description (str): what is done with them.
        total (int): their number.

    Yields:
        Item: each of them.
    """
    bar = Bar(description, total)
    try:
        for item in items:
            yield item
            bar.advance()
    finally:
        bar.stop()


def say(text: str) -> None:
    """Print a line, on the main process.

    Args:
        text (str): plain text; brackets have no meaning in it.
    """
    if is_main_process():
        get_console().print(text, markup=False)
        get_console().file.flush()
