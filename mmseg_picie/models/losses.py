"""Losses between views, as pure functions."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..device_limits import to_float64


def frequency_weights(counts: Tensor) -> Tensor:
    """Class weights of the released recipe: the frequency of each cluster.

    Args:
        counts (Tensor): (V, K) pixels per cluster.

    Returns:
        Tensor: (V, K) float32, each row sums to 1.
    """
    exact = to_float64(counts)
    return (exact / exact.sum(1, keepdim=True)).to(counts.device, torch.float32)


def balanced_weights(counts: Tensor) -> Tensor:
    """Class weights inversely proportional to the frequency of each cluster.

    Args:
        counts (Tensor): (V, K) pixels per cluster.

    Returns:
        Tensor: (V, K) float32; the mean over all pixels is 1. Empty clusters weigh nothing.
    """
    used = (counts > 0).sum(1, keepdim=True)
    weights = to_float64(counts.sum(1, keepdim=True)) / to_float64(used * counts.clamp(min=1))
    return torch.where(counts > 0, weights.to(counts.device, torch.float32), 0)


def view_cross_entropies(
    embeddings: Sequence[Tensor],
    labels: Sequence[Tensor],
    centroids: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy of every view's features with every view's clusters.

    Entry (a, b) is the weighted mean over pixels of
    :math:`-\log \mathrm{softmax}_k(z^a \cdot c^b_k)` at :math:`k = y^b`: features of view a,
    centroids and pseudo-labels of view b. They are PiCIE's L_within (a = b) and L_cross, with
    dot-product logits.

    Args:
        embeddings (Sequence[Tensor]): U maps (N, D, H, W), unit length along D, pixel-aligned.
        labels (Sequence[Tensor]): V maps (N, H, W) of clusters, int64.
        centroids (Tensor): (V, K, D).
        weights (Tensor, optional): (V, K) class weights; None for none.

    Returns:
        Tensor: (U, V).
    """
    rows = []
    for embedding in embeddings:
        row = []
        for view, label in enumerate(labels):
            logits = F.conv2d(embedding, centroids[view][:, :, None, None])
            weight = None if weights is None else weights[view]
            row.append(F.cross_entropy(logits, label, weight))
        rows.append(torch.stack(row))
    return torch.stack(rows)


def mutual_information(
    first: Tensor, second: Tensor, max_displacement: int, marginal_weight: float = 1.0
) -> Tensor:
    r"""Mutual information of the clusters of two aligned views, averaged over displacements.

    For a displacement t, :math:`P_t[i, j]` is the mean over pixels u of
    :math:`p_i(u) \, q_j(u + t)`, made symmetric; the result is the mean over all t with both
    components at most ``max_displacement`` of
    :math:`\sum_{ij} P_t[i,j] (\log P_t[i,j] - \lambda \log P_t[i] - \lambda \log P_t[j])`.
    IIC (Ji et al., ICCV 2019), section 3.3. Pairs beyond the border are left out.

    Args:
        first (Tensor): (N, K, H, W) probabilities p, float32, summing to 1 along K.
        second (Tensor): (N, K, H, W) probabilities q of the other view.
        max_displacement (int): T >= 0, in cells of the map, less than H and W.
        marginal_weight (float): lambda; larger than 1 favours clusters of equal size.

    Returns:
        Tensor: scalar, in nats; 0 to log K for lambda = 1.
    """
    pad = max_displacement
    # A convolution of one map by the other: the "batch" and the "output channels" are clusters.
    joint = F.conv2d(second.transpose(0, 1), first.transpose(0, 1), padding=pad)
    joint = joint.permute(2, 3, 1, 0)  # (2T + 1, 2T + 1, K of first, K of second)
    joint = (joint + joint.mT) / 2
    joint = joint / joint.sum((2, 3), keepdim=True)
    eps = torch.finfo(joint.dtype).eps
    log_marginals = sum(joint.sum(axis, keepdim=True).clamp(min=eps).log() for axis in (2, 3))
    log_ratios = joint.clamp(min=eps).log() - marginal_weight * log_marginals
    return (joint * log_ratios).sum((2, 3)).mean()
