"""What all heads of this package share: they learn clusters from aligned views, without labels."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from ..clustering import UNMATCHED, ClusterNames, name_clusters

Maps = Sequence[Tensor]


class ViewHead(BaseDecodeHead):
    """A head that learns K clusters from pixel-aligned views of images.

    Its buffer ``cluster_to_class`` (S, K) holds the class of each cluster in each of its S sets of
    clusters, -1 where unknown. ``map_classes`` says which classes these are: JSON with their names,
    their colours and their data set, as the bytes of UTF-8. Both are part of the state dict, so a
    map is never taken for one of other classes, of another view or of another model.

    Args:
        num_clusters (int): K, at least 2.
        in_channels (int): D, channels of the feature map.
        in_index (int): which of the decoder's maps is used.
        num_views (int): V, views that the head learns from.
        num_sets (int): S, sets of clusters, each of which can predict.
        predict_views (Sequence[int]): sets that predict, from 0; the first one makes
            ``pred_sem_seg`` and names, the others are only scored.
        align_corners (bool): as in mmseg, for the upsampling of logits.

    Raises:
        ValueError: If an argument is out of range.
    """

    #: Whether :class:`KMeansCentroidHook` clusters for this head before every epoch.
    needs_centroids = False
    #: Buffers without which the head cannot predict.
    learned_buffers: tuple[str, ...] = ()
    #: Whether the loss is a sum over views of :meth:`loss_of_view`.
    is_separable = False
    cluster_to_class: Tensor
    map_classes: Tensor

    def __init__(
        self,
        num_clusters: int,
        in_channels: int,
        in_index: int,
        num_views: int,
        num_sets: int,
        predict_views: Sequence[int],
        align_corners: bool,
    ) -> None:
        if num_clusters != int(num_clusters) or num_clusters < 2:
            raise ValueError(
                f'num_clusters must be a whole number of at least 2, but got {num_clusters!r}.'
            )
        if not predict_views or not set(predict_views) <= set(range(num_sets)):
            raise ValueError(
                f'predict_views must name some of the views 0 to {num_sets - 1}, but got '
                f'{tuple(predict_views)}.'
            )
        super().__init__(
            in_channels,
            in_channels,
            num_classes=num_clusters,  # mmseg's word for the number of output channels
            out_channels=num_clusters,
            dropout_ratio=0,
            # Not used; stated so that mmseg does not warn of its own default.
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
            in_index=in_index,
            align_corners=align_corners,
            init_cfg=None,
        )
        self.num_clusters = num_clusters
        self.num_views = num_views
        self.predict_views = tuple(predict_views)
        self.out_channels = num_clusters * len(self.predict_views)
        self.register_buffer('cluster_to_class', torch.full((num_sets, num_clusters), UNMATCHED))
        self.register_buffer('map_classes', map_to_bytes({}))

    @property
    def is_fitted(self) -> bool:
        """Whether the head can predict."""
        return True

    def store_map(
        self, views: Sequence[int], cluster_to_class: Tensor, meta: Mapping[str, Any]
    ) -> None:
        """Take a match of clusters and classes.

        Args:
            views (Sequence[int]): sets of clusters that were matched.
            cluster_to_class (Tensor): (len(views), K) class of each cluster, -1 where unmatched.
            meta (Mapping[str, Any]): metainfo of the data set: ``classes`` and perhaps ``palette``
                and ``dataset``. A map of other sets of clusters is forgotten if it speaks of other
                classes.
        """
        names = list(meta['classes'])
        if self.map_meta.get('classes') != names:
            self.cluster_to_class.fill_(UNMATCHED)
        self.cluster_to_class[list(views)] = cluster_to_class.to(self.cluster_to_class)
        stored = dict(classes=names)
        for key in ('palette', 'dataset'):
            if meta.get(key) is not None:
                stored[key] = meta[key]
        self.map_classes = map_to_bytes(stored).to(self.map_classes.device)

    @property
    def map_meta(self) -> dict[str, Any]:
        """``classes``, and perhaps ``palette`` and ``dataset``, of the map; empty if unknown.

        ``num_by_hand`` says how many of the last classes are names that a person gave.
        """
        return map_from_bytes(self.map_classes)

    def name_clusters(self, view: int) -> ClusterNames:
        """Names and colours of the clusters of one set, as far as they are known.

        Args:
            view (int): which set.
        """
        meta = self.map_meta
        return name_clusters(
            self.cluster_to_class[view].tolist(), meta.get('classes'), meta.get('palette')
        )

    def embed(self, inputs: Maps) -> Tensor:
        """Unit-length features.

        Args:
            inputs (Sequence[Tensor]): maps of the decoder.

        Returns:
            Tensor: (N, D, H, W) float32, also under automatic mixed precision.

        Raises:
            ValueError: If the map has not ``in_channels`` channels.
        """
        features = self._transform_inputs(inputs)
        if features.shape[1] != self.in_channels:
            raise ValueError(
                f'in_channels of {type(self).__name__} is {self.in_channels}, but its map has the '
                f'shape {tuple(features.shape)}; set in_channels to the channels (the second '
                'number), which are neck.out_channels, or without a neck those of the backbone.'
            )
        return F.normalize(features.float(), dim=1)

    def parameters_of_epoch(self) -> list[nn.Parameter]:
        """Weights that start anew with every clustering, as they belong to its clusters alone."""
        return []

    def classify_by_centroids(self) -> None:
        """Let what the head has learned beside its centroids predict as these do."""

    def loss_by_views(
        self, views: Sequence[Maps], labels: Sequence[Tensor] = ()
    ) -> dict[str, Tensor]:
        """Losses of a batch of pixel-aligned views.

        Args:
            views (Sequence[Sequence[Tensor]]): the decoder's maps of each view, at least V.
            labels (Sequence[Tensor]): of :meth:`make_labels`.

        Returns:
            dict[str, Tensor]: scalars by name.
        """
        raise NotImplementedError

    def make_labels(self, frozen_views: Sequence[Maps]) -> list[Tensor]:
        """Pseudo-labels of all views; none for a head that learns without them.

        Args:
            frozen_views (Sequence[Sequence[Tensor]]): maps of the epoch-start encoder, as of
                :meth:`loss_by_views`.

        Returns:
            list[Tensor]: V maps (N, H, W), int64.
        """
        return []

    def loss_of_view(self, maps: Maps, view: int, labels: Sequence[Tensor]) -> dict[str, Tensor]:
        """The share of one view in the losses, if they are separable.

        Args:
            maps (Sequence[Tensor]): the decoder's maps of the view.
            view (int): which one, from 0.
            labels (Sequence[Tensor]): pseudo-labels of all views.

        Returns:
            dict[str, Tensor]: as of :meth:`loss_by_views`; over the views they add up to these.
        """
        raise NotImplementedError

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        key = prefix + 'map_classes'
        stored = state_dict.setdefault(key, map_to_bytes({}))  # version 0.1 had none
        try:
            names = json.loads(bytes(stored.cpu().numpy())).get('classes', [])
            is_text = all(isinstance(name, str) for name in names)
        except (AttributeError, TypeError, ValueError):
            is_text = False
        if not is_text:
            raise ValueError(
                f'{key} of the checkpoint must hold the names of the classes as JSON, but holds '
                'something else; get the checkpoint again, or delete that entry.'
            )
        self.map_classes = torch.empty_like(stored, device=self.map_classes.device)
        super()._load_from_state_dict(state_dict, prefix, *args)


def map_to_bytes(meta: Mapping[str, Any]) -> Tensor:
    """What a map speaks of, as ``map_classes`` holds it.

    Args:
        meta (Mapping[str, Any]): as of :attr:`ViewHead.map_meta`.

    Returns:
        Tensor: (n,) uint8, JSON as the bytes of UTF-8.
    """
    text = json.dumps(meta, default=lambda array: array.tolist())
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def map_from_bytes(content: Tensor) -> dict[str, Any]:
    """What a map speaks of.

    Args:
        content (Tensor): of :func:`map_to_bytes`.

    Returns:
        dict[str, Any]: as of :attr:`ViewHead.map_meta`.
    """
    return json.loads(bytes(content.cpu().numpy()))
