"""Write predictions in the form in which ImageNet-S takes them."""

import os
import os.path as osp
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS
from numpy.typing import NDArray

from ..clustering import UNMATCHED
from .label_files import write_image

BACKGROUND = 0
MAX_ID = 256 * 256 - 1


def to_rg_image(ids: NDArray) -> NDArray[np.uint8]:
    """Spread ids over two channels, as red + 256 green.

    Args:
        ids (NDArray): (H, W) integers in [0, 65535].

    Returns:
        NDArray: (H, W, 3) RGB, uint8; blue is 0.

    Raises:
        ValueError: If they are not a map of such integers.
    """
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(
            f'ids must be a map (H, W) of integers, but got {ids.dtype} of shape {ids.shape}.'
        )
    if ids.min(initial=0) < 0 or ids.max(initial=0) > MAX_ID:
        raise ValueError(
            f'ids must be from 0 to {MAX_ID}, but got {ids.min()} to {ids.max()}; two channels of '
            '8 bits hold no others.'
        )
    high, low = np.divmod(ids.astype(np.int64), 256)
    return np.stack([low, high, np.zeros_like(low)], axis=-1).astype(np.uint8)


@METRICS.register_module()
class ImageNetSSubmission(BaseMetric):
    """Writes predictions as ImageNet-S takes them, and scores nothing: labels are not needed.

    Each image's classes go into a PNG of the size of its prediction (the image's own, if the
    pipeline crops nothing), ids being stored as red + 256 green. The files lie in ``output_dir`` as
    the images do in ``root``, so ``test/a.JPEG`` becomes ``test/a.png``. Clusters become classes by
    the map that validation stored in the model; unmatched ones become background, 0.

    Args:
        root (str): folder that the images' paths are taken relative to; the data set's
            ``data_root``.
        output_dir (str): folder to write to; made if missing. Give one that holds nothing else.
        collect_device (str): as in ``BaseMetric``. 'gpu', on CPUs too, has ranks send each other
            what they found; 'cpu' has them write files into a folder that all of them must share.
        prefix (str, optional): as in ``BaseMetric``.
    """

    def __init__(
        self,
        root: str,
        output_dir: str,
        collect_device: str = 'gpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.root = root
        self.output_dir = output_dir

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Write the predictions of a batch.

        Args:
            data_batch (dict): unused.
            data_samples (Sequence[dict]): predictions with ``pred_sem_seg``, ``img_path`` and
                ``cluster_to_class``.

        Raises:
            ValueError: If the model knows no classes, or an image does not lie below ``root``.
        """
        for sample in data_samples:
            stored = sample.get('cluster_to_class')
            if stored is None or (stored[0] == UNMATCHED).all():
                raise ValueError(
                    'ImageNetSSubmission needs a model that knows the classes of its clusters, but '
                    'this one was never validated on labels; use the checkpoint of a training with '
                    'validation.'
                )
            table = np.where(stored[0] == UNMATCHED, BACKGROUND, stored[0])
            clusters = sample['pred_sem_seg']['data'][0].cpu().numpy()
            path = self._target(sample['img_path'])
            os.makedirs(osp.dirname(path), exist_ok=True)
            write_image(path, to_rg_image(table[clusters])[..., ::-1])
            self.results.append(path)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Count the files.

        Args:
            results (list): the files that were written.

        Returns:
            dict[str, float]: ``images_written``.
        """
        return dict(images_written=len(results))

    def _target(self, img_path: str) -> str:
        """Where the prediction of an image goes."""
        name = osp.relpath(img_path, self.root)
        if Path(name).parts[0] == os.pardir:
            raise ValueError(
                f'image {img_path} does not lie below root={self.root!r} of ImageNetSSubmission; '
                "set root to the data set's data_root."
            )
        return osp.join(self.output_dir, osp.splitext(name)[0] + '.png')
