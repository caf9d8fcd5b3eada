"""Pictures of predictions in the colours of the classes."""

import os.path as osp
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmengine.runner import BaseLoop, Runner
from mmengine.structures import PixelData
from mmseg.engine import SegVisualizationHook
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from numpy.typing import NDArray

from ...clustering import UNMATCHED, translate_map
from ...models.cluster_prediction import FLIPPED_AXES
from ...views import resize
from .cluster_to_class_hook import find_hungarian_metric

#: What mmseg's visualiser leaves undrawn.
NO_CLASS = 255


class _Picture(NamedTuple):
    """What is kept of one image until the match is known."""

    name: str
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8] | None
    clusters: NDArray
    step: int


@HOOKS.register_module()
class MatchedVisualizationHook(SegVisualizationHook):
    """mmseg's visualisation hook for clusters: draws once their classes are known.

    Labels stand on the left, the prediction on the right, both over the image as it was evaluated.
    In validation the match of that validation gives the classes, in testing the map of the
    checkpoint if it has one. Pixels of unmatched clusters are left dark. See
    ``SegVisualizationHook`` for the arguments (``draw``, ``interval``, ``show``, ``wait_time``).
    """

    _kept: list[_Picture] = []
    _num_tested = 0

    def before_val_epoch(self, runner: Runner) -> None:
        """Forget the pictures of the last epoch."""
        self._kept = []

    before_test_epoch = before_val_epoch

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        """Keep the first image of every ``interval``-th batch."""
        if self.draw and batch_idx % self.interval == 0:
            # runner.iter would make a training of what is only validated, and load its data.
            loop = runner._train_loop
            step = loop.iter if isinstance(loop, BaseLoop) else 0
            self._kept.append(_keep(outputs[0], data_batch['inputs'][0], 'val', step))

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draw what was kept."""
        self._draw_kept(runner.val_evaluator.metrics)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        """Draw every image, or keep it if its classes are not known yet."""
        if not self.draw:
            return
        for sample, image in zip(outputs, _images(data_batch), strict=True):
            self._num_tested += 1
            picture = _keep(sample, image, 'test', self._num_tested)
            stored = translate_map(
                sample.metainfo['cluster_to_class'][0],
                sample.metainfo['map_classes'],
                self._visualizer.dataset_meta['classes'],
            )
            if (stored == UNMATCHED).all():
                self._kept.append(picture)
            else:
                self._draw(picture, stored)

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draw what was kept."""
        self._draw_kept(runner.test_evaluator.metrics)

    def _draw_kept(self, metrics: list) -> None:
        metric = find_hungarian_metric(metrics)
        if metric is None or metric.cluster_to_class is None:  # as on all ranks but the first
            return
        for picture in self._kept:
            self._draw(picture, metric.cluster_to_class[0])
        self._kept = []

    def _draw(self, picture: _Picture, cluster_to_class: NDArray) -> None:
        """Give one picture to mmseg's visualiser."""
        sample = SegDataSample()
        if picture.labels is not None:
            sample.gt_sem_seg = PixelData(data=torch.from_numpy(picture.labels)[None])
        table = np.where(cluster_to_class == UNMATCHED, NO_CLASS, cluster_to_class)
        sample.pred_sem_seg = PixelData(data=torch.from_numpy(table[picture.clusters])[None])
        self._visualizer.add_datasample(
            picture.name,
            picture.image,
            data_sample=sample,
            show=self.show,
            wait_time=self.wait_time,
            step=picture.step,
        )


def _images(data_batch: dict) -> list[torch.Tensor]:
    """The images of a batch as they were before a test-time augmentation flipped them."""
    inputs = data_batch['inputs']
    if isinstance(inputs[0], torch.Tensor):
        return list(inputs)
    samples = data_batch['data_samples'][0]
    return [
        image.flip(FLIPPED_AXES[sample.flip_direction]) if sample.metainfo.get('flip') else image
        for image, sample in zip(inputs[0], samples, strict=True)
    ]


def _keep(sample: SegDataSample, image: torch.Tensor, phase: str, step: int) -> _Picture:
    """Take what a picture needs: the (3, H, W) BGR image at the prediction's size, and maps."""
    clusters = sample.pred_sem_seg.data[0].cpu().numpy()
    labels = None
    if 'gt_sem_seg' in sample:
        labels = sample.gt_sem_seg.data[0].cpu().numpy().astype(np.uint8)
    rgb = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy()[..., ::-1])
    name = f'{phase}_{osp.splitext(osp.basename(sample.img_path))[0]}'
    return _Picture(name, resize(rgb, clusters.shape), labels, clusters, step)
