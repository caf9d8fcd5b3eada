"""The PiCIE segmentor."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList, add_prefix
from torch import Tensor, nn

from ..views import crop_flip_features
from .frozen_copy import FrozenCopy
from .parts import check_encoder, check_heads, check_pretrained, freeze, take_moved_options
from .stride import StrideFitting
from .view_head import ViewHead

HEAD_WEIGHTS = ('log', 'equal')


@MODELS.register_module()
class PiCIE(StrideFitting, EncoderDecoder):
    """Unsupervised segmentation by invariance and equivariance in clustering (CVPR 2021).

    An ``EncoderDecoder`` whose heads learn clusters from views: :class:`CentroidHead` is PiCIE's, a
    second one as ``auxiliary_head`` its over-clustering (PiCIE + H), other heads are the methods
    that it is compared with. View 0 is a crop of the image, view 1 the whole image, whose feature
    map is cropped and flipped as view 0's image was. Pseudo-labels are made on the fly by a frozen
    copy of the encoder, taken when the epoch's centroids are; the copy is no part of the state
    dict.

    Prediction is mmseg's own: ``pred_sem_seg`` holds clusters. If the head predicts with more than
    one view, ``pred_view_sem_seg`` holds a map for each. ``cluster_to_class`` in the metainfo says
    which class each cluster of each of these views was matched to, if that is known, and
    ``map_classes`` what these classes are called.

    Args:
        args: as of ``EncoderDecoder``.
        head_weights (str): how several heads share the loss. 'log': head i by 1 / log(K_i),
            normalised to sum to 1, which for two heads is PiCIE + H's
            w1 = log K2 / (log K1 + log K2); 'equal': each with weight 1. No matter for one head.
        frozen (Sequence[str]): parts that are not trained, such as ``('backbone',)``: their
            weights get no gradient, and their normalisation statistics stay as they are.
        kwargs: as of ``EncoderDecoder``.

    Attributes:
        keeps_view_logits (bool): whether predictions of several views hold the logits of each, as
            ``view_seg_logits`` (V', K, H, W). They take much memory.
        make_frozen (Callable): makes the frozen copy of an encoder; :class:`FrozenCopy`, or what is
            put in its place to compute the same in another way.

    Raises:
        TypeError: If a head is not a :class:`ViewHead`.
        ValueError: If ``head_weights`` is unknown, ``frozen`` names no part of the model, or
            nothing is left to train.
    """

    make_frozen: Callable[[nn.Module], nn.Module] = FrozenCopy
    # In a list, so that the copy is not registered as a part of the model.
    _frozen_encoder: list[nn.Module]

    def __init__(
        self, *args: Any, head_weights: str = 'log', frozen: Sequence[str] = (), **kwargs: Any
    ) -> None:
        self.frozen_dtype = take_moved_options(kwargs)
        super().__init__(*args, **kwargs)
        self._frozen_encoder = []
        self._dataset_meta: dict[str, Any] = {}
        self.keeps_view_logits = False
        # Now, so that the optimiser and a wrapper for several ranks see what is to be trained.
        self._frozen_parts = freeze(self, frozen)
        for name, head in self.heads().items():
            if not isinstance(head, ViewHead):
                raise TypeError(
                    f'{name} of PiCIE must be a CentroidHead (or another head of this package), '
                    f'but is a {type(head).__name__}.'
                )
        if head_weights not in HEAD_WEIGHTS:
            raise ValueError(
                f'head_weights must be one of {HEAD_WEIGHTS}, but got {head_weights!r}.'
            )
        self.head_weights = head_weights

    def loss(self, inputs: Sequence[Tensor], data_samples: SampleList) -> dict[str, Tensor]:
        """Losses of a batch of paired views.

        Args:
            inputs (Sequence[Tensor]): batches (N, 3, H, W) of the views of
                :class:`PackPairedViews`.
            data_samples (SampleList): N samples with ``geometry`` in their metainfo.

        Returns:
            dict[str, Tensor]: losses of the heads, weighted, as ``decode.loss_within``,
                ``decode.loss_cross``, ``aux.loss_within``.

        Raises:
            RuntimeError: If nothing was clustered before.
        """
        labels = self.make_labels(inputs, data_samples)
        views = list(self.extract_views(inputs, data_samples, self.encoder))
        return self._weigh(
            {name: head.loss_by_views(views, labels[name]) for name, head in self.heads().items()}
        )

    @torch.no_grad()
    def make_labels(
        self, inputs: Sequence[Tensor], data_samples: SampleList
    ) -> dict[str, list[Tensor]]:
        """Pseudo-labels: the nearest centroid of each pixel, per head and view (equation 2).

        Args:
            inputs (Sequence[Tensor]): as of :meth:`loss`.
            data_samples (SampleList): likewise.

        Returns:
            dict[str, list[Tensor]]: for each head V maps (N, H, W) int64; none for a head that
                learns without centroids.

        Raises:
            RuntimeError: If nothing was clustered before.
        """
        if not self.needs_centroids:
            return {name: [] for name in self.heads()}
        if not self._frozen_encoder:
            raise RuntimeError(
                'PiCIE needs centroids before it is trained; add clustering='
                "dict(type='KMeansCentroidHook') to default_hooks of the config."
            )
        frozen_views = list(self.extract_views(inputs, data_samples, self._frozen_encoder[0]))
        return {name: head.make_labels(frozen_views) for name, head in self.heads().items()}

    def extract_feat(self, inputs: Tensor) -> list[Tensor]:
        """Maps of images (N, 3, H, W), of any size; heads resize their logits to the image."""
        return super().extract_feat(self.fit_images(inputs))

    def extract_views(
        self, inputs: Sequence[Tensor], data_samples: SampleList, encoder: nn.Module
    ) -> Iterator[list[Tensor]]:
        """Feature maps of each view, in the frame of view 0 (section 3.2).

        Args:
            inputs (Sequence[Tensor]): at least V batches (N, 3, H, W). The first is cropped and
                flipped already, the others are whole images.
            data_samples (SampleList): N samples with ``geometry`` in their metainfo.
            encoder (nn.Module): backbone and decoder, trained or frozen.

        Yields:
            list[Tensor]: for each of V views the decoder's maps (N, D, h, w), pixel-aligned.

        Raises:
            ValueError: If there are fewer views than the heads need.
        """
        if len(inputs) < self.num_views:
            raise ValueError(
                f'the heads learn from {self.num_views} views, but the pipeline makes '
                f'{len(inputs)}; set num_views of PairedViews to {self.num_views}.'
            )
        draws = [sample.metainfo['geometry'] for sample in data_samples]
        sizes: list[torch.Size] = []
        for images in inputs[: self.num_views]:
            maps = list(encoder(self.fit_images(images)))
            if sizes:
                maps = [
                    crop_flip_features(level, draws, (size[0], size[1]))
                    for level, size in zip(maps, sizes, strict=True)
                ]
            else:
                sizes = [level.shape[2:] for level in maps]
            yield maps
            del maps  # else the next view would be forwarded while these are held

    def losses_by_view(
        self, inputs: Sequence[Tensor], data_samples: SampleList
    ) -> Iterator[dict[str, Tensor]]:
        """The shares of the views in :meth:`loss`, which they add up to.

        Each can be propagated back before the next view is forwarded, if all heads are separable
        (:attr:`is_separable`).

        Args:
            inputs (Sequence[Tensor]): as of :meth:`loss`.
            data_samples (SampleList): likewise.

        Yields:
            dict[str, Tensor]: losses of one view.
        """
        labels = self.make_labels(inputs, data_samples)
        heads = self.heads()
        for view, maps in enumerate(self.extract_views(inputs, data_samples, self.encoder)):
            learning = {name: head for name, head in heads.items() if view < head.num_views}
            yield self._weigh(
                {
                    name: head.loss_of_view(maps, view, labels[name])
                    for name, head in learning.items()
                }
            )
            del maps

    @property
    def is_separable(self) -> bool:
        """Whether the loss is a sum over views, so that :meth:`losses_by_view` gives its shares."""
        return all(head.is_separable for head in self.heads().values())

    @property
    def num_views(self) -> int:
        """Views of an image that the heads learn from."""
        return max(head.num_views for head in self.heads().values())

    @property
    def needs_centroids(self) -> bool:
        """Whether any head learns from centroids."""
        return any(head.needs_centroids for head in self.heads().values())

    def heads(self) -> dict[str, ViewHead]:
        """The heads by the prefix of their losses: 'decode', and 'aux' or 'aux_0', ..."""
        heads = {'decode': self.decode_head}
        if self.with_auxiliary_head:
            if isinstance(self.auxiliary_head, nn.ModuleList):
                heads.update({f'aux_{i}': head for i, head in enumerate(self.auxiliary_head)})
            else:
                heads['aux'] = self.auxiliary_head
        return heads

    @property
    def encoder(self) -> nn.Module:
        """Backbone and decoder as one module."""
        return nn.Sequential(self.backbone, self.neck) if self.with_neck else self.backbone

    def freeze_encoder(self) -> nn.Module:
        """Take the present encoder as the one that makes pseudo-labels, in eval mode.

        Returns:
            nn.Module: the copy of backbone and decoder.
        """
        self._frozen_encoder.clear()  # before there is another
        self._frozen_encoder.append(self.make_frozen(self.encoder))
        return self._frozen_encoder[0]

    @property
    def dataset_meta(self) -> dict[str, Any]:
        """Names and colours of the clusters that predict, for whoever draws them.

        mmseg sets it when it loads a model, to what the checkpoint's training said. The head knows
        better which view predicts now; only a map without names needs what was set.
        """
        head, told = self.decode_head, self._dataset_meta
        if not head.map_meta and len(told.get('classes') or ()) == head.num_clusters:
            return told
        return head.name_clusters(head.predict_views[0])._asdict()

    @dataset_meta.setter
    def dataset_meta(self, meta: dict[str, Any] | None) -> None:
        self._dataset_meta = meta or {}

    def train(self, mode: bool = True) -> 'PiCIE':
        """Set the mode; frozen parts stay in eval mode."""
        super().train(mode)
        for part in getattr(self, '_frozen_parts', ()):
            part.eval()
        return self

    def init_weights(self) -> None:
        """Initialise; a weight file of the backbone that is missing or does not fit is refused."""
        init_cfg = getattr(self.backbone, 'init_cfg', None) or []
        for cfg in [init_cfg] if isinstance(init_cfg, dict) else init_cfg:
            if cfg['type'] == 'Pretrained' and '://' not in cfg.get('checkpoint', ''):
                check_pretrained(self.backbone, cfg)
        super().init_weights()

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        check_encoder(self, state_dict, prefix)
        heads = {name: part for name, part in self.named_modules() if isinstance(part, ViewHead)}
        check_heads(heads, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _weigh(self, by_head: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
        """Weighted losses under one roof, ``decode.loss_within`` and so on."""
        weights = dict(zip(self.heads(), self._loss_weights(), strict=True))
        losses: dict[str, Tensor] = {}
        for name, of_head in by_head.items():
            weighted = {key: weights[name] * value for key, value in of_head.items()}
            losses.update(add_prefix(weighted, name))
        return losses

    def _loss_weights(self) -> list[float]:
        """Weight of each head's losses."""
        heads = self.heads().values()
        if self.head_weights == 'equal':
            return [1.0] * len(heads)
        weights = [1 / math.log(head.num_clusters) for head in heads]
        return [weight / sum(weights) for weight in weights]

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: OptSampleList = None
    ) -> SampleList:
        """Turn logits into clusters, for each of the views that predict.

        Args:
            seg_logits (Tensor): (N, V' K, H, W).
            data_samples (SampleList, optional): N samples to write into.

        Returns:
            SampleList: with ``seg_logits`` and ``pred_sem_seg`` of the first view, and
                ``pred_view_sem_seg`` (V', H, W) if V' > 1.
        """
        head = self.decode_head
        by_view = seg_logits.split(head.num_clusters, dim=1)
        results = super().postprocess_result(by_view[0], data_samples)
        predictions = [[sample.pred_sem_seg.data for sample in results]]
        scores = [[sample.seg_logits.data for sample in results]]
        for logits in by_view[1:]:
            blank = None
            if data_samples is not None:
                blank = [SegDataSample(metainfo=sample.metainfo) for sample in data_samples]
            other = super().postprocess_result(logits, blank)
            predictions.append([sample.pred_sem_seg.data for sample in other])
            scores.append([sample.seg_logits.data for sample in other])
        cluster_to_class = head.cluster_to_class[list(head.predict_views)].cpu().numpy()
        map_classes = head.map_meta.get('classes')
        for i, sample in enumerate(results):
            if len(by_view) > 1:
                sample.pred_view_sem_seg = PixelData(data=torch.cat([p[i] for p in predictions]))
                if self.keeps_view_logits:
                    views = torch.stack([s[i] for s in scores])
                    sample.set_field(views, 'view_seg_logits')
            sample.set_metainfo(
                dict(
                    cluster_to_class=cluster_to_class,
                    map_classes=map_classes,
                    predict_views=head.predict_views,
                )
            )
        return results
