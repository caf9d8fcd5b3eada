"""Cross-entropies between views, as pure functions."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def frequency_weights(counts: Tensor) -> Tensor:
    """Class weights of the released recipe: the frequency of each cluster.

    Args:
        counts (Tensor): (V, K) pixels per cluster.

    Returns:
        Tensor: (V, K) float32, each row sums to 1.
    """
    return (counts / counts.sum(1, keepdim=True).double()).float()


def view_cross_entropies(
    embeddings: Sequence[Tensor],
    labels: Sequence[Tensor],
    centroids: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy of every view's features with every view's clusters.

    Entry (a, b) is the weighted mean over pixels of
    :math:`-\log \mathrm{softmax}_k(z^a \cdot c^b_k)` at :math:`k = y^b`: features of view a,
    centroids and pseudo-labels of view b. PiCIE equations 6 and 7, with dot-product logits.

    Args:
        embeddings (Sequence[Tensor]): V maps (N, D, H, W), unit length along D, pixel-aligned.
        labels (Sequence[Tensor]): V maps (N, H, W) of clusters, int64.
        centroids (Tensor): (V, K, D).
        weights (Tensor, optional): (V, K) class weights; None for none.

    Returns:
        Tensor: (V, V).
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
