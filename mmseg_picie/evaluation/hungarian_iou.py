"""Scores of clusters after an optimal match with the classes."""

import os
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from mmseg.registry import METRICS
from numpy.typing import NDArray
from prettytable import PrettyTable
from torch import Tensor

from ..clustering import (
    UNMATCHED,
    Scores,
    class_scores,
    confusion_matrix,
    match_clusters,
    to_class_confusion,
)
from .label_files import to_label_ids, write_image


@METRICS.register_module()
class HungarianIoUMetric(BaseMetric):
    """Pixel accuracy and IoU under one Hungarian match over the whole data set (PiCIE section 4).

    Counts pixels per class and cluster image by image, sums over the set, and matches once,
    maximising the matched pixels. Any number of clusters: an unmatched cluster counts as an error.
    mIoU and mAcc are means over the classes that occur. All scores are percentages:

    - ``aAcc``, ``mIoU``, ``mAcc``, and a table per class in the log;
    - ``GROUP/aAcc``, ``GROUP/mIoU``: of a group of classes, after the match over all classes;
    - ``stored/aAcc``, ``stored/mIoU``: under the map that the model carries, if it does;
    - ``viewV/aAcc``, ``viewV/mIoU``: of the model's further views, each matched on its own.

    After an evaluation, :attr:`cluster_to_class` holds the match on the main process.

    Args:
        ignore_index (int): label of pixels that are left out.
        groups (Mapping[str, Sequence[int]], optional): class ids of named groups; by default those
            of the data set's metainfo.
        output_dir (str, optional): folder for predicted label maps (PNG; class ids if the model
            carries a map, else cluster ids).
        collect_device (str): as in ``BaseMetric``.
        prefix (str, optional): as in ``BaseMetric``.
    """

    def __init__(
        self,
        ignore_index: int = 255,
        groups: Mapping[str, Sequence[int]] | None = None,
        output_dir: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.ignore_index = ignore_index
        self.groups = groups
        self.output_dir = output_dir
        #: (V, K) class of each cluster for every view that was scored, -1 where unmatched.
        self.cluster_to_class: NDArray[np.int64] | None = None
        self._stored_map: NDArray[np.int64] | None = None

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch.

        Args:
            data_batch (dict): unused.
            data_samples (Sequence[dict]): predictions with ``pred_sem_seg``, ``seg_logits`` (for
                the number of clusters) and ``gt_sem_seg``; perhaps ``pred_view_sem_seg``.
        """
        num_classes = len(self.dataset_meta['classes'])
        for sample in data_samples:
            by_view = sample.get('pred_view_sem_seg', sample['pred_sem_seg'])['data']
            clusters = _to_numpy(by_view)
            labels = _to_numpy(sample['gt_sem_seg']['data'])[0]
            num_clusters = len(sample['seg_logits']['data'])
            counts = [
                confusion_matrix(labels, view, num_classes, num_clusters, self.ignore_index)
                for view in clusters
            ]
            stored = sample.get('cluster_to_class')
            views = sample.get('predict_views', range(len(counts)))
            self.results.append((np.stack(counts), stored, tuple(views)))
            if self.output_dir is not None:
                self._write(sample, clusters[0])

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Match and score.

        Args:
            results (list): per image the (V, C, K) counts, the stored (V, K) map and the numbers of
                the views.

        Returns:
            dict[str, float]: scores in percent.
        """
        confusions = np.sum([counts for counts, *_ in results], axis=0)
        maps = [match_clusters(confusion) for confusion in confusions]
        self.cluster_to_class = np.stack(maps)
        matched = to_class_confusion(confusions[0], maps[0])
        scores = class_scores(matched)
        self._log_classes(scores)
        metrics = _summary(scores, '') | {'mAcc': _percent(scores.mean_accuracy)}
        for name, classes in self._groups().items():
            metrics |= _summary(class_scores(matched, classes), f'{name}/')
        _, stored, views = results[0]
        if stored is not None and (stored[0] != UNMATCHED).any():
            under_map = class_scores(to_class_confusion(confusions[0], stored[0]))
            metrics |= _summary(under_map, 'stored/')
        for view, confusion, match in list(zip(views, confusions, maps, strict=True))[1:]:
            other = class_scores(to_class_confusion(confusion, match))
            metrics |= _summary(other, f'view{view}/')
        return metrics

    def _groups(self) -> Mapping[str, Sequence[int]]:
        """The groups to score, checked against the classes."""
        groups = self.groups if self.groups is not None else self.dataset_meta.get('groups', {})
        num_classes = len(self.dataset_meta['classes'])
        for name, classes in groups.items():
            if not classes or not set(classes) <= set(range(num_classes)):
                raise ValueError(
                    f'group {name!r} must list class ids from 0 to {num_classes - 1}, but got '
                    f'{list(classes)}.'
                )
        return groups

    def _log_classes(self, scores: Scores) -> None:
        """Print the scores per class."""
        table = PrettyTable()
        table.add_column('Class', list(self.dataset_meta['classes']))
        table.add_column('IoU', [_percent(value) for value in scores.iou])
        table.add_column('Acc', [_percent(value) for value in scores.class_accuracy])
        logger = MMLogger.get_current_instance()
        print_log('per class results, after the match:\n' + table.get_string(), logger=logger)

    def _write(self, sample: Mapping[str, Any], clusters: NDArray) -> None:
        """Write the prediction of one image."""
        assert self.output_dir is not None
        os.makedirs(self.output_dir, exist_ok=True)
        name = osp.splitext(osp.basename(sample['img_path']))[0] + '.png'
        stored = sample.get('cluster_to_class')
        ids = to_label_ids(clusters, None if stored is None else stored[0])
        write_image(osp.join(self.output_dir, name), ids)


def _summary(scores: Scores, prefix: str) -> dict[str, float]:
    return {
        f'{prefix}aAcc': _percent(scores.accuracy),
        f'{prefix}mIoU': _percent(scores.mean_iou),
    }


def _percent(fraction: float) -> float:
    return round(100 * float(fraction), 2)


def _to_numpy(data: Tensor) -> NDArray:
    return data.cpu().numpy()
