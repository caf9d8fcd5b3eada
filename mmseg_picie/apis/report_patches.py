"""Choose the patches that show what a cluster is."""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..visualization.report import Patch
from ..visualization.report.pictures import encode_jpeg, to_size
from .report_images import SeenImage
from .report_tally import inner_pixels

#: Patches of a cluster: nearest to its centroid, and at its rim.
NUM_NEAREST = 12
NUM_RIM = 6
#: Pixels of a patch's side.
PATCH_SIDE = 112
# Pixels around a patch, so that no outline runs along its sides.
_MARGIN = 4
# Side of what a patch shows, as a share of the image's shorter side.
_REACH = 0.25


class PatchNumbers(NamedTuple):
    """How many patches of each cluster there are, and how long they may be as text.

    Attributes:
        nearest (int): those nearest to the centroid.
        rim (int): those farthest from it.
        max_bytes (int): of each.
    """

    nearest: int = NUM_NEAREST
    rim: int = NUM_RIM
    max_bytes: int = 8000


class PatchPicker:
    """Keeps, while images go by, the patches of each cluster nearest to and farthest from it.

    An image gives one patch a cluster of each kind, or more where there are too few images.
    Pixels inside of segments go before those at borders, which belong to two clusters at once.

    Args:
        num_clusters (int): K.
        num_images (int): that will be offered.
        numbers (PatchNumbers): what to keep.
    """

    def __init__(self, num_clusters: int, num_images: int, numbers: PatchNumbers) -> None:
        self._numbers = numbers
        self._per_image = -(-max(numbers.nearest, numbers.rim) // max(1, num_images))
        # Heaps of (score, number, patch), the worst one first.
        self._nearest: list[list[tuple]] = [[] for _ in range(num_clusters)]
        self._rim: list[list[tuple]] = [[] for _ in range(num_clusters)]
        self._count = 0

    def offer(self, seen: SeenImage) -> None:
        """Look at an image.

        Args:
            seen (SeenImage): the image.
        """
        inner = inner_pixels(seen.cells)
        for cluster in np.unique(seen.cells):
            own = seen.cells == cluster
            if (own & inner).any():
                own &= inner
            for heap, size, sign in (
                (self._nearest[cluster], self._numbers.nearest, 1),
                (self._rim[cluster], self._numbers.rim, -1),
            ):
                self._keep_best(heap, size, seen, own, sign * seen.closeness)

    def _keep_best(
        self, heap: list, size: int, seen: SeenImage, own: NDArray, scores: NDArray
    ) -> None:
        """Put the best cells of an image into a heap, as far as they are good enough."""
        left = np.where(own, scores, -np.inf)
        reach = [max(1, round(_REACH * side / 2)) for side in left.shape]
        for _ in range(self._per_image):
            y, x = np.unravel_index(left.argmax(), left.shape)
            score = float(left[y, x])
            if score == -np.inf or (len(heap) == size and score <= heap[0][0]):
                return
            self._count += 1
            patch = Patch(self._cut(seen, int(y), int(x)), seen.source.name)
            change = heapq.heappush if len(heap) < size else heapq.heapreplace
            change(heap, (score, -self._count, patch))
            left[
                max(0, y - reach[0]) : y + reach[0] + 1, max(0, x - reach[1]) : x + reach[1] + 1
            ] = -np.inf

    def _cut(self, seen: SeenImage, y: int, x: int) -> str:
        """The patch around a cell, with the outline of its segment."""
        height, width = seen.detail.shape[:2]
        side = max(1, min(height, width, max(24, round(_REACH * min(height, width)))))
        top = _place((y + 0.5) / seen.cells.shape[0] * height, side, height)
        left = _place((x + 0.5) / seen.cells.shape[1] * width, side, width)
        window = seen.detail[top : top + side, left : left + side]
        patch = to_size(window, (PATCH_SIDE, PATCH_SIDE)).copy()
        # The same window of the segments, whose size is another.
        rows = (np.arange(PATCH_SIDE) + 0.5) / PATCH_SIDE * side + top
        columns = (np.arange(PATCH_SIDE) + 0.5) / PATCH_SIDE * side + left
        rows = (rows / height * seen.clusters.shape[0]).astype(int)
        columns = (columns / width * seen.clusters.shape[1]).astype(int)
        mask = (seen.clusters[np.ix_(rows, columns)] == seen.cells[y, x]).astype(np.uint8)
        mask = np.pad(mask, _MARGIN, 'edge')
        outlines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.drawContours(
                patch, outlines, -1, colour, width, cv2.LINE_AA, offset=(-_MARGIN,) * 2
            )
        return encode_jpeg(patch, self._numbers.max_bytes)

    def nearest(self, cluster: int) -> Sequence[Patch]:
        """Patches around the pixels nearest to the centroid, nearest first."""
        return [patch for *_, patch in sorted(self._nearest[cluster], reverse=True)]

    def rim(self, cluster: int) -> Sequence[Patch]:
        """Patches around the pixels farthest from the centroid, farthest first."""
        return [patch for *_, patch in sorted(self._rim[cluster], reverse=True)]


def _place(centre: float, side: int, length: int) -> int:
    """Where a window begins, that lies inside of the image."""
    return int(np.clip(round(centre - side / 2), 0, length - side))
