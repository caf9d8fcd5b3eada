"""Clusters of an image that the network sees in windows."""

import itertools
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .cluster_prediction import count_at_once
from .enlarging import label_bands
from .picie import PiCIE
from .windows import Intervals, Rows, blend_bands, plan_intervals


def find_unit(model: PiCIE) -> int:
    """Pixels that sides and places of windows are multiples of, so that all are seen alike."""
    divisor = (getattr(model.data_preprocessor, 'test_cfg', None) or {}).get('size_divisor') or 1
    return math.lcm(model.stride, divisor)


def plan_windows(length: int, trained: int, unit: int) -> Intervals:
    """Windows of twice the size of the training, of which each shares a quarter with the next.

    Of larger windows the network sees more of the surroundings at once, which moves more labels
    than what is blended.

    Args:
        length (int): pixels of the axis, a multiple of ``unit``.
        trained (int): pixels of a side of the images that the network was trained on.
        unit (int): of :func:`find_unit`.
    """
    side = max(2, math.ceil(2 * trained / unit)) * unit
    overlap = max(1, round(side / unit / 4)) * unit
    return plan_intervals(length, side, side - overlap)


@torch.no_grad()
def label_in_windows(
    model: PiCIE,
    read: Callable[[int, int], Tensor],
    rows: Intervals,
    columns: Intervals,
    size: tuple[int, int],
) -> Iterator[Rows]:
    """Label the pixels of an image, band by band.

    Args:
        model (PiCIE): in eval mode.
        read (Callable): rows of the image as the network is to see it, from one index up to
            another, (3, rows, w) uint8 BGR.
        rows (Intervals): windows of these rows, whose starts and sides are multiples of
            :func:`find_unit`.
        columns (Intervals): likewise.
        size (tuple[int, int]): (H, W) of the labels.

    Yields:
        Rows: (V', rows, W) clusters of the views that predict, from above to below, on the CPU;
            each row once.
    """
    head = model.decode_head
    device = next(model.parameters()).device

    def forward(windows: Tensor) -> Tensor:
        inputs = model.data_preprocessor(dict(inputs=list(windows)), False)['inputs']
        return model(inputs, mode='tensor')

    at_once = count_at_once(rows.side * columns.side, device)
    blended = blend_bands(forward, read, rows, columns, at_once)
    grid, bands = _read_grid(blended, rows, columns)
    for top, labels in label_bands(bands, grid, size, head.num_clusters, head.align_corners):
        yield top, labels.cpu()


def _read_grid(
    bands: Iterator[Rows], rows: Intervals, columns: Intervals
) -> tuple[tuple[int, int], Iterator[Rows]]:
    """The (h, w) of all bands together, which the first one tells, and all of them."""
    first = next(bands)
    cell = columns.length // first[1].shape[2]
    return (rows.length // cell, columns.length // cell), itertools.chain([first], bands)
