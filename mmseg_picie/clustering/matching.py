"""Matching of clusters to classes, and scores from a confusion matrix.

A confusion matrix has one row per class and one column per cluster (or predicted class); its
entries count pixels. Scores are fractions in [0, 1]; a score of nothing is NaN.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

#: Stands for "no class" in a cluster-to-class map.
UNMATCHED = -1


class Scores(NamedTuple):
    """Scores of a prediction in terms of classes.

    Attributes:
        accuracy (float): correct pixels / labelled pixels (aAcc).
        iou (NDArray): (C,) intersection over union per class; NaN for a class that occurs neither
            in the labels nor in the prediction.
        class_accuracy (NDArray): (C,) recall per class; NaN for a class that is not labelled.
    """

    accuracy: float
    iou: NDArray[np.float64]
    class_accuracy: NDArray[np.float64]

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes that occur (nanmean), NaN if none does."""
        return _nanmean(self.iou)

    @property
    def mean_accuracy(self) -> float:
        """Mean class accuracy over the labelled classes (nanmean), NaN if none is."""
        return _nanmean(self.class_accuracy)


def confusion_matrix(
    labels: NDArray, clusters: NDArray, num_classes: int, num_clusters: int, ignore_index: int
) -> NDArray[np.int64]:
    """Count pixels per (class, cluster).

    Args:
        labels (NDArray): integer classes in [0, C) or ``ignore_index``, any shape.
        clusters (NDArray): integer clusters in [0, K), of the same shape.
        num_classes (int): C.
        num_clusters (int): K.
        ignore_index (int): label of pixels to leave out.

    Returns:
        NDArray: (C, K) int64.

    Raises:
        ValueError: If the shapes differ, or a label or cluster is out of range.
    """
    if labels.shape != clusters.shape:
        raise ValueError(
            f'labels and clusters must have one shape, but got {labels.shape} and {clusters.shape}'
        )
    valid = labels != ignore_index
    rows, columns = labels[valid].astype(np.int64), clusters[valid].astype(np.int64)
    for name, values, size in (('label', rows, num_classes), ('cluster', columns, num_clusters)):
        if values.size and (values.min() < 0 or values.max() >= size):
            bad = values[(values < 0) | (values >= size)][0]
            raise ValueError(f'every {name} must lie in [0, {size}), but got {bad}')
    counts = np.bincount(rows * num_clusters + columns, minlength=num_classes * num_clusters)
    return counts.reshape(num_classes, num_clusters)


def match_clusters(confusion: NDArray) -> NDArray[np.int64]:
    """One-to-one match of clusters to classes that maximises the matched pixels (Hungarian).

    Args:
        confusion (NDArray): (C, K) pixel counts.

    Returns:
        NDArray: (K,) class of each cluster, :data:`UNMATCHED` for the K - C clusters left over.
    """
    classes, clusters = linear_sum_assignment(confusion, maximize=True)
    cluster_to_class = np.full(confusion.shape[1], UNMATCHED, dtype=np.int64)
    cluster_to_class[clusters] = classes
    return cluster_to_class


def match_many_to_one(confusion: NDArray) -> NDArray[np.int64]:
    """Match each cluster to the class that it covers most, several clusters to one if need be.

    The usual score of over-clustering: accuracy under this match is the purity of the clusters.

    Args:
        confusion (NDArray): (C, K) pixel counts.

    Returns:
        NDArray: (K,) class of each cluster, the first of equals; :data:`UNMATCHED` for a cluster
            without a labelled pixel.
    """
    return np.where(confusion.any(0), confusion.argmax(0), UNMATCHED)


