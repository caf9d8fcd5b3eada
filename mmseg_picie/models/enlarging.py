"""The strongest cluster of each pixel of an image, from logits on a coarser grid.

It is the argmax of ``F.interpolate(logits, size, mode='bilinear')``, without ever holding it: 48
megapixels by 100 clusters would take 19 GB. Between four points of the grid that one cluster wins,
it wins everywhere, as each value is a mean of theirs. Only the other places are interpolated.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .windows import Rows

#: Values that are interpolated at once, and pixels that are labelled at once.
_MOST_VALUES, _MOST_PIXELS = 1 << 20, 1 << 24
# Places between four points that are looked at at once.
_MOST_CELLS = 1 << 14


class Taps(NamedTuple):
    """How an axis of n places is made of one of m.

    Attributes:
        before (Tensor): (n,) int64, ascending, the place of the coarse axis before each.
        after (Tensor): (n,) likewise, the one behind it.
        weight (Tensor): (n,) float32 in [0, 1), the share of the latter.
    """

    before: Tensor
    after: Tensor
    weight: Tensor


def make_taps(length: int, enlarged: int, align_corners: bool = False) -> Taps:
    """Bilinear interpolation of one axis, as torch does it.

    Args:
        length (int): m, places of the coarse axis.
        enlarged (int): n, places of the result; fewer are possible.
        align_corners (bool): as in torch.

    Returns:
        Taps: on the CPU.
    """
    places = torch.arange(enlarged, dtype=torch.float64)
    if align_corners:
        places *= (length - 1) / max(1, enlarged - 1)
    else:
        places = ((places + 0.5) * (length / enlarged) - 0.5).clamp(min=0)
    before = places.long().clamp(max=length - 1)
    return Taps(before, (before + 1).clamp(max=length - 1), (places - before).float())


def label_bands(
    bands: Iterable[Rows],
    grid: tuple[int, int],
    size: tuple[int, int],
    num_clusters: int,
    align_corners: bool = False,
) -> Iterator[Rows]:
    """Label the pixels of an image whose logits come in bands.

    Args:
        bands (Iterable[Rows]): (V K, h', w) logits of V sets of K clusters, from above to below.
        grid (tuple[int, int]): (h, w) of all of them.
        size (tuple[int, int]): (H, W) of the image.
        num_clusters (int): K.
        align_corners (bool): as in torch.

    Yields:
        Rows: (V, rows, W) clusters, from above to below, each row once; uint8 if K <= 256, else
            int32.
    """
    ys, xs = (make_taps(n, m, align_corners) for n, m in zip(grid, size, strict=True))
    columns: Cells | None = None
    left: Tensor | None = None
    done = 0
    for top, logits in bands:
        if left is not None:
            logits, top = torch.cat([left, logits], dim=1), top - left.shape[1]
        if columns is None:
            columns = group_cells(xs, logits.device)
        bottom = top + logits.shape[1]
        end = int(torch.searchsorted(ys.after, bottom))
        views = [Grid(each) for each in logits.split(num_clusters)]
        most = min(_MOST_PIXELS // size[1], _MOST_VALUES // (columns.most * num_clusters))
        while done < end:
            stop = min(end, done + max(1, most))
            part = Taps(ys.before[done:stop] - top, ys.after[done:stop] - top, ys.weight[done:stop])
            rows = group_cells(part, logits.device)
            yield done, torch.stack([view.label(rows, columns) for view in views])
            done = stop
        if done < size[0]:
            left = logits[:, int(ys.before[done]) - top :].clone()


class Cells(NamedTuple):
    """The intervals of an axis between places of the coarse axis, and what lies in them.

    Attributes:
        before (Tensor): (c,) place before each; as of :class:`Taps`.
        after (Tensor): (c,) place behind each.
        counts (Tensor): (c,) places of the fine axis in each, at least 1.
        places (Tensor): (c, most) these; the last is repeated.
        weights (Tensor): (c, most) share of ``after`` at each.
    """

    before: Tensor
    after: Tensor
    counts: Tensor
    places: Tensor
    weights: Tensor

    @property
    def most(self) -> int:
        """Places of the fine axis in the largest interval."""
        return self.places.shape[1]


def group_cells(taps: Taps, device: torch.device) -> Cells:
    """Group an axis by its coarse intervals.

    Args:
        taps (Taps): of the axis.
        device (torch.device): of the result.
    """
    before, counts = taps.before.unique_consecutive(return_counts=True)
    firsts = counts.cumsum(0) - counts
    steps = torch.arange(int(counts.max()))
    places = firsts[:, None] + torch.minimum(steps, counts[:, None] - 1)
    cells = Cells(before, taps.after[firsts], counts, places, taps.weight[places])
    return Cells(*(each.to(device) for each in cells))


class Grid:
    """Logits on a grid, whose pixels in between can be labelled.

    Args:
        logits (Tensor): (K, h, w).
    """

    def __init__(self, logits: Tensor) -> None:
        number, _, self.width = logits.shape
        self.dtype = torch.uint8 if number <= 256 else torch.int32
        self.points = logits.flatten(1).T.contiguous()
        # max is several times as fast as argmax.
        winners = self.points.max(1).indices.to(self.dtype)
        self.winners = winners.view(logits.shape[1:])

    def label(self, rows: Cells, columns: Cells) -> Tensor:
        """Clusters of pixels.

        Args:
            rows (Cells): of the grid's rows.
            columns (Cells): of its columns.

        Returns:
            Tensor: (places of the rows, places of the columns).
        """
        upper, lower = self.winners[rows.before], self.winners[rows.after]
        corners = [half[:, ends] for half in (upper, lower) for ends in columns[:2]]
        found = corners[0].repeat_interleave(rows.counts, 0)
        found = found.repeat_interleave(columns.counts, 1)
        is_mixed = torch.stack([corner != corners[0] for corner in corners[1:]]).any(0)
        for i, j in zip(*_split(torch.nonzero(is_mixed), _MOST_CELLS), strict=True):
            for chosen, rivals in self._find_rivals(rows, i, columns, j):
                self._settle(found, rows, i[chosen], columns, j[chosen], rivals)
        return found

    def _find_rivals(
        self, rows: Cells, i: Tensor, columns: Cells, j: Tensor
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Groups of cells, and for each cell the few clusters that can win anywhere in it.

        What is nowhere above the highest of all lowest values never wins.
        """
        corners = self.points[self._ends(rows, i, columns, j)]
        highest = corners.amax(1)
        bound = corners.amin(1).amax(1, keepdim=True)
        counts = (highest >= bound).sum(1)
        least, number = 0, 2
        while least < corners.shape[2]:
            chosen = torch.nonzero((counts > least) & (counts <= number))[:, 0]
            if len(chosen):
                yield chosen, highest[chosen].topk(min(number, corners.shape[2]), dim=1).indices
            least, number = number, 2 * number

    def _settle(
        self, found: Tensor, rows: Cells, i: Tensor, columns: Cells, j: Tensor, rivals: Tensor
    ) -> None:
        """Write which of some clusters (n, r) win in n cells."""
        most = max(1, _MOST_VALUES // (rows.most * columns.most * rivals.shape[1]))
        for row, column, ids in zip(i.split(most), j.split(most), rivals.split(most), strict=True):
            ends = self._ends(rows, row, columns, column)
            corners = self.points[ends[:, :, None], ids[:, None]]
            down, right = rows.weights[row], columns.weights[column]
            shares = [
                y[:, :, None] * x[:, None, :] for y in (1 - down, down) for x in (1 - right, right)
            ]
            weights = torch.stack(shares, dim=-1).flatten(1, 2).to(corners)
            winners = ids.gather(1, torch.bmm(weights, corners).max(2).indices).to(self.dtype)
            where = rows.places[row][:, :, None], columns.places[column][:, None, :]
            found[where] = winners.view(len(row), rows.most, columns.most)

    def _ends(self, rows: Cells, i: Tensor, columns: Cells, j: Tensor) -> Tensor:
        """Indices (n, 4) of the points around n cells."""
        ends = [row[i] * self.width + column[j] for row in rows[:2] for column in columns[:2]]
        return torch.stack(ends, dim=1)


def _split(pairs: Tensor, most: int) -> tuple[tuple[Tensor, ...], ...]:
    """Columns of (n, 2), each in parts of at most so many."""
    return tuple(column.split(most) for column in pairs.unbind(1))
