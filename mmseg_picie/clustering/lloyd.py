"""The first centroids of a pass: Lloyd's k-means over points in memory."""

import warnings

import numpy as np
import torch
from torch import Tensor

from .kmeans import assign, check_finite, cluster_sums


def initial_fit(
    features: Tensor, num_clusters: int, num_iters: int, seed: int, start: Tensor | None = None
) -> Tensor:
    """Fit centroids by Lloyd's algorithm, from the points that faiss would choose.

    The released code calls faiss; the result is the same (but for an empty cluster: faiss splits a
    large one). On a CPU with up to two threads scikit-learn does it, which is faster; elsewhere
    :func:`lloyd_fit`. More threads of scikit-learn add their sums in the order in which they are
    done, so that a run could not be repeated to the last bit.

    Args:
        features (Tensor): (P, D) float32 points, all of which are used. scikit-learn centres them
            in place and moves them back, which may change them by a rounding error.
        num_clusters (int): K, at least 1 and at most P.
        num_iters (int): Lloyd iterations, at least 1.
        seed (int): seed of the initial choice, in [0, 2^31).
        start (Tensor, optional): (K, D) centroids to begin with, in place of chosen points.

    Returns:
        Tensor: (K, D) float32 centroids on the device of ``features``.

    Raises:
        ValueError: If K is larger than P, or a feature is not finite.
    """
    if num_clusters > len(features):
        raise ValueError(
            'k-means needs a pixel for each centroid, but got '
            f'{num_clusters} centroids (num_clusters times centroids_per_cluster) for '
            f'{len(features)} gathered pixels; gather more (images, larger views, '
            'num_init_batches, max_init_points) or ask for fewer clusters.'
        )
    check_finite(features)
    threads = torch.get_num_threads()
    if features.device.type != 'cpu' or threads > 2:
        return lloyd_fit(features, num_clusters, num_iters, seed, start)
    # Here, as it takes a second to import.
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    if start is None:
        start = features[choose_points(len(features), num_clusters, seed)]
    kmeans = KMeans(
        num_clusters, init=start.numpy(), n_init=1, max_iter=num_iters, tol=0, copy_x=False
    )
    with warnings.catch_warnings(), threadpool_limits(threads):
        # There may be fewer different points than clusters.
        warnings.simplefilter('ignore', ConvergenceWarning)
        kmeans.fit(features.contiguous().numpy())
    return torch.from_numpy(kmeans.cluster_centers_)


def lloyd_fit(
    features: Tensor, num_clusters: int, num_iters: int, seed: int, start: Tensor | None = None
) -> Tensor:
    """Lloyd's k-means in torch, from the points of :func:`choose_points`.

    An empty cluster is moved to the point that is farthest from its centroid.

    Args:
        features (Tensor): (P, D) float32, P >= K.
        num_clusters (int): K.
        num_iters (int): number of iterations.
        seed (int): seed of the choice of points.
        start (Tensor, optional): as of :func:`initial_fit`.

    Returns:
        Tensor: (K, D) float32 centroids.
    """
    if start is None:
        start = features[choose_points(len(features), num_clusters, seed).to(features.device)]
    centroids = start.clone()
    for _ in range(num_iters):
        sums, counts, _ = cluster_sums(features, centroids)
        means = sums / counts.clamp(min=1)[:, None]
        empty = (counts == 0).nonzero().flatten()
        if len(empty):
            farthest = assign(features, centroids).sq_distances.topk(len(empty)).indices
            means[empty] = features[farthest]
        centroids = means
    return centroids


def choose_points(num_points: int, number: int, seed: int) -> Tensor:
    """Choose distinct points at random: those that ``faiss.Kmeans`` begins with.

    faiss permutes all points by swaps, drawn by a Mersenne Twister of the next seed. The first
    ``number`` swaps decide which points come first.

    Args:
        num_points (int): P.
        number (int): how many are chosen, at most P.
        seed (int): of the choice, in [0, 2^31).

    Returns:
        Tensor: (number,) int64 indices below P.
    """
    draws = np.random.RandomState(seed + 1).randint(0, 1 << 32, size=number, dtype=np.uint32)
    moved: dict[int, int] = {}  # place -> the point that was swapped to it
    chosen = []
    for place, draw in enumerate(draws.tolist()):
        other = place + draw % (num_points - place)
        chosen.append(moved.get(other, other))
        moved[other] = moved.get(place, place)
    return torch.tensor(chosen)
