"""Segments painted over a picture: colours, outlines and names. Nothing is done pixel by pixel."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .lettering import measure_text, write_text

# Pixels that are coloured at once, which bounds the memory.
_AT_ONCE = 1 << 22
#: A name in a picture is written where the widest place of its segments is this share of its width.
_MIN_FIT = 0.8


def paint_segments(
    picture: NDArray[np.uint8],
    ids: NDArray,
    palette: Sequence[Sequence[int]],
    opacity: float,
    outlines: bool = False,
) -> NDArray[np.uint8]:
    """Paint segments over a picture.

    Args:
        picture (NDArray): (H, W, 3) uint8.
        ids (NDArray): (H, W) integers from 0.
        palette (Sequence): by id a colour, in the picture's order. Ids beyond it are painted black.
        opacity (float): of the colours, in (0, 1].
        outlines (bool): whether to draw lines between segments, dark on what is light and light on
            what is dark.

    Returns:
        NDArray: (H, W, 3) uint8.
    """
    colours = np.array([*palette, (0, 0, 0)], np.uint8)
    painted = np.empty_like(picture)
    rows = max(1, _AT_ONCE // max(1, picture.shape[1]))
    for top in range(0, len(picture), rows):
        part = slice(top, top + rows)
        table = np.minimum(ids[part], len(palette))
        painted[part] = cv2.addWeighted(
            picture[part], 1 - opacity, np.take(colours, table, axis=0), opacity, 0
        )
    if outlines:
        _draw_outlines(painted, ids)
    return painted


def _draw_outlines(painted: NDArray[np.uint8], ids: NDArray) -> None:
    """Draw lines between segments, as wide as the picture needs to show them."""
    wide = 1 + min(painted.shape[:2]) // 700
    rows = max(1, _AT_ONCE // max(1, painted.shape[1]))
    for top in range(0, len(painted), rows):
        start = max(0, top - wide)
        part = ids[start : top + rows + wide]
        edge: NDArray = np.zeros(part.shape, np.uint8)
        edge[:, :-1] |= part[:, 1:] != part[:, :-1]
        edge[:-1] |= part[1:] != part[:-1]
        if wide > 1:
            edge = cv2.dilate(edge, np.ones((wide, wide), np.uint8))
        edge = edge[top - start :][:rows].astype(bool)
        window = painted[top : top + rows]
        ground = window[edge]
        window[edge] = np.where(ground.mean(1, keepdims=True) > 110, 0, 255)


def write_names(painted: NDArray[np.uint8], ids: NDArray, names: Sequence[str]) -> None:
    """Write names into segments: each once, where its segments are widest, if it fits in there.

    Args:
        painted (NDArray): (H, W, 3) uint8, written into.
        ids (NDArray): (H, W) integers from 0; those beyond the names have none.
        names (Sequence[str]): by id.
    """
    size = text_size(painted)
    # Places need not be exact: a small map of the segments finds them soon.
    step = max(1, min(ids.shape) // 480)
    small = np.ascontiguousarray(ids[::step, ::step])
    for number in np.unique(small):
        if number >= len(names):
            continue
        (y, x), radius = find_widest((small == number).astype(np.uint8))
        height, width = measure_text(names[number], size)
        if 2 * radius * step < max(_MIN_FIT * width, height):
            continue
        corner = (
            _within(y * step - height // 2, painted.shape[0] - height),
            _within(x * step - width // 2, painted.shape[1] - width),
        )
        write_text(painted, names[number], corner, size, (255, 255, 255), (0, 0, 0))


def find_widest(mask: NDArray[np.uint8]) -> tuple[tuple[int, int], float]:
    """The pixel (y, x) of a mask that is farthest from anything else, and how far that is.

    Args:
        mask (NDArray): (H, W) uint8, not 0 within.
    """
    bordered = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(bordered, cv2.DIST_L2, 3)
    y, x = np.unravel_index(distance.argmax(), distance.shape)
    return (int(y) - 1, int(x) - 1), float(distance[y, x])


def text_size(picture: NDArray) -> int:
    """Size of letters that can be read in a picture, however large it is shown."""
    return int(np.clip(round((picture.shape[0] * picture.shape[1]) ** 0.5 / 40), 11, 160))


def _within(place: int, most: int) -> int:
    return max(0, min(place, most))
