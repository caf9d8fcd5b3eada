"""Merge clusters into fewer: k-means cuts a large class into pieces, near to each other."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from torch import Tensor

#: Share of an equal part of all pixels, 1 / K, that a merged cluster has at least.
MIN_SHARE = 0.1


def merge_centroids(
    centroids: Tensor,
    num_clusters: int,
    counts: Tensor | None = None,
    min_share: float = MIN_SHARE,
) -> Tensor:
    """Merge centroids by average linkage of their cosine distances.

    k-means makes clusters of about equal spread, so a class with many looks becomes several of
    them and takes those of small classes. Average linkage (UPGMA; Sokal and Michener 1958) joins
    what is near, however large it has become, and leaves what is far from all else alone.

    That also leaves single odd centroids, which would take a cluster each. If sizes are known, the
    tree is cut where K of its branches are large enough; the K largest are the clusters, and any
    other branch joins the nearest of them by the cosine of their means. If there is no such cut,
    small clusters stay.

    Args:
        centroids (Tensor): (K', D), of any length but zero.
        num_clusters (int): K, from 1 to K'.
        counts (Tensor, optional): (K',) pixels of each centroid, at least 0.
        min_share (float): how large is large enough, as a part of (sum of ``counts``) / K.

    Returns:
        Tensor: (K',) int64, the cluster of each centroid, on the device of ``centroids``. Clusters
            are numbered in the order of their first centroids, and none is empty.

    Raises:
        ValueError: If there are fewer centroids than clusters.
    """
    number = len(centroids)
    if not 1 <= num_clusters <= number:
        raise ValueError(
            f'num_clusters must be from 1 to the number of centroids, {number}, but got '
            f'{num_clusters}.'
        )
    if num_clusters == number:
        return torch.arange(number, device=centroids.device)
    # On the CPU and in float64, so that it is the same on every device.
    unit = F.normalize(centroids.cpu().double(), dim=1).numpy()
    merges = linkage(unit, 'average', metric='cosine')
    labels = _cut(merges, num_clusters)
    if counts is not None:
        weights = counts.cpu().double().numpy()
        least = min_share * weights.sum() / num_clusters
        for branches in range(num_clusters, number + 1):
            finer = _cut(merges, branches)
            sizes = np.bincount(finer, weights)
            if (sizes >= least).sum() >= num_clusters:
                labels = _join_small(finer, sizes, unit * weights[:, None], num_clusters)
                break
    return torch.from_numpy(labels).to(centroids.device)


def _cut(merges: NDArray, num_clusters: int) -> NDArray:
    """Branches of scipy's tree of merges, numbered by their first leaves.

    By their number and not by height: equal heights must not join more than is asked for.
    """
    number = len(merges) + 1
    labels = np.arange(2 * number - num_clusters)
    for step, (first, second) in enumerate(merges[: number - num_clusters, :2].astype(int)):
        labels[labels == labels[first]] = labels[number + step]
        labels[labels == labels[second]] = labels[number + step]
    return _renumber(labels[:number])


def _renumber(labels: NDArray) -> NDArray:
    """Number labels in the order in which they come up."""
    _, first_places, numbers = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first_places))[numbers]


def _join_small(labels: NDArray, sizes: NDArray, sums: NDArray, num_clusters: int) -> NDArray:
    """Keep the largest branches, and give each other one to the nearest of them.

    Args:
        labels (NDArray): (K',) branch of each centroid.
        sizes (NDArray): (B,) pixels of each branch.
        sums (NDArray): (K', D) unit centroids times their pixels.
        num_clusters (int): K, at most B.
    """
    kept = np.sort(np.argsort(-sizes, kind='stable')[:num_clusters])
    means = np.zeros((len(sizes), sums.shape[1]))
    np.add.at(means, labels, sums)
    means /= np.linalg.norm(means, axis=1, keepdims=True).clip(np.finfo(float).tiny)
    nearest = kept[(means @ means[kept].T).argmax(1)]
    nearest[kept] = kept
    return _renumber(nearest[labels])


def merge_scores(scores: Tensor, merged: Tensor, num_clusters: int) -> Tensor:
    """Scores of merged clusters: the largest of their centroids'.

    Args:
        scores (Tensor): (N, K', H, W).
        merged (Tensor): (K',) int64, of :func:`merge_centroids`.
        num_clusters (int): K.

    Returns:
        Tensor: (N, K, H, W).
    """
    lowest = torch.finfo(scores.dtype).min
    shape = (scores.shape[0], num_clusters, *scores.shape[2:])
    index = merged.view(1, -1, 1, 1).expand_as(scores)
    return scores.new_full(shape, lowest).scatter_reduce(1, index, scores, 'amax')
