"""Merge clusters into fewer: k-means cuts a large class into pieces, near to each other."""

import numpy as np
import torch
from scipy.cluster.hierarchy import linkage
from torch import Tensor


def merge_centroids(centroids: Tensor, num_clusters: int) -> Tensor:
    """Merge centroids by average linkage of their cosine distances.

    k-means makes clusters of about equal spread, so a class with many looks becomes several of
    them and takes those of small classes. Average linkage (UPGMA; Sokal and Michener 1958) joins
    what is near, however large it has become, and leaves what is far from all else alone.

    Args:
        centroids (Tensor): (K', D), of any length but zero.
        num_clusters (int): K, from 1 to K'.

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
    unit = torch.nn.functional.normalize(centroids.double().cpu(), dim=1).numpy()
    merges = linkage(unit, 'average', metric='cosine')
    # By number and not by height: equal heights must not join more than is asked for.
    labels = np.arange(2 * number - num_clusters)
    for step, (first, second) in enumerate(merges[: number - num_clusters, :2].astype(int)):
        labels[labels == labels[first]] = labels[number + step]
        labels[labels == labels[second]] = labels[number + step]
    _, first_places, numbers = np.unique(labels[:number], return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first_places))
    return torch.from_numpy(order[numbers]).to(centroids.device)


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
    shape = (len(scores), num_clusters, *scores.shape[2:])
    index = merged.view(1, -1, 1, 1).expand_as(scores)
    return scores.new_full(shape, lowest).scatter_reduce(1, index, scores, 'amax')
