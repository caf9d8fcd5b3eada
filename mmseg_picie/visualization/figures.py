"""Figures of matplotlib that are written whole, whatever stands in their titles."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..printing import printable
from ..whole_files import write_whole

#: Files to write: one picture in several formats, told by their suffixes .png and .svg.
Paths = str | Path | Sequence[Path]


@contextmanager
def open_figure(
    paths: Paths, size: tuple[float, float], title: str = '', dpi: int = 110
) -> Iterator[Any]:
    """A figure to draw on, which is then written, each file complete or not at all.

    Args:
        paths (str, Path or Sequence[Path]): files.
        size (tuple[float, float]): width and height in inches.
        title (str): above all plots; may hold the name of any file.
        dpi (int): pixels an inch.

    Yields:
        Figure: of matplotlib.
    """
    import matplotlib  # takes half a second
    from matplotlib.figure import Figure

    title = printable(title)
    # A $ in a name is no formula, and the same plot is the same file.
    with matplotlib.rc_context({'text.parse_math': False, 'svg.hashsalt': 'picie'}):
        figure = Figure(figsize=size, layout='constrained')
        if title:
            figure.suptitle(title, fontsize='medium')
        yield figure
        for path in [paths] if isinstance(paths, str | Path) else paths:
            kind, content = Path(path).suffix[1:], io.BytesIO()
            stamp = {'Date': None} if kind == 'svg' else {}
            figure.savefig(content, format=kind, dpi=dpi, metadata={'Title': title, **stamp})
            write_whole(path, content.getvalue())
