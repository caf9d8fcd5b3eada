"""Legends and titles beside pictures."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .lettering import measure_text, write_text
from .segment_painting import text_size

_PAPER, _INK = 255, (20, 20, 20)


class Entry(NamedTuple):
    """A line of a legend.

    Attributes:
        text (str): its name.
        colour (Sequence[int]): in the order of the picture.
    """

    text: str
    colour: Sequence[int]


def list_entries(
    ids: NDArray, names: Sequence[str], palette: Sequence[Sequence[int]]
) -> list[Entry]:
    """The segments in a picture, the largest first, with their shares of its pixels.

    Args:
        ids (NDArray): (H, W) integers from 0; those beyond the names are left out.
        names (Sequence[str]): by id. Ids of one name and colour are one entry.
        palette (Sequence): by id a colour.

    Returns:
        list[Entry]: such as 'road 41 %'.
    """
    rows = max(1, (1 << 22) // max(1, ids.shape[1]))
    counts = np.zeros(len(names), np.int64)
    for top in range(0, len(ids), rows):
        part = ids[top : top + rows]
        counts += np.bincount(part[part < len(names)].ravel(), minlength=len(names))
    found: dict[tuple, int] = {}
    for number in np.flatnonzero(counts).tolist():
        key = (names[number], tuple(int(value) for value in palette[number]))
        found[key] = found.get(key, 0) + int(counts[number])
    largest = sorted(found.items(), key=lambda item: -item[1])
    return [
        Entry(f'{name} {_percent(count / ids.size)}', colour) for (name, colour), count in largest
    ]


def add_legend(picture: NDArray[np.uint8], entries: Sequence[Entry]) -> NDArray[np.uint8]:
    """Put a legend below a picture, or beside it if it is higher than wide.

    The picture stays as it is in the upper left corner. Letters are as large as the picture asks
    for, and never too small to be read; a picture that is too small for its legend gets margins.

    Args:
        picture (NDArray): (H, W, 3) uint8.
        entries (Sequence[Entry]): perhaps none.

    Returns:
        NDArray: (H', W', 3) uint8.
    """
    if not entries:
        return picture
    height, width = picture.shape[:2]
    size = text_size(picture)
    if height > width:
        legend = _draw_entries(entries, size, lines=max(1, (height - size) // _line(size)))
        canvas = np.full((max(height, len(legend)), width + legend.shape[1], 3), _PAPER, np.uint8)
        canvas[: len(legend), width:] = legend
    else:
        wide = max(_entry_width(entry, size) for entry in entries)
        columns = max(1, (width - size // 2) // wide)
        legend = _draw_entries(entries, size, lines=-(-len(entries) // columns))
        canvas = np.full((height + len(legend), max(width, legend.shape[1]), 3), _PAPER, np.uint8)
        canvas[height:, : legend.shape[1]] = legend
    canvas[:height, :width] = picture
    return canvas


def add_titles(
    pictures: Sequence[NDArray[np.uint8]], titles: Sequence[str], gap: int = 6
) -> NDArray[np.uint8]:
    """Put pictures of one height side by side, each below its title.

    Args:
        pictures (Sequence[NDArray]): (H, W, 3) uint8.
        titles (Sequence[str]): one for each.
        gap (int): white pixels between them.

    Returns:
        NDArray: (H', W', 3) uint8.
    """
    size = text_size(np.concatenate(pictures, axis=1))
    while size > 8 and any(
        measure_text(title, size)[1] > picture.shape[1]
        for picture, title in zip(pictures, titles, strict=True)
    ):
        size -= 1
    line = _line(size)
    columns = []
    for picture, title in zip(pictures, titles, strict=True):
        head = np.full((line, picture.shape[1], 3), _PAPER, np.uint8)
        _, width = measure_text(title, size)
        write_text(head, title, (0, max(0, (picture.shape[1] - width) // 2)), size, _INK)
        columns += [np.concatenate([head, picture]), _blank(line + len(picture), gap)]
    return np.concatenate(columns[:-1], axis=1)


def _draw_entries(entries: Sequence[Entry], size: int, lines: int) -> NDArray[np.uint8]:
    """Entries in columns of so many lines at most, downwards."""
    columns = [entries[i : i + lines] for i in range(0, len(entries), lines)]
    widths = [max(_entry_width(entry, size) for entry in column) for column in columns]
    margin = size // 2
    high = min(lines, len(entries)) * _line(size) + margin
    legend = _blank(high, sum(widths) + margin)
    left = margin
    for column, wide in zip(columns, widths, strict=True):
        for number, entry in enumerate(column):
            top = margin // 2 + number * _line(size)
            swatch = legend[top + size // 4 : top + size // 4 + size, left : left + size]
            swatch[:] = _INK  # a rim, as a colour may be white
            rim = max(1, size // 12)
            swatch[rim:-rim, rim:-rim] = entry.colour
            write_text(legend, entry.text, (top, left + size + margin), size, _INK)
        left += wide
    return legend


def _entry_width(entry: Entry, size: int) -> int:
    """Pixels of an entry with its swatch and what divides it from the next."""
    return measure_text(entry.text, size)[1] + 3 * size


def _line(size: int) -> int:
    """Height of a line of text with its share of the space between lines."""
    return round(1.5 * size)


def _percent(share: float) -> str:
    """A share, such as '41 %', or '< 1 %' of what is hardly there."""
    return '< 1 %' if share < 0.01 else f'{100 * share:.0f} %'


def _blank(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), _PAPER, np.uint8)
