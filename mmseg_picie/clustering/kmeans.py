"""Euclidean k-means over pixel features: initial fit, assignment and mini-batch updates.

Every function is pure: it takes tensors, returns a ``NamedTuple`` and changes nothing in place, so
that sums can be reduced over processes between :func:`cluster_sums` and :func:`minibatch_update`.
PiCIE section 3.1 (clustering); the update is Bottou & Bengio's mini-batch rule as PiCIE uses it.
"""

import functools
import warnings
from types import ModuleType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# What is computed per point is computed in blocks of at most this many entries (64 MiB of float32),
# so that beside the points themselves no memory grows with points times clusters or dimensions.
_MAX_BLOCK_SCORES = 1 << 24


class Assignment(NamedTuple):
    """Nearest centroid of each point.

    Attributes:
        labels (Tensor): (P,) int64 in [0, K).
        sq_distances (Tensor): (P,) float32, squared Euclidean distance to that centroid.
    """

    labels: Tensor
    sq_distances: Tensor


class ClusterSums(NamedTuple):
    """Sufficient statistics of one mini-batch; those of a union of batches are their sums.

    Attributes:
        sums (Tensor): (K, D) float32, sum of the points assigned to each cluster.
        counts (Tensor): (K,) int64, number of points assigned to each cluster.
        sq_distance (Tensor): scalar float64, sum of squared distances to the nearest centroid.
    """

    sums: Tensor
    counts: Tensor
    sq_distance: Tensor


class KMeansState(NamedTuple):
    """Centroids and the number of points that they have seen.

    Attributes:
        centroids (Tensor): (K, D) float32. Not re-normalised.
        counts (Tensor): (K,) int64, points assigned so far, the initial fit's included.
    """

    centroids: Tensor
    counts: Tensor


def centroid_scores(features: Tensor, centroids: Tensor) -> Tensor:
    r"""Score of each centroid, :math:`2 z \cdot c - |c|^2`: the nearest centroid scores highest.

    Args:
        features (Tensor): (P, D) points, or an (N, D, H, W) feature map.
        centroids (Tensor): (K, D).

    Returns:
        Tensor: (P, K), or (N, K, H, W). Equals :math:`|z|^2 - |z - c|^2`.
    """
    bias = -centroids.square().sum(1)
    if features.ndim == 4:
        return F.conv2d(features, 2 * centroids[:, :, None, None], bias)
    return torch.addmm(bias, features, centroids.T, alpha=2)


