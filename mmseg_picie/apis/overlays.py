"""Segments and their names painted over an image, which may be large."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..datasets.image_strips import ResizedStrips, Strips
from ..visualization.segment_visualizer import paint_overlay

#: Pixels of an overlay, without its legend; those of larger images are made smaller.
MOST_PIXELS = 50_000_000


class OverlayPainter(NamedTuple):
    """Paints overlays.

    Attributes:
        classes (Sequence[str]): K names.
        palette (Sequence): K colours, RGB.
        opacity (float): of the segments, in (0, 1].
        outlines (bool): whether to draw lines between them.
    """

    classes: Sequence[str]
    palette: Sequence[Sequence[int]]
    opacity: float
    outlines: bool = False

    def paint(self, strips: Strips, clusters: NDArray) -> NDArray[np.uint8]:
        """The overlay of an image.

        Args:
            strips (Strips): the image.
            clusters (NDArray): (H, W).

        Returns:
            NDArray: (h, w, 3) uint8 BGR, with a legend.
        """
        shape = strips.shape
        shrink = math.sqrt(shape[0] * shape[1] / MOST_PIXELS)
        if shrink > 1:
            height, width = (max(1, int(side / shrink)) for side in shape)
            image = ResizedStrips(strips, (height, width)).read(0, height)
            clusters = clusters[_middles(height, shape[0])][:, _middles(width, shape[1])]
        else:
            image = np.ascontiguousarray(strips.read(0, shape[0]))
        return paint_overlay(
            image, clusters, self.classes, self.palette, self.opacity, self.outlines
        )


def _middles(number: int, length: int) -> NDArray[np.int64]:
    """The pixel in the middle of each of so many parts of an axis."""
    return (2 * np.arange(number) + 1) * length // (2 * number)
