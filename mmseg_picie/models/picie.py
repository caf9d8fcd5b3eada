"""The PiCIE segmentor."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from mmseg.registry import MODELS
from mmseg.utils import SampleList, add_prefix
from torch import Tensor, nn

from ..views import crop_flip_features
from .cluster_prediction import ClusterPrediction
from .dense_crf import DenseCRF
from .frozen_passes import FrozenPasses, Inputs
from .normalisation import check_normalisation
from .parts import (
    check_encoder,
    check_heads,
    check_pretrained,
    list_pretrained,
    take_moved_options,
)
from .view_head import ViewHead

HEAD_WEIGHTS = ('log', 'equal')


@MODELS.register_module()
class PiCIE(FrozenPasses, ClusterPrediction):
    """Unsupervised segmentation by invariance and equivariance in clustering (CVPR 2021).

    An ``EncoderDecoder`` whose heads learn clusters from views: :class:`CentroidHead` is PiCIE's, a
    second one as ``auxiliary_head`` its over-clustering (PiCIE + H), other heads are the methods
    that it is compared with. View 0 is a crop of the image, view 1 the whole image, whose feature
    map is cropped and flipped as view 0's image was. Pseudo-labels are made on the fly by a frozen
    copy of the encoder, taken when the epoch's centroids are; the copy is no part of the state
    dict.

    Prediction is mmseg's own, see :class:`ClusterPrediction`.

    Args:
        args: as of ``EncoderDecoder``.
        head_weights (str): how several heads share the loss. 'log': head i by 1 / log(K_i),
            normalised to sum to 1, which for two heads is PiCIE + H's
            w1 = log K2 / (log K1 + log K2); 'equal': each with weight 1. No matter for one head.
        frozen (Sequence[str]): parts that are not trained, such as ``('backbone',)``: their
            weights get no gradient, and their normalisation statistics stay as they are.
        crf (Mapping, optional): arguments of :class:`DenseCRF`, perhaps none, to refine predictions
            by it. None for no CRF.
        kwargs: as of ``EncoderDecoder``.

    Raises:
        TypeError: If a head is not a :class:`ViewHead`.
        ValueError: If ``head_weights`` is unknown, ``frozen`` names no part of the model, or
            nothing is left to train.
    """

    def __init__(
        self,
        *args: Any,
        head_weights: str = 'log',
        frozen: Sequence[str] = (),
        crf: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.frozen_dtype = take_moved_options(kwargs)
        super().__init__(*args, **kwargs)
        self.freeze_parts(frozen)
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
        self.crf = None if crf is None else DenseCRF(**crf)
        _ = self.stride  # measured here, so that no tracer of a pass sees it

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
        seen = self.forward_frozen(inputs, data_samples)
        labels = self.make_labels(seen, data_samples)
        views = list(self.extract_views(seen, data_samples, self.encoder))
        return self._weigh(
            {name: head.loss_by_views(views, labels[name]) for name, head in self.heads().items()}
        )

    @torch.no_grad()
    def make_labels(
        self, inputs: Sequence[Inputs], data_samples: SampleList
    ) -> dict[str, list[Tensor]]:
        """Pseudo-labels: the nearest centroid of each pixel, per head and view (equation 2).

        Args:
            inputs (Sequence): of :meth:`forward_frozen`.
            data_samples (SampleList): as of :meth:`loss`.

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
        self, inputs: Sequence[Inputs], data_samples: SampleList, encoder: nn.Module
    ) -> Iterator[list[Tensor]]:
        """Feature maps of each view, in the frame of view 0 (section 3.2).

        Args:
            inputs (Sequence): of :meth:`forward_frozen`.
            data_samples (SampleList): N samples with ``geometry`` in their metainfo.
            encoder (nn.Module): :attr:`encoder`, or a frozen copy of it.

        Yields:
            list[Tensor]: for each of V views the decoder's maps (N, D, h, w), pixel-aligned.
        """
        draws = [sample.metainfo['geometry'] for sample in data_samples]
        sizes: list[torch.Size] = []
        for view in inputs:
            maps = list(encoder(view))
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
        seen = self.forward_frozen(inputs, data_samples)
        labels = self.make_labels(seen, data_samples)
        heads = self.heads()
        for view, maps in enumerate(self.extract_views(seen, data_samples, self.encoder)):
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
        heads: dict[str, Any] = {'decode': self.decode_head}
        if self.with_auxiliary_head:
            if isinstance(self.auxiliary_head, nn.ModuleList):
                heads.update({f'aux_{i}': head for i, head in enumerate(self.auxiliary_head)})
            else:
                heads['aux'] = self.auxiliary_head
        return heads

    def init_weights(self) -> None:
        """Initialise; a weight file of the backbone that is missing or does not fit is refused.

        Images that are not normalised as the backbone's weights want it are warned of.
        """
        check_normalisation(self.backbone, self.data_preprocessor)
        for source in list_pretrained(getattr(self.backbone, 'init_cfg', None)):
            if '://' not in source['checkpoint']:
                check_pretrained(self.backbone, source)
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
        numbers = [getattr(head, 'num_centroids', head.num_clusters) for head in heads]
        weights = [1 / math.log(number) for number in numbers]
        return [weight / sum(weights) for weight in weights]