def assign(features: Tensor, centroids: Tensor) -> Assignment:
    """Assign each point to its nearest centroid (squared Euclidean distance).

    Args:
        features (Tensor): (P, D) float32.
        centroids (Tensor): (K, D) float32.

    Returns:
        Assignment: labels and squared distances of the P points. Of equally near centroids, one
        is taken.
    """
    block = max(1, _MAX_BLOCK_SCORES // max(centroids.shape))
    sq_distances, labels = [], []
    for part in features.split(block):
        best, label = centroid_scores(part, centroids).max(1)
        sq_distances.append((torch.linalg.vecdot(part, part) - best).clamp_(min=0))
        labels.append(label)
    return Assignment(torch.cat(labels), torch.cat(sq_distances))


def cluster_sums(features: Tensor, centroids: Tensor) -> ClusterSums:
    """Assign points and sum them per cluster.

    Args:
        features (Tensor): (P, D) float32; P may be 0.
        centroids (Tensor): (K, D) float32.

    Returns:
        ClusterSums: to be reduced over processes and given to :func:`minibatch_update`.

    Raises:
        ValueError: If a feature is not finite.
    """
    check_finite(features)
    num_clusters = len(centroids)
    labels, sq_distances = assign(features, centroids)
    sums = torch.zeros_like(centroids).index_add_(0, labels, features)
    counts = torch.bincount(labels, minlength=num_clusters)
    return ClusterSums(sums, counts, sq_distances.sum(dtype=torch.float64))


def minibatch_update(state: KMeansState, batch: ClusterSums) -> KMeansState:
    r"""Move each centroid towards the mean of the points that the mini-batch assigned to it.

    With :math:`n_k` points in the batch and :math:`N_k` seen so far, these included,
    :math:`c_k \leftarrow (1 - \eta) c_k + \eta \bar z_k` with
    :math:`\eta = n_k / (N_k + 10^{-6})`. A cluster with no point in the batch stays where it is.

    Args:
        state (KMeansState): centroids and counts before the update.
        batch (ClusterSums): statistics of the batch under ``state.centroids``.

    Returns:
        KMeansState: centroids and counts after the update.
    """
    counts = state.counts + batch.counts
    # Rates in float64: counts pass 2^24, where float32 no longer holds every integer.
    rate = (batch.counts / (counts.double() + 1e-6)).to(state.centroids.dtype)[:, None]
    means = batch.sums / batch.counts.clamp(min=1).to(batch.sums.dtype)[:, None]
    return KMeansState(torch.lerp(state.centroids, means, rate), counts)


def scale_counts(counts: Tensor, numerator: int, denominator: int) -> Tensor:
    """Multiply counts of a sample by a ratio, in integers that sum to the whole.

    Args:
        counts (Tensor): (K,) int64 counts, at least 0.
        numerator (int): points that the sample stands for, per ``denominator`` points of it.
        denominator (int): see there.

    Returns:
        Tensor: (K,) int64, each within 1 of ``counts * numerator / denominator``; their sum is that
            of the exact values, rounded.
    """
    ends = (counts.cumsum(0) * numerator + denominator // 2) // denominator
    return ends.diff(prepend=ends.new_zeros(1))


def initial_fit(features: Tensor, num_clusters: int, num_iters: int, seed: int) -> Tensor:
    """Fit centroids by Lloyd's algorithm from randomly chosen points.

    faiss does it where it can be imported, on the GPU if it sees one; otherwise torch does. Points
    that lie row by row in the host's memory are not copied.

    Args:
        features (Tensor): (P, D) float32 points, all of which are used.
        num_clusters (int): K, at least 1 and at most P.
        num_iters (int): Lloyd iterations, at least 1.
        seed (int): seed of the initial choice, in [0, 2^31).

    Returns:
        Tensor: (K, D) float32 centroids on the device of ``features``.

    Raises:
        ValueError: If K is larger than P, or a feature is not finite.
    """
    if num_clusters > len(features):
        raise ValueError(
            f'num_clusters must not exceed the number of gathered pixels, but got {num_clusters} '
            f'clusters for {len(features)} pixels; gather more (images, larger views, '
            'num_init_batches, max_init_points) or ask for fewer clusters.'
        )
    check_finite(features)
    faiss = import_faiss()
    if faiss is None:
        return lloyd_fit(features, num_clusters, num_iters, seed)
    kmeans = faiss.Kmeans(
        features.shape[1],
        num_clusters,
        niter=num_iters,
        seed=seed,
        gpu=faiss.get_num_gpus() > 0,
        # faiss would otherwise subsample to 256 points a cluster, and warn below 39.
        max_points_per_centroid=len(features),
        min_points_per_centroid=1,
    )
    kmeans.train(features.contiguous().cpu().numpy())
    return torch.from_numpy(kmeans.centroids).to(features)


def lloyd_fit(features: Tensor, num_clusters: int, num_iters: int, seed: int) -> Tensor:
    """Lloyd's k-means in torch, from ``num_clusters`` distinct points chosen at random.

    An empty cluster is moved to the point that is farthest from its centroid.

    Args:
        features (Tensor): (P, D) float32, P >= K.
        num_clusters (int): K.
        num_iters (int): number of iterations.
        seed (int): seed of the choice of points.

    Returns:
        Tensor: (K, D) float32 centroids.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(features), generator=generator)[:num_clusters]
    centroids = features[chosen.to(features.device)].clone()
    for _ in range(num_iters):
        labels, sq_distances = assign(features, centroids)
        sums = torch.zeros_like(centroids).index_add_(0, labels, features)
        counts = torch.bincount(labels, minlength=num_clusters)
        centroids = sums / counts.clamp(min=1)[:, None]
        empty = (counts == 0).nonzero().flatten()
        if len(empty):
            centroids[empty] = features[sq_distances.topk(len(empty)).indices]
    return centroids


def check_finite(features: Tensor) -> None:
    """Refuse features with NaN or infinity.

    Args:
        features (Tensor): any shape.

    Raises:
        ValueError: If an entry is not finite.
    """
    # A sum needs no mask of the features' size. It may overflow though, so then they are counted.
    if features.sum().isfinite():
        return
    bad = sum(int((~part.isfinite()).sum()) for part in features.flatten().split(1 << 20))
    if bad:
        raise ValueError(
            f'features must be finite to be clustered, but {bad} of {features.numel()} values '
            'are NaN or infinite; the training has diverged (lower the learning rate) or the '
            'weights that it started from are broken.'
        )


@functools.lru_cache(maxsize=1)
def import_faiss() -> ModuleType | None:
    """Import faiss if it works here.

    Returns:
        module or None: faiss, or None where it is missing or broken (a warning tells why).
    """
    try:
        import faiss
    except ImportError:
        return None
    except RuntimeError as error:  # a build for another CPU or CUDA
        warnings.warn(f'faiss is installed but cannot be used: {error}', stacklevel=2)
        return None
    return faiss


def describe_backend() -> str:
    """Say in a few words what :func:`initial_fit` runs on."""
    faiss = import_faiss()
    if faiss is None:
        return "torch, as faiss cannot be imported (pip install 'mmseg_picie[cpu]' or '[gpu]')"
    place = 'GPU' if faiss.get_num_gpus() > 0 else 'CPU'
    return f'faiss {faiss.__version__} on the {place}'
