"""The PiCIE segmentor."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList, add_prefix
from torch import Tensor, nn

from ..views import crop_flip_features
from .activation_budget import keep_within
from .early_gradient import may_lose_gradients, take_gradients
from .frozen_copy import FrozenCopy
from .in_place import save_results
from .parts import check_encoder, check_pretrained, find_parts, freeze
from .precision import FORWARD_DTYPES, forward_precision
from .recompute import recompute_activations
from .view_head import ViewHead

HEAD_WEIGHTS = ('log', 'equal')
# MiB of activations on a CPU: enough for all of EfficientNet-Lite0 on 16 images of 160 x 160.
CPU_BUDGET = 640


@MODELS.register_module()
class PiCIE(EncoderDecoder):
    """Unsupervised segmentation by invariance and equivariance in clustering (CVPR 2021).

    An ``EncoderDecoder`` whose heads learn clusters from views: :class:`CentroidHead` is PiCIE's, a
    second one as ``auxiliary_head`` its over-clustering (PiCIE + H), other heads are the methods
    that it is compared with. View 1 is a crop of the image, view 2 the whole image, whose feature
    map is cropped and flipped as view 1's image was. Pseudo-labels are made on the fly by a frozen
    copy of the encoder, taken when the epoch's centroids are; the copy is no part of the state
    dict. Where the loss is a sum over views (all heads but IIC), each view is trained on after the
    other, so that activations of one view at a time are in memory; the gradients are the same.
    (Not in float16, where gradients are scaled before they are computed, nor where a part has
    mmseg's ``with_cp``; ``activation_checkpointing`` does the same without that restriction.)

    Prediction is mmseg's own: ``pred_sem_seg`` holds clusters. If the head predicts with more than
    one view, ``pred_view_sem_seg`` holds a map for each. ``cluster_to_class`` in the metainfo says
    which class each cluster of each of these views was matched to, if that is known.

    Args:
        args: as of ``EncoderDecoder``.
        head_weights (str): how several heads share the loss. 'log': head i by 1 / log(K_i),
            normalised to sum to 1, which for two heads is PiCIE + H's
            w1 = log K2 / (log K1 + log K2); 'equal': each with weight 1. No matter for one head.
        frozen_dtype (str): precision of the passes that are not trained through, for clusters and
            pseudo-labels: 'float32'; 'bfloat16', by autocast; or 'auto', which is 'bfloat16' on a
            CPU that is faster by it (AMX, AMD's AVX512-BF16) and 'float32' elsewhere.
        frozen (Sequence[str]): parts that are not trained, such as ``('backbone',)``: their
            weights get no gradient, and their normalisation statistics stay as they are.
        activation_checkpointing (Sequence[str]): parts such as ``('backbone.layer1',)`` that
            compute their activations again in the backward pass, which takes time and saves memory;
            losses and statistics stay as they are.
        activation_budget (int | str, optional): MiB that the forward pass of a view may keep for
            its backward pass; beyond it, results of normalisations and activations are let go and
            computed again, which leaves gradients as they are to the last bit. What convolutions
            need is kept in any case, so 0 recomputes all such results. None keeps everything;
            'auto' is 640 on a CPU, where memory is slow to get, and None elsewhere.
        kwargs: as of ``EncoderDecoder``.

    Raises:
        TypeError: If a head is not a :class:`ViewHead`.
        ValueError: If ``head_weights`` or ``frozen_dtype`` is unknown, ``activation_budget`` is out
            of range, ``frozen`` or ``activation_checkpointing`` names no part of the model, or
            nothing is left to train.
    """

    # The frozen encoder, in a list so that it is not registered as a part of the model.
    _labeler: list[FrozenCopy]

    def __init__(
        self,
        *args: Any,
        head_weights: str = 'log',
        frozen_dtype: str = 'auto',
        frozen: Sequence[str] = (),
        activation_checkpointing: Sequence[str] = (),
        activation_budget: int | str | None = 'auto',
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._labeler = []
        # Now, so that the optimiser and a wrapper for several ranks see what is to be trained.
        self._frozen = freeze(self, frozen)
        save_results(self)
        for part in find_parts(self, 'activation_checkpointing', activation_checkpointing):
            recompute_activations(part)
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
        if frozen_dtype not in FORWARD_DTYPES:
            raise ValueError(
                f'frozen_dtype must be one of {FORWARD_DTYPES}, but got {frozen_dtype!r}.'
            )
        self.frozen_dtype = frozen_dtype
        is_size = isinstance(activation_budget, int) and activation_budget >= 0
        if activation_budget not in ('auto', None) and not is_size:
            raise ValueError(
                "activation_budget must be a number of MiB, at least 0, 'auto' or None, but got "
                f'{activation_budget!r}.'
            )
        self.activation_budget = activation_budget
        self._fitting: set[tuple] = set()  # sizes of batches that fit into it

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

    def train(self, mode: bool = True) -> 'PiCIE':
        """Set the mode; frozen parts stay in eval mode."""
        super().train(mode)
        for part in getattr(self, '_frozen', ()):
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
        super()._load_from_state_dict(state_dict, prefix, *args)

    def refresh_labeler(self) -> FrozenCopy:
        """Take the present encoder as the one that makes pseudo-labels, in eval mode.

        Returns:
            FrozenCopy: of backbone and decoder.
        """
        self._labeler.clear()  # before there is another
        self._labeler.append(FrozenCopy(self._encoder()))
        return self._labeler[0]

    def _encoder(self) -> nn.Module:
        """Backbone and decoder as one module."""
        return nn.Sequential(self.backbone, self.neck) if self.with_neck else self.backbone

    def extract_views(
        self,
        views: Sequence[Tensor],
        data_samples: SampleList,
        encoder: nn.Module | None = None,
    ) -> list[list[Tensor]]:
        """Feature maps of all views in the frame of view 1.

        Args:
            views (Sequence[Tensor]): at least V batches (N, 3, H, W). The first is cropped and
                flipped already, the others are not.
            data_samples (SampleList): N samples with ``geometry`` in their metainfo.
            encoder (nn.Module, optional): backbone and decoder; this model's by default.

        Returns:
            list[list[Tensor]]: for each of V views the decoder's maps (N, D, h, w), pixel-aligned.

        Raises:
            ValueError: If there are fewer views than the heads need.
        """
        self._check_number(views)
        encoder = encoder or self._encoder()
        result: list[list[Tensor]] = []
        for images in views[: self.num_views]:
            sizes = [first.shape[2:] for first in result[0]] if result else None
            result.append(self._extract_view(images, data_samples, encoder, sizes))
        return result

    def _extract_view(
        self,
        images: Tensor,
        data_samples: SampleList,
        encoder: nn.Module,
        sizes: Sequence[torch.Size] | None,
    ) -> list[Tensor]:
        """Maps of one view; with ``sizes``, those of the first view's maps, cropped to them."""
        with self._within_budget(encoder, images):
            maps = list(encoder(images))
        if sizes is None:
            return maps
        draws = [sample.metainfo['geometry'] for sample in data_samples]
        return [
            crop_flip_features(whole, draws, (size[0], size[1]))
            for whole, size in zip(maps, sizes, strict=True)
        ]

    @contextmanager
    def _within_budget(self, encoder: nn.Module, images: Tensor) -> Iterator[None]:
        """Within, the encoder keeps no more than ``activation_budget`` says.

        Watching takes some milliseconds, so a size that has fitted is not watched again.
        """
        budget, kind = self.activation_budget, images.device.type
        if budget == 'auto':
            budget = CPU_BUDGET if kind == 'cpu' else None
        size = (tuple(images.shape), torch.is_autocast_enabled(kind))
        if budget is None or size in self._fitting or not torch.is_grad_enabled():
            yield
            return
        with keep_within(encoder, int(budget) << 20) as kept:
            yield
        if kept.fits:
            self._fitting.add(size)

    @torch.no_grad()
    def extract_frozen_views(
        self,
        views: Sequence[Tensor],
        data_samples: SampleList,
        encoder: nn.Module | None = None,
    ) -> list[list[Tensor]]:
        """Feature maps for clusters and pseudo-labels, without gradient, by ``frozen_dtype``.

        Args:
            views (Sequence[Tensor]): as of :meth:`extract_views`.
            data_samples (SampleList): likewise.
            encoder (nn.Module, optional): likewise.

        Returns:
            list[list[Tensor]]: likewise.
        """
        with forward_precision(self.frozen_dtype, views[0].device):
            return self.extract_views(views, data_samples, encoder)

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
        self._check_number(inputs)
        frozen_views = None
        if self.needs_centroids:
            if not self._labeler:
                raise RuntimeError(
                    'PiCIE needs centroids before it is trained; add clustering='
                    "dict(type='KMeansCentroidHook') to default_hooks of the config."
                )
            frozen_views = self.extract_frozen_views(inputs, data_samples, self._labeler[0])
        if frozen_views is not None and self._can_separate(inputs[0].device):
            labels = {name: head.make_labels(frozen_views) for name, head in self.heads().items()}
            sizes = [first.shape[2:] for first in frozen_views[0]]
            del frozen_views
            return self._loss_view_by_view(inputs, data_samples, labels, sizes)
        views = self.extract_views(inputs, data_samples)
        return self._add_weights(
            {name: head.loss_by_views(views, frozen_views) for name, head in self.heads().items()}
        )

    def _check_number(self, views: Sequence[Tensor]) -> None:
        """Refuse fewer views than the heads need."""
        if len(views) < self.num_views:
            raise ValueError(
                f'the heads learn from {self.num_views} views, but the pipeline makes '
                f'{len(views)}; set num_views of PairedViews to {self.num_views}.'
            )

    def _can_separate(self, device: torch.device) -> bool:
        """Whether each view can be trained on without the others in memory."""
        separable = all(head.is_separable for head in self.heads().values())
        # mmseg's with_cp computes activations again in a way that waits for the backward pass.
        waits = any(getattr(part, 'with_cp', False) for part in self.modules())
        return (
            separable and not waits and torch.is_grad_enabled() and not may_lose_gradients(device)
        )

    def _loss_view_by_view(
        self,
        inputs: Sequence[Tensor],
        data_samples: SampleList,
        labels: dict[str, list[Tensor]],
        sizes: list[torch.Size],
    ) -> dict[str, Tensor]:
        """The losses, with the graph of the last view alone: the others' gradients are taken.

        ``labels`` are the pseudo-labels of all views, for each head, and ``sizes`` those of the
        first view's maps.
        """
        encoder = self._encoder()
        losses: dict[str, Tensor] = {}
        for view, images in enumerate(inputs[: self.num_views]):
            maps = self._extract_view(images, data_samples, encoder, sizes if view else None)
            share = self._add_weights(
                {
                    name: head.loss_of_view(maps, view, labels[name])
                    for name, head in self.heads().items()
                    if view < head.num_views
                }
            )
            del maps  # not needed any more, and large
            if view < self.num_views - 1:
                share = take_gradients(share, self.parameters())
            for key, value in share.items():
                losses[key] = losses[key] + value if key in losses else value
        return losses

    def _add_weights(self, by_head: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
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
        for logits in by_view[1:]:
            blank = None
            if data_samples is not None:
                blank = [SegDataSample(metainfo=sample.metainfo) for sample in data_samples]
            other = super().postprocess_result(logits, blank)
            predictions.append([sample.pred_sem_seg.data for sample in other])
        cluster_to_class = head.cluster_to_class[list(head.predict_views)].cpu().numpy()
        for i, sample in enumerate(results):
            if len(by_view) > 1:
                sample.pred_view_sem_seg = PixelData(data=torch.cat([p[i] for p in predictions]))
            sample.set_metainfo(
                dict(cluster_to_class=cluster_to_class, predict_views=head.predict_views)
            )
        return results
