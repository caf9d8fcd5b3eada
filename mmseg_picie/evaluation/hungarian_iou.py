"""Scores of clusters after an optimal match with the classes."""

import logging
import os
import os.path as osp
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from mmseg.registry import METRICS
from numpy.typing import NDArray
from prettytable import PrettyTable
from torch import Tensor
from torch.utils.data import Dataset

from ..clustering import (
    UNMATCHED,
    Scores,
    class_scores,
    confusion_matrix,
    legacy_group_confusion,
    match_clusters,
    match_images,
    match_many_to_one,
    to_class_confusion,
    translate_map,
)
from .label_files import make_ids, write_image
from .score_checks import check_labels, warn_of_collapse

#: Ways to match clusters with classes; the words of ``matching``.
MATCHINGS = ('one-to-one', 'many-to-one', 'image-level')


@dataclass(frozen=True)
class _ImageCounts:
    """What one image adds to the evaluation.

    Attributes:
        indices (NDArray): (n,) flat indices of the non-zero entries of the (V, C, K) pixel counts.
        values (NDArray): (n,) these entries.
        shape (tuple[int, ...]): (V, C, K).
        stored (NDArray, optional): (V, K) map that the model carries, in this data set's classes.
        views (tuple[int, ...]): numbers of the V views.
    """

    indices: NDArray[np.int64]
    values: NDArray[np.int64]
    shape: tuple[int, ...]
    stored: NDArray[np.int64] | None
    views: tuple[int, ...]


