"""Segments and their names painted over an image, which may be large."""

import math
import threading
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from numpy.typing import NDArray

from ..datasets.image_strips import ResizedStrips, Strips
from ..visualization.segment_visualizer import SegmentVisualizer

#: Pixels of an overlay; those of larger images are made smaller. mmseg's visualiser takes some 60
#: bytes for each.
MOST_PIXELS = 12_500_000


class OverlayPainter:
    """Paints overlays, on any thread.

    Args:
        meta (dict): ``classes`` and ``palette`` of the clusters.
        opacity (float): of the segments, in (0, 1].
    """

    def __init__(self, meta: dict[str, Any], opacity: float) -> None:
        self._meta = dict(classes=meta['classes'], palette=meta['palette'])
        self._opacity = opacity
        self._own = threading.local()  # a visualiser holds the image that it paints

    def paint(self, strips: Strips, clusters: NDArray) -> NDArray[np.uint8]:
        """The overlay of an image.

        Args:
            strips (Strips): the image.
            clusters (NDArray): (H, W).

        Returns:
            NDArray: (h, w, 3) uint8 BGR, of the image's size or of :data:`MOST_PIXELS`.
        """
        shape = strips.shape
        shrink = math.sqrt(shape[0] * shape[1] / MOST_PIXELS)
        if shrink > 1:
            height, width = (max(1, int(side / shrink)) for side in shape)
            image = ResizedStrips(strips, (height, width)).read(0, height)
            rows, columns = (
                (np.arange(n) + 0.5) * m // n for n, m in ((height, shape[0]), (width, shape[1]))
            )
            clusters = clusters[rows.astype(int)][:, columns.astype(int)]
        else:
            image = strips.read(0, shape[0])
        rgb, size = np.ascontiguousarray(image[..., ::-1]), clusters.shape
        if size == (1, 1):  # mmseg's visualiser cannot draw on a single pixel
            rgb, clusters = rgb.repeat(2, axis=0), clusters.repeat(2, axis=0)
        painter = self._get_painter()
        labels = torch.from_numpy(clusters.astype(np.int32))[None]
        sample = SegDataSample(pred_sem_seg=PixelData(data=labels))
        painter.add_datasample('overlay', rgb, sample, draw_gt=False)
        return np.ascontiguousarray(painter.get_image()[: size[0], :, ::-1])

    def _get_painter(self) -> SegmentVisualizer:
        """The visualiser of this thread."""
        if not hasattr(self._own, 'painter'):
            painter = SegmentVisualizer(alpha=self._opacity, **self._meta)
            painter.dataset_meta = self._meta
            self._own.painter = painter
        return self._own.painter
