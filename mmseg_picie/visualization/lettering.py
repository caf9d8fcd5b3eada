"""Text in pictures: a font that is there with matplotlib, at any size."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..printing import printable

# Letters of a name that are shown, as names come from files.
_MAX_LETTERS = 48


@cache
def get_font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which has Latin, Greek, Cyrillic and more.

    Args:
        size (int): height of a line in pixels, about.
    """
    import matplotlib

    path = Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')
    return ImageFont.truetype(str(path), size)


def to_line(text: str) -> str:
    """A name as a line that is not too long, whatever it holds.

    Args:
        text (str): the name.
    """
    line = printable(text[: _MAX_LETTERS + 1])
    return line if len(line) <= _MAX_LETTERS else line[: _MAX_LETTERS - 1] + '\u2026'


def measure_text(text: str, size: int) -> tuple[int, int]:
    """(height, width) of a line of text in pixels; its height is the same for all texts.

    Args:
        text (str): see :func:`to_line`.
        size (int): of :func:`get_font`.
    """
    font = get_font(size)
    return sum(font.getmetrics()), int(np.ceil(font.getlength(to_line(text))))


def write_text(
    picture: NDArray[np.uint8],
    text: str,
    corner: tuple[int, int],
    size: int,
    colour: tuple[int, int, int],
    rim: tuple[int, int, int] | None = None,
) -> None:
    """Write a line of text.

    Args:
        picture (NDArray): (H, W, 3) uint8, written into; what goes beyond is cut off.
        text (str): see :func:`to_line`.
        corner (tuple[int, int]): (y, x) of its upper left corner.
        size (int): of :func:`get_font`.
        colour (tuple): of the letters.
        rim (tuple, optional): colour of a rim around them, by which they are seen on any ground.
    """
    margin = max(1, size // 8)
    height, width = measure_text(text, size)
    top, left = (max(0, place - margin) for place in corner)
    window = picture[top : corner[0] + height + margin, left : corner[1] + width + margin]
    if not window.size:
        return
    letters = Image.fromarray(np.ascontiguousarray(window))
    ImageDraw.Draw(letters).text(
        (corner[1] - left, corner[0] - top),
        to_line(text),
        fill=colour,
        font=get_font(size),
        stroke_width=0 if rim is None else margin,
        stroke_fill=rim,
    )
    window[:] = np.asarray(letters)