def match_images(
    confusions: NDArray, background: int = 0, background_cluster: int | None = None
) -> NDArray[np.int64]:
    """One-to-one match that maximises the images whose main cluster is that of their main class.

    The protocol of ImageNet-S, whose images show one class before a background. The background's
    cluster is fixed first. Of every image, the class and the cluster with the most labelled pixels,
    the background left aside, cast one vote for each other; votes are matched as pixels are in
    :func:`match_clusters`.

    Args:
        confusions (NDArray): (N, C, K) pixel counts of each image.
        background (int): class of the background.
        background_cluster (int, optional): its cluster; the one that covers most pixels of the
            background by default.

    Returns:
        NDArray: (K,) class of each cluster; :data:`UNMATCHED` for clusters that are left over.

    Raises:
        ValueError: If ``background`` is no class or ``background_cluster`` no cluster, or there is
            none beside them.
    """
    _, num_classes, num_clusters = confusions.shape
    if num_classes < 2 or num_clusters < 2:
        raise ValueError(
            'a match by images needs a class and a cluster beside the background, but got '
            f'{num_classes} classes and {num_clusters} clusters; match by pixels instead.'
        )
    if not 0 <= background < num_classes:
        raise ValueError(f'background must lie in [0, {num_classes}), but got {background}.')
    if background_cluster is None:
        background_cluster = int(confusions[:, background].sum(0).argmax())
    if not 0 <= background_cluster < num_clusters:
        raise ValueError(
            f'background_cluster must lie in [0, {num_clusters}), but got {background_cluster}.'
        )
    classes = np.delete(np.arange(num_classes), background)
    clusters = np.delete(np.arange(num_clusters), background_cluster)
    of_classes = confusions[:, classes].sum(2)
    of_clusters = confusions[:, :, clusters].sum(1)
    votes = np.zeros((len(classes), len(clusters)), dtype=np.int64)
    shown = of_classes.any(1) & of_clusters.any(1)
    np.add.at(votes, (of_classes[shown].argmax(1), of_clusters[shown].argmax(1)), 1)
    match = match_clusters(votes)
    cluster_to_class = np.full(num_clusters, UNMATCHED, dtype=np.int64)
    cluster_to_class[background_cluster] = background
    cluster_to_class[clusters] = np.where(match == UNMATCHED, UNMATCHED, classes[match])
    return cluster_to_class


def legacy_group_confusion(confusion: NDArray, cluster_to_class: NDArray) -> NDArray[np.int64]:
    """Counts from which the released implementation takes its scores of things and of stuff.

    Its rows are classes in the order of their clusters, so that "classes 0 to 11" picks clusters 0
    to 11, whatever they were matched to. To be compared with figures that were published so, and
    with nothing else.

    Args:
        confusion (NDArray): (C, C) pixel counts.
        cluster_to_class (NDArray): (C,) one-to-one match.

    Returns:
        NDArray: (C, C + 1) pixel counts for :func:`class_scores`, the last column zero.
    """
    return np.pad(confusion[cluster_to_class], ((0, 0), (0, 1)))


def to_class_confusion(confusion: NDArray, cluster_to_class: NDArray) -> NDArray[np.int64]:
    """Turn clusters into classes; what unmatched clusters cover goes to an extra last column.

    Args:
        confusion (NDArray): (C, K) pixel counts.
        cluster_to_class (NDArray): (K,) class of each cluster or :data:`UNMATCHED`.

    Returns:
        NDArray: (C, C + 1) pixel counts; column C holds the pixels of unmatched clusters.
    """
    num_classes = len(confusion)
    result = np.zeros((num_classes + 1, num_classes), dtype=np.int64)
    columns = np.where(cluster_to_class == UNMATCHED, num_classes, cluster_to_class)
    np.add.at(result, columns, confusion.T)
    return result.T


def class_scores(class_confusion: NDArray, classes: Sequence[int] | None = None) -> Scores:
    """Scores from a confusion matrix in terms of classes.

    Args:
        class_confusion (NDArray): (C, C + 1) pixel counts of :func:`to_class_confusion`. Pixels
            in the last column count as errors.
        classes (Sequence[int], optional): a group of classes. Only pixels whose label lies in the
            group and whose prediction does, or is unmatched, count: PiCIE's things and stuff.

    Returns:
        Scores: over all classes, or over those of the group, in the group's order.
    """
    if classes is not None:
        class_confusion = class_confusion[np.ix_(classes, [*classes, len(class_confusion)])]
    correct = np.diagonal(class_confusion).astype(np.float64)
    labelled = class_confusion.sum(1)
    predicted = class_confusion[:, : len(correct)].sum(0)
    with np.errstate(invalid='ignore', divide='ignore'):
        accuracy = np.float64(correct.sum()) / labelled.sum()
        iou = correct / (labelled + predicted - correct)
        class_accuracy = correct / labelled
    return Scores(float(accuracy), iou, class_accuracy)


def _nanmean(values: NDArray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float('nan')
