"""Figures of a clustering that tell, without labels, how many clusters points may have."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .kmeans import cluster_sums
from .lloyd import initial_fit
from .merging import merge_centroids

#: Neighbouring numbers of clusters differ by at least this factor, above the first few.
_STEP = 1.15


class FittedClusters(NamedTuple):
    """Clusters as a head predicts them.

    Attributes:
        centroids (Tensor): (K', D) float32.
        merged (Tensor): (K',) int64, the cluster of each, below K.
    """

    centroids: Tensor
    merged: Tensor


def spaced_numbers(smallest: int, largest: int) -> list[int]:
    """Numbers of clusters to try: all at first, then at steps of about a seventh.

    Args:
        smallest (int): at least 1.
        largest (int): at least ``smallest``.

    Returns:
        list[int]: ascending, both ends included.
    """
    numbers = [smallest]
    while numbers[-1] < largest:
        numbers.append(min(largest, max(numbers[-1] + 1, round(numbers[-1] * _STEP))))
    return numbers


def fit_clusters(
    points: Tensor, num_clusters: int, centroids_per_cluster: int, num_iters: int, seed: int
) -> FittedClusters:
    """Cluster points: k-means, and, with several centroids a cluster, their merging.

    Args:
        points (Tensor): (P, D) float32 of unit length, P at least K'.
        num_clusters (int): K.
        centroids_per_cluster (int): K' / K.
        num_iters (int): Lloyd iterations.
        seed (int): of the first centroids.

    Returns:
        FittedClusters: of K clusters.
    """
    number = num_clusters * centroids_per_cluster
    # A copy, as scikit-learn moves points in place.
    centroids = initial_fit(points.clone(), number, num_iters, seed)
    counts = cluster_sums(points, centroids).counts
    return FittedClusters(centroids, merge_centroids(centroids, num_clusters, counts))


def predict_clusters(points: Tensor, fitted: FittedClusters) -> NDArray[np.int64]:
    """The cluster of each point, by the largest dot product, as a head predicts.

    Args:
        points (Tensor): (P, D).
        fitted (FittedClusters): of :func:`fit_clusters`.

    Returns:
        NDArray: (P,) below K.
    """
    return fitted.merged[(points @ fitted.centroids.T).argmax(1)].cpu().numpy()


def inertia_of(points: Tensor, clusters: NDArray, num_clusters: int) -> float:
    """Mean squared distance of points to the mean of their cluster.

    Args:
        points (Tensor): (P, D).
        clusters (NDArray): (P,) below K.
        num_clusters (int): K.
    """
    labels = torch.from_numpy(clusters).to(points.device)
    sums = points.new_zeros(num_clusters, points.shape[1]).index_add_(0, labels, points)
    counts = torch.bincount(labels, minlength=num_clusters).clamp(min=1)
    return float((points - (sums / counts[:, None])[labels]).square().sum(1).mean())


def prediction_strength(own: NDArray, foreign: NDArray) -> float:
    """How far clusters of points are found again by a clustering of other points.

    Of the pairs of points of a cluster, the share that the other clustering puts together as well,
    as a mean over clusters. Tibshirani and Walther (2005) take the worst cluster instead, which is
    near zero as soon as there are many.

    Args:
        own (NDArray): (P,) clusters that were fitted to these points.
        foreign (NDArray): (P,) their clusters under centroids that were fitted to others.

    Returns:
        float: 0 to 1; 1 for the same partition. NaN if no cluster has two points.
    """
    shares = []
    for cluster in np.unique(own):
        counts = np.unique(foreign[own == cluster], return_counts=True)[1]
        total = counts.sum()
        if total > 1:
            shares.append(float((counts * (counts - 1)).sum() / (total * (total - 1))))
    return float(np.mean(shares)) if shares else float('nan')
