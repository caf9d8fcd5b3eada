"""mmseg's visualiser, which paints quickly and writes names well inside the segments."""

from collections.abc import Sequence

import numpy as np
from mmengine.structures import PixelData
from mmseg.registry import VISUALIZERS
from mmseg.visualization import SegLocalVisualizer
from numpy.typing import NDArray

from .legend_band import add_legend, list_entries
from .segment_painting import find_widest, paint_segments, write_names


@VISUALIZERS.register_module()
class SegmentVisualizer(SegLocalVisualizer):
    """``SegLocalVisualizer`` that writes a name where its segments are widest.

    mmseg sorts all pixels of a segment in Python to find a place, and holds a mask of the image for
    each class, which is slow for a large photograph. See ``SegLocalVisualizer`` for the arguments.
    """

    def _get_center_loc(self, mask: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The pixel (x, y) of a mask that is farthest from anything else."""
        (y, x), _ = find_widest(mask)
        return np.array([x, y])

    def _draw_sem_seg(
        self,
        image: NDArray[np.uint8],
        sem_seg: PixelData,
        classes: Sequence[str],
        palette: Sequence[Sequence[int]],
        with_labels: bool | None = True,
    ) -> NDArray[np.uint8]:
        """Paint segments over an image (H, W, 3); ids without a class are painted black."""
        ids = np.asarray(sem_seg.cpu().data)[0]
        painted = paint_segments(image, ids, palette, self.alpha)
        if with_labels:
            write_names(painted, ids, classes)
        self.set_image(painted)
        return painted


def paint_overlay(
    image: NDArray[np.uint8],
    clusters: NDArray,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    opacity: float,
    outlines: bool = False,
) -> NDArray[np.uint8]:
    """Segments and their names over an image, and a legend of those that are in it.

    Args:
        image (NDArray): (H, W, 3) uint8 BGR.
        clusters (NDArray): (H, W) in [0, K).
        classes (Sequence[str]): K names.
        palette (Sequence): K colours, RGB.
        opacity (float): of the segments, in (0, 1].
        outlines (bool): whether to draw lines between segments.

    Returns:
        NDArray: (H', W', 3) uint8 BGR; the image is in its upper left corner, as large as it was.
    """
    bgr = [tuple(colour)[::-1] for colour in palette]
    painted = paint_segments(image, clusters, bgr, opacity, outlines)
    write_names(painted, clusters, classes)
    return add_legend(painted, list_entries(clusters, classes, bgr))
