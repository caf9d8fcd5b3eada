"""mmseg's visualiser, which paints quickly and writes names well inside the segments."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.structures import PixelData
from mmseg.registry import VISUALIZERS
from mmseg.visualization import SegLocalVisualizer
from numpy.typing import NDArray

from ..evaluation.label_files import write_image
from .legend_band import add_legend, list_entries
from .segment_painting import find_widest, paint_segments, write_names

#: What can be painted over an image.
_KINDS = {'gt_sem_seg', 'pred_sem_seg', 'gt_depth_map', 'pred_depth_map'}


@VISUALIZERS.register_module()
class SegmentVisualizer(SegLocalVisualizer):
    """``SegLocalVisualizer`` that writes a name where its segments are widest.

    mmseg sorts all pixels of a segment in Python to find a place, and holds a mask of the image for
    each class, which is slow for a large photograph. See ``SegLocalVisualizer`` for the arguments.
    """

    def add_datasample(
        self, name: str, image: NDArray[np.uint8], data_sample: Any = None, **options: Any
    ) -> None:
        """Show an image with its segments, or as it is if it has none.

        Upstream's toolbox fails at an image without segments.

        Args:
            name (str): what the picture is called.
            image (NDArray): (H, W, 3) RGB, uint8.
            data_sample (SegDataSample, optional): with labels or a prediction, or neither.
            options (Any): as of ``SegLocalVisualizer``.
        """
        if data_sample is not None and _KINDS & set(data_sample.keys()):
            super().add_datasample(name, image, data_sample, **options)
            return
        if options.get('show'):
            self.show(image, win_name=name, wait_time=options.get('wait_time', 0))
        if options.get('out_file') is not None:
            os.makedirs(os.path.dirname(options['out_file']) or '.', exist_ok=True)
            write_image(options['out_file'], image[..., ::-1])
        else:
            self.add_image(name, image, options.get('step', 0))

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
