"""The head whose classifier is the centroids of k-means."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from ..clustering import UNMATCHED, centroid_scores, merge_centroids, merge_scores
from ..device_limits import without_autocast
from .losses import balanced_weights, frequency_weights, view_cross_entropies
from .view_head import Maps, ViewHead

CLASS_WEIGHTS = ('frequency', 'none', 'balanced')


@MODELS.register_module()
class CentroidHead(ViewHead):
    """Scores pixels by the dot product of their unit-length feature with fixed centroids.

    It has no parameters. Its buffers are ``centroids`` (V, K, D), ``cluster_counts`` (V, K, pixels
    per cluster), ``logit_bias`` (V, K, zero after every clustering; the classifiers of a converted
    checkpoint may have one) and ``cluster_to_class`` (V, K, class of each cluster, -1 where
    unknown). The centroids are written by :class:`KMeansCentroidHook`. It also serves as
    ``auxiliary_head``.

    Args:
        num_clusters (int): K, at least 2.
        in_channels (int): D, channels of the feature map.
        in_index (int): which of the decoder's maps is used.
        num_views (int): V, sets of centroids.
        predict_views (Sequence[int]): views whose centroids predict, from 0; the first one makes
            ``pred_sem_seg`` and names, the others are only scored.
        class_weight (str): 'frequency', the released recipe; 'none'; or 'balanced', inversely
            proportional to the frequency.
        within_weight (float): weight of the cross-entropy within views in the loss.
        cross_weight (float): weight of the cross-entropy across views in the loss.
        align_corners (bool): as in mmseg, for the upsampling of logits.
        centroids_per_cluster (int): with more than one, each view has K' = K times as many
            centroids, which are merged to K clusters for the prediction (:func:`merge_centroids`);
            the losses tell all of them apart. Buffers are then of K' instead of K, but for
            ``cluster_to_class``. The paper has one.

    Raises:
        ValueError: If an argument is out of range, or a checkpoint has other K, D, V or K'.
    """

    needs_centroids = True
    is_separable = True
    learned_buffers: tuple[str, ...] = ('centroids', 'cluster_counts')

    def __init__(
        self,
        num_clusters: int,
        in_channels: int = 128,
        in_index: int = 0,
        num_views: int = 2,
        predict_views: Sequence[int] = (0,),
        class_weight: str = 'frequency',
        within_weight: float = 0.5,
        cross_weight: float = 0.5,
        align_corners: bool = False,
        centroids_per_cluster: int = 1,
    ) -> None:
        if class_weight not in CLASS_WEIGHTS:
            raise ValueError(
                f'class_weight must be one of {CLASS_WEIGHTS}, but got {class_weight!r}.'
            )
        super().__init__(
            num_clusters, in_channels, in_index, num_views, num_views, predict_views, align_corners
        )
        del self.conv_seg  # it would be an unused parameter, on which DDP fails
        if centroids_per_cluster < 1:
            raise ValueError(
                f'centroids_per_cluster must be at least 1, but got {centroids_per_cluster}.'
            )
        self.num_centroids = centroids_per_cluster * num_clusters
        self.class_weight = class_weight
        self.within_weight = within_weight
        self.cross_weight = cross_weight
        shape = (num_views, self.num_centroids)
        self.register_buffer('centroids', torch.zeros(*shape, in_channels))
        self.register_buffer('cluster_counts', torch.zeros(shape, dtype=torch.int64))
        self.register_buffer('logit_bias', torch.zeros(shape))
        if self.is_merged:
            self.register_buffer('merged', torch.zeros(shape, dtype=torch.int64))
            self.learned_buffers = (*self.learned_buffers, 'merged')

    @property
    def is_merged(self) -> bool:
        """Whether there are more centroids than clusters."""
        return self.num_centroids > self.num_clusters

    @property
    def is_fitted(self) -> bool:
        """Whether there are centroids."""
        return bool(self.cluster_counts.any())

    def set_centroids(self, centroids: Tensor, counts: Tensor) -> None:
        """Take new centroids; what the old clusters were called is forgotten.

        Args:
            centroids (Tensor): (V, K', D).
            counts (Tensor): (V, K') pixels per centroid.
        """
        self.centroids.copy_(centroids)
        self.cluster_counts.copy_(counts)
        self.logit_bias.zero_()
        if self.is_merged:
            views = zip(self.centroids, self.cluster_counts, strict=True)
            self.merged.copy_(
                torch.stack([merge_centroids(c, self.num_clusters, n) for c, n in views])
            )
        self.cluster_to_class.fill_(UNMATCHED)

    def label(self, embedding: Tensor, view: int) -> Tensor:
        """Pseudo-labels: the nearest centroid of each pixel.

        Args:
            embedding (Tensor): (N, D, H, W).
            view (int): whose centroids.

        Returns:
            Tensor: (N, H, W) int64: a centroid, of which each cluster may have several.
        """
        return centroid_scores(embedding, self.centroids[view]).argmax(1)

    def predict(self, inputs: Maps, batch_img_metas: list[dict], test_cfg: Any) -> Tensor:
        """Cluster logits at the size of the images.

        Args:
            inputs (Sequence[Tensor]): maps of the decoder.
            batch_img_metas (list[dict]): as in mmseg.
            test_cfg (dict): likewise.

        Returns:
            Tensor: (N, V' K, H, W).

        Raises:
            RuntimeError: If there are no centroids yet.
        """
        if not self.is_fitted:
            raise RuntimeError(
                'this model has no centroids, so it cannot predict; train it (at least until the '
                'first clustering) or load the checkpoint of a trained one.'
            )
        return super().predict(inputs, batch_img_metas, test_cfg)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Cluster logits.

        Args:
            inputs (Sequence[Tensor]): maps of the decoder.

        Returns:
            Tensor: (N, V' K, H, W), K logits for each of the V' views of ``predict_views``; all
                alike if there are no centroids yet. No value decides what is computed, so that it
                can be traced.
        """
        views = list(self.predict_views)
        centroids = self.centroids[views].flatten(0, 1)[:, :, None, None]
        scores = F.conv2d(self.embed(inputs), centroids, self.logit_bias[views].flatten())
        if not self.is_merged:
            return scores
        by_view = zip(scores.split(self.num_centroids, dim=1), self.merged[views], strict=True)
        return torch.cat([merge_scores(*pair, self.num_clusters) for pair in by_view], dim=1)

    def loss_by_views(
        self, views: Sequence[Maps], labels: Sequence[Tensor] = ()
    ) -> dict[str, Tensor]:
        """Losses of a batch of pixel-aligned views (L_within and L_cross of the paper).

        Args:
            views (Sequence[Sequence[Tensor]]): the decoder's maps of each view.
            labels (Sequence[Tensor]): of :meth:`make_labels`.

        Returns:
            dict[str, Tensor]: ``loss_within`` and ``loss_cross``, weighted.
        """
        shares = [self.loss_of_view(views[i], i, labels) for i in range(self.num_views)]
        return {name: torch.stack([share[name] for share in shares]).sum() for name in shares[0]}

    @torch.no_grad()
    def make_labels(self, frozen_views: Sequence[Maps]) -> list[Tensor]:
        """Pseudo-labels of all views: V maps (N, H, W), int64 (equation 2)."""
        with self._full_precision():
            return [self.label(self.embed(frozen_views[i]), i) for i in range(self.num_views)]

    def loss_of_view(self, maps: Maps, view: int, labels: Sequence[Tensor]) -> dict[str, Tensor]:
        """The share of one view's features: with its own clusters, and with those of the others."""
        with self._full_precision():
            (row,) = view_cross_entropies(
                [self.embed(maps)], labels, self.centroids, self._class_weights()
            )
        losses = {'loss_within': self.within_weight * row[view] / self.num_views}
        if len(row) > 1:
            # One by one: a mask would have the host wait for the device.
            others = torch.stack([row[i] for i in range(len(row)) if i != view])
            losses['loss_cross'] = self.cross_weight * others.mean() / self.num_views
        return losses

    def _full_precision(self) -> AbstractContextManager:
        """Distances to centroids are too close to each other for half precision."""
        return without_autocast(self.centroids.device.type)

    def _class_weights(self) -> Tensor | None:
        """(V, K) weights of the clusters in the cross-entropy."""
        if self.class_weight == 'none':
            return None
        weigh = frequency_weights if self.class_weight == 'frequency' else balanced_weights
        return weigh(self.cluster_counts)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        loaded = state_dict.get(prefix + 'centroids')
        if loaded is not None and loaded.shape != self.centroids.shape:
            raise ValueError(
                f'the checkpoint holds centroids of (views, K, D) = {tuple(loaded.shape)}, but the '
                f'head is configured for {tuple(self.centroids.shape)}; set num_views, '
                'num_clusters, centroids_per_cluster and in_channels of the head to the '
                "checkpoint's, or take over the backbone alone by init_cfg=dict(type='Pretrained', "
                "checkpoint=..., prefix='backbone.')."
            )
        stored = state_dict.get(prefix + 'cluster_to_class')
        if stored is not None and stored.shape[1] != self.num_clusters:
            raise ValueError(
                f'the checkpoint merges its centroids to K = {stored.shape[1]} clusters, but the '
                f'head to {self.num_clusters}; set num_clusters of the head to the former.'
            )
        if loaded is not None:  # checkpoints of version 0.1 have no bias
            state_dict.setdefault(prefix + 'logit_bias', torch.zeros_like(self.logit_bias))
        super()._load_from_state_dict(state_dict, prefix, *args)
