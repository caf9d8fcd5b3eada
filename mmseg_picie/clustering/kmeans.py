"""Euclidean k-means over pixel features: assignment and mini-batch updates.

Every function is pure: it takes tensors, returns a ``NamedTuple`` and changes nothing in place, so
that sums can be reduced over processes between :func:`cluster_sums` and :func:`minibatch_update`.
PiCIE section 3.1 (clustering); the update is Bottou & Bengio's mini-batch rule as PiCIE uses it.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..device_limits import to_float64

# What is computed per point is computed in blocks of at most this many entries (8 MiB of float32),
# so that beside the points themselves no memory grows with points times clusters or dimensions, and
# a block is still in the processor's cache when its points are summed.
_BLOCK_ENTRIES = 1 << 21


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
        sq_distance (Tensor): scalar float64, sum of squared distances to the nearest centroid; on
            the CPU if the device has no float64.
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
    pairs, rest = divmod(len(features), 2)
    if features.device.type == 'cpu' and pairs and not rest and features.is_contiguous():
        # As a convolution over an image of two rows, which on a CPU takes two thirds of the time.
        image = features.view(1, 2, pairs, -1).permute(0, 3, 1, 2)
        scores = F.conv2d(image, 2 * centroids[:, :, None, None], bias)
        return scores[0].permute(1, 2, 0).flatten(0, 1)
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
    labels, sq_distances = [], []
    for part in features.split(_block_size(centroids)):
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
    sums = torch.zeros_like(centroids)
    counts = torch.zeros(len(centroids), dtype=torch.int64, device=centroids.device)
    sq_distances = []
    for part in features.split(_block_size(centroids)):
        best, labels = centroid_scores(part, centroids).max(1)
        sums += torch.zeros_like(sums).index_add_(0, labels, part)
        counts += torch.bincount(labels, minlength=len(centroids))
        # Of all points together: |z - c|^2 = |z|^2 - score.
        norms = torch.linalg.vecdot(part.flatten(), part.flatten())
        sq_distances.append(torch.stack([norms, -best.sum()]))
    sq_distance = to_float64(torch.stack(sq_distances)).sum()
    if not sq_distance.isfinite():
        check_finite(features)
    return ClusterSums(sums, counts, sq_distance.clamp_(min=0))


def _block_size(centroids: Tensor) -> int:
    """Points that are looked at together."""
    return max(2, _BLOCK_ENTRIES // max(centroids.shape) // 2 * 2)


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
    rate = (to_float64(batch.counts) / (to_float64(counts) + 1e-6)).to(state.centroids)[:, None]
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
    bad = sum(int((~part.isfinite()).sum()) for part in features.flatten().split(1 << 21))
    if bad:
        raise ValueError(
            f'features must be finite to be clustered, but {bad} of {features.numel()} values '
            'are NaN or infinite; the training has diverged (lower the learning rate) or the '
            'weights that it started from are broken.'
        )