@METRICS.register_module()
class HungarianIoUMetric(BaseMetric):
    """Pixel accuracy and IoU under one match over the whole data set (PiCIE section 4).

    Counts pixels per class and cluster image by image, sums over the set, and matches once. Any
    number of clusters: an unmatched cluster counts as an error. mIoU and mAcc are means over the
    classes that occur. All scores are percentages:

    - ``aAcc``, ``mIoU``, ``mAcc``, and a table per class in the log;
    - ``GROUP/aAcc``, ``GROUP/mIoU``: of a group of classes, after the match over all classes;
    - ``stored/aAcc``, ``stored/mIoU``: under the map that the model carries, if it does. The map of
      a validation, carried over to other images, makes a score without any look at their labels.
      Classes are told by their names, so the list of classes may be another one;
    - ``viewV/aAcc``, ``viewV/mIoU``: of the model's further views, each matched on its own;
    - ``MATCHING/aAcc``, ``MATCHING/mIoU``: under further ways to match.

    After an evaluation, :attr:`cluster_to_class` holds the match on the main process, and
    :attr:`confusions` the counts that it was found on.

    Args:
        ignore_index (int): label of pixels that are left out.
        groups (Mapping[str, Sequence[int]], optional): class ids of named groups; by default those
            of the data set's metainfo.
        matching (str or Sequence[str]): 'one-to-one', the Hungarian match that maximises the
            matched pixels; 'many-to-one', each cluster to the class it covers most; 'image-level',
            the match of ImageNet-S by images, class 0 being the background (:func:`match_images`).
            The first one makes the scores and the map, further ones are reported beside it.
        background_cluster (int, optional): of 'image-level', the cluster that is the background;
            by default the one that covers most of it.
        legacy_groups (bool): also report ``legacy_GROUP/aAcc`` and ``legacy_GROUP/mIoU``, the wrong
            group scores of the released implementation (:func:`legacy_group_confusion`), to
            compare with figures that were published so. Needs as many clusters as classes.
        output_dir (str, optional): folder for predicted label maps (PNG; class ids if the model
            carries a map, else cluster ids), in the tree of the images.
        keep_results (bool): that this folder is kept, which MMSegmentation's ``test.py --out`` asks
            every metric for. It always is, so False is refused.
        collect_device (str): as in ``BaseMetric``. 'gpu', on CPUs too, has ranks send each other
            what they found; 'cpu' has them write files into a folder that all of them must share.
        prefix (str, optional): as in ``BaseMetric``.

    Raises:
        ValueError: If ``matching`` is unknown, ``background_cluster`` has no use, or
            ``keep_results`` is False.
    """

    def __init__(
        self,
        ignore_index: int = 255,
        groups: Mapping[str, Sequence[int]] | None = None,
        matching: str | Sequence[str] = 'one-to-one',
        background_cluster: int | None = None,
        legacy_groups: bool = False,
        output_dir: str | None = None,
        keep_results: bool = True,
        collect_device: str = 'gpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.matchings = (matching,) if isinstance(matching, str) else tuple(matching)
        if not self.matchings or not set(self.matchings) <= set(MATCHINGS):
            raise ValueError(f'matching must be one or some of {MATCHINGS}, but got {matching!r}.')
        if background_cluster is not None and 'image-level' not in self.matchings:
            raise ValueError(
                f"background_cluster is only used by matching='image-level', but got "
                f'{background_cluster} with {matching!r}; leave it out.'
            )
        if not keep_results:
            raise ValueError(
                f'keep_results must be True, but got {keep_results!r}, as predictions are written '
                'to stay; leave output_dir out to write none.'
            )
        self.ignore_index = ignore_index
        self.groups = groups
        self.background_cluster = background_cluster
        self.legacy_groups = legacy_groups
        self.output_dir = output_dir
        #: (V, K) class of each cluster for every view that was scored, -1 where unmatched.
        self.cluster_to_class: NDArray[np.int64] | None = None
        #: (V, C, K) pixels of each class and cluster, for every view that was scored.
        self.confusions: NDArray[np.int64] | None = None
        self._sources: dict[str, str] = {}

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch.

        Args:
            data_batch (dict): unused.
            data_samples (Sequence[dict]): predictions with ``pred_sem_seg``, ``gt_sem_seg``, and
                ``seg_logits`` or ``cluster_to_class`` (for the number of clusters); perhaps
                ``pred_view_sem_seg``.
        """
        self._check_classes()
        for sample in data_samples:
            clusters = _predictions(sample)
            labels = _to_numpy(sample['gt_sem_seg']['data'])[0]
            if 'seg_logits' in sample:
                num_clusters = len(sample['seg_logits']['data'])
            else:  # left out of a large image
                num_clusters = np.shape(sample['cluster_to_class'])[1]
            counts = self._count(sample, labels, clusters, num_clusters)
            # An image shows few classes and clusters, and there may be thousands of images.
            indices = np.flatnonzero(counts)
            stored = self._stored_map(sample)
            views = tuple(sample.get('predict_views', range(len(counts))))
            values = counts.ravel()[indices]
            self.results.append(_ImageCounts(indices, values, counts.shape, stored, views))
            if self.output_dir is not None:
                self._write(sample, clusters[0], stored, num_clusters)

    def check(self, dataset: Dataset, num_clusters: int, most: int = 8) -> None:
        """Refuse before a training what would end its first validation.

        Args:
            dataset (Dataset): of the validation.
            num_clusters (int): K.
            most (int): images whose labels are looked at, evenly spread.

        Raises:
            ValueError: If settings do not fit the classes or clusters, or one of these label maps
                has another size than its image or an id that is no class.
        """
        self._check_classes()
        num_classes = len(self.dataset_meta['classes'])
        self._groups()
        if self.legacy_groups:
            self._legacy_confusion(np.zeros((num_classes, num_clusters), np.int64))
        if 'image-level' in self.matchings:
            nothing = np.zeros((1, num_classes, num_clusters), np.int64)
            match_images(nothing, background_cluster=self.background_cluster)
        indices = np.linspace(0, len(dataset) - 1, min(most, len(dataset)))  # type: ignore[arg-type]
        for index in indices.astype(int).tolist():
            sample = dataset[index]['data_samples'].to_dict()
            if 'gt_sem_seg' in sample:
                labels = _to_numpy(sample['gt_sem_seg']['data'])[0]
                clusters = np.zeros((1, *sample.get('ori_shape', labels.shape)), np.int64)
                self._count(sample, labels, clusters, num_clusters)

    def _check_classes(self) -> None:
        if not self.dataset_meta.get('classes'):
            raise ValueError(
                'HungarianIoUMetric needs the names of the classes; set metainfo=dict(classes=...) '
                'of the data set.'
            )

    def _count(
        self, sample: Mapping[str, Any], labels: NDArray, clusters: NDArray, num_clusters: int
    ) -> NDArray[np.int64]:
        """(V, C, K) pixels of an image with labels (H, W) and clusters (V, H, W)."""
        num_classes = len(self.dataset_meta['classes'])
        try:
            return np.stack(
                [
                    confusion_matrix(labels, view, num_classes, num_clusters, self.ignore_index)
                    for view in clusters
                ]
            )
        except ValueError as error:
            file = sample.get('seg_map_path') or sample.get('img_path', 'an image')
            raise ValueError(
                f'{file} cannot be scored: {error}; convert the label maps, or check the data by '
                '`picie check-data`.'
            ) from error

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Match and score.

        Args:
            results (list): what :meth:`process` kept of each image.

        Returns:
            dict[str, float]: scores in percent.
        """
        confusions = self.confusions = _sum(results)
        check_labels(confusions[0], self.dataset_meta['classes'])
        maps = [
            self._match(self.matchings[0], results, confusions, view)
            for view in range(len(confusions))
        ]
        self.cluster_to_class = np.stack(maps)
        matched = to_class_confusion(confusions[0], maps[0])
        scores = class_scores(matched)
        self._log_classes(scores)
        warn_of_collapse(confusions[0], scores)
        metrics = _summary(scores, '') | {'mAcc': _percent(scores.mean_accuracy)}
        for matching in self.matchings[1:]:
            match = self._match(matching, results, confusions, 0)
            other = class_scores(to_class_confusion(confusions[0], match))
            metrics |= _summary(other, f'{matching}/')
        for name, classes in self._groups().items():
            metrics |= _summary(class_scores(matched, classes), f'{name}/')
            if self.legacy_groups:
                legacy = self._legacy_confusion(confusions[0])
                metrics |= _summary(class_scores(legacy, classes), f'legacy_{name}/')
        stored = results[0].stored
        if stored is not None and (stored[0] != UNMATCHED).any():
            under_map = class_scores(to_class_confusion(confusions[0], stored[0]))
            metrics |= _summary(under_map, 'stored/')
        views = results[0].views
        for view, confusion, match in list(zip(views, confusions, maps, strict=True))[1:]:
            other = class_scores(to_class_confusion(confusion, match))
            metrics |= _summary(other, f'view{view}/')
        return metrics

    def _stored_map(self, sample: Mapping[str, Any]) -> NDArray[np.int64] | None:
        """(V, K) map of the model in the classes of this data set; None if it knows none."""
        stored = sample.get('cluster_to_class')
        if stored is None or (stored[0] == UNMATCHED).all():
            return None
        names = sample.get('map_classes')
        here = translate_map(stored, names, self.dataset_meta['classes'])
        if not self.results and (here[0] == UNMATCHED).all():
            print_log(
                "the model's map speaks of "
                f'{"other classes" if names is None else ", ".join(names[:3]) + ", ..."}, none of '
                'which this data set has, so it is left out; find a map for these images by '
                '`picie store-map`.',
                logger='current',
                level=logging.WARNING,
            )
        return here

    def _match(
        self, matching: str, results: list[_ImageCounts], confusions: NDArray, view: int
    ) -> NDArray[np.int64]:
        """(K,) class of each cluster of one view."""
        if matching == 'one-to-one':
            return match_clusters(confusions[view])
        if matching == 'many-to-one':
            return match_many_to_one(confusions[view])
        by_image = np.stack([_sum([image])[view] for image in results])
        return match_images(by_image, background_cluster=self.background_cluster)

    def _legacy_confusion(self, confusion: NDArray) -> NDArray[np.int64]:
        num_classes, num_clusters = confusion.shape
        if num_classes != num_clusters:
            raise ValueError(
                'legacy_groups needs as many clusters as classes, but there are '
                f'{num_clusters} clusters and {num_classes} classes; leave it out.'
            )
        return legacy_group_confusion(confusion, match_clusters(confusion))

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

    def _write(
        self,
        sample: Mapping[str, Any],
        clusters: NDArray,
        stored: NDArray | None,
        num_clusters: int,
    ) -> None:
        """Write the prediction of one image."""
        assert self.output_dir is not None
        source = sample['img_path']
        root = self.dataset_meta.get('image_folder')
        name = osp.relpath(source, root) if root else osp.basename(source)
        # An image beside the folder stays within `output_dir`.
        name = osp.join(*(part for part in Path(name).parts if part != os.pardir))
        path = osp.join(self.output_dir, osp.splitext(name)[0] + '.png')
        if self._sources.setdefault(path, source) != source:
            raise ValueError(
                f'output_dir: the predictions of {self._sources[path]} and {source} would both be '
                f'written as {path}; rename one of the images, or test them apart.'
            )
        os.makedirs(osp.dirname(path), exist_ok=True)
        table = None if stored is None else stored[0]
        write_image(path, make_ids(table, num_clusters).apply(clusters))


def _sum(results: Sequence[_ImageCounts]) -> NDArray[np.int64]:
    """(V, C, K) pixel counts of some images together."""
    total = np.zeros(results[0].shape, dtype=np.int64)
    for image in results:
        total.ravel()[image.indices] += image.values
    return total


def _summary(scores: Scores, prefix: str) -> dict[str, float]:
    return {
        f'{prefix}aAcc': _percent(scores.accuracy),
        f'{prefix}mIoU': _percent(scores.mean_iou),
    }


def _percent(fraction: float) -> float:
    return round(100 * float(fraction), 2)


def _predictions(sample: Mapping[str, Any]) -> NDArray:
    """(V, H, W) clusters of one image, of each view that predicts."""
    first = _to_numpy(sample['pred_sem_seg']['data'])
    if 'pred_view_sem_seg' not in sample:
        return first
    by_view = _to_numpy(sample['pred_view_sem_seg']['data'])
    if not np.array_equal(by_view[0], first[0]):
        raise ValueError(
            'pred_sem_seg is another prediction than that of the first view, as with test-time '
            "augmentation by mmseg's SegTTAModel, which merges one view only; set tta_model to "
            "dict(type='ViewTTAModel'), or predict_views of the head to one view."
        )
    return by_view


def _to_numpy(data: Tensor) -> NDArray:
    return data.cpu().numpy()
