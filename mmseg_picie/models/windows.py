"""Cut an image into overlapping windows, and blend what a network says about them.

Both axes are planned alone: windows are products of intervals, and so are their weights.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

#: Rows of a map: the index of the first, and (C, rows, W) values.
Rows = tuple[int, Tensor]


class Intervals(NamedTuple):
    """Intervals that cover an axis.

    Attributes:
        starts (tuple[int, ...]): first pixel of each, ascending; the first starts at 0, and the
            last ends where the axis does.
        side (int): pixels of each.
    """

    starts: tuple[int, ...]
    side: int

    @property
    def length(self) -> int:
        """Pixels of the axis."""
        return self.starts[-1] + self.side


def plan_intervals(length: int, side: int, step: int) -> Intervals:
    """Cover an axis, as mmseg's sliding windows do.

    Args:
        length (int): pixels of the axis, at least 1.
        side (int): pixels of an interval; a shorter axis is one interval.
        step (int): pixels from one interval to the next, but for the last, which is moved back to
            the end of the axis.

    Returns:
        Intervals: if all arguments are multiples of a number, all starts are.

    Raises:
        ValueError: If a number is below 1, or the step would leave gaps.
    """
    if min(length, side, step) < 1 or step > side:
        raise ValueError(
            f'windows need a length, a side and a step from 1 to the side, but got {length}, '
            f'{side} and {step}.'
        )
    if length <= side:
        return Intervals((0,), length)
    starts = [*range(0, length - side, step), length - side]
    return Intervals(tuple(starts), side)


def hat(side: int) -> Tensor:
    """Weights that fall from the middle of an interval to its ends, where a network sees less.

    Args:
        side (int): their number.

    Returns:
        Tensor: (side,) positive, the square of the distance to the nearer end.
    """
    places = torch.arange(side) + 0.5
    return torch.minimum(places, side - places).square()


def share_weights(intervals: Intervals, cell: int, profile: Tensor) -> Tensor:
    """Weights of intervals that sum to 1 at each place of the axis.

    Args:
        intervals (Intervals): their starts and sides are multiples of ``cell``.
        cell (int): pixels that share a value.
        profile (Tensor): (side / cell,) weights of one interval, positive.

    Returns:
        Tensor: (number of intervals, side / cell) float32.
    """
    starts = [start // cell for start in intervals.starts]
    side = len(profile)
    total = torch.zeros(intervals.length // cell)
    for start in starts:
        total[start : start + side] += profile
    return torch.stack([profile / total[start : start + side] for start in starts])


def blend_bands(
    forward: Callable[[Tensor], Tensor],
    read: Callable[[int, int], Tensor],
    rows: Intervals,
    columns: Intervals,
    batch_size: int,
    make_profile: Callable[[int], Tensor] = hat,
) -> Iterator[Rows]:
    """Forward the windows of an image, and blend their maps band by band.

    Of the map of the whole image no more is held than the rows of one window.

    Args:
        forward (Callable): maps windows (N, 3, h, w) to (N, C, h / cell, w / cell), where ``cell``
            divides the sides and starts of all windows.
        read (Callable): rows of the image from one index up to another, (3, rows, W).
        rows (Intervals): of the windows.
        columns (Intervals): likewise.
        batch_size (int): windows that are forwarded at once.
        make_profile (Callable): weights of an interval of so many values; ``torch.ones`` for the
            mean.

    Yields:
        Rows: (C, h', W / cell) blended values, from above to below; each row once.
    """
    band: Tensor | None = None
    top = 0
    for index, start in enumerate(rows.starts):
        strip = read(start, start + rows.side)
        for first in range(0, len(columns.starts), batch_size):
            chosen = columns.starts[first : first + batch_size]
            maps = forward(torch.stack([strip[:, :, x : x + columns.side] for x in chosen]))
            if index == 0 and first == 0:
                cell = rows.side // maps.shape[2]
                row_shares, column_shares = (
                    share_weights(axis, cell, make_profile(axis.side // cell)).to(maps)
                    for axis in (rows, columns)
                )
                width = columns.length // cell
            if band is None or first == 0:
                band = _next_band(band, maps, width)
            for place, x in enumerate(chosen):
                shares = row_shares[index][:, None] * column_shares[first + place]
                where = slice(x // cell, x // cell + maps.shape[3])
                band[:, :, where] += maps[place] * shares
        assert band is not None
        is_last = index + 1 == len(rows.starts)
        done = band.shape[1] if is_last else (rows.starts[index + 1] - start) // cell
        yield top, band[:, :done]
        top += done
        band = band[:, done:]


def _next_band(left: Tensor | None, maps: Tensor, width: int) -> Tensor:
    """An empty band (C, h, width) that begins with the rows that are left of the last one."""
    band = maps.new_zeros(maps.shape[1], maps.shape[2], width)
    if left is not None:
        band[:, : left.shape[1]] = left
    return band
