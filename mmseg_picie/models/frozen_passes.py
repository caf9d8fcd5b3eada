"""What of a segmentor is not trained, and the passes through it."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmseg.utils import SampleList
from torch import Tensor, nn

from .frozen_copy import FrozenCopy
from .parts import freeze
from .stride import StrideFitting

#: What an encoder sees of a view: images (N, 3, H, W), or the maps of a frozen backbone.
Inputs = Tensor | list[Tensor]


class FrozenPasses(StrideFitting, nn.Module):
    """A segmentor of which parts may be frozen, and a copy of whose encoder makes pseudo-labels.

    Attributes:
        make_frozen (Callable): makes the frozen copy of an encoder; :class:`FrozenCopy`, or what is
            put in its place to compute the same in another way.
    """

    make_frozen: Callable[[nn.Module], nn.Module] = FrozenCopy
    data_preprocessor: Any
    backbone: Any
    neck: Any
    with_neck: bool
    # In lists, so that they are not registered as parts of the model.
    _frozen_encoder: list[nn.Module]
    _frozen_backbone: list[nn.Module]
    _frozen_parts: list[nn.Module]

    @property
    def num_views(self) -> int:
        """Views of an image that are learned from."""
        raise NotImplementedError

    def freeze_parts(self, names: Sequence[str]) -> None:
        """Take parts out of the training, before an optimiser or a wrapper sees them.

        Args:
            names (Sequence[str]): such as ``('backbone',)``; perhaps none.

        Raises:
            ValueError: If there is no such part, or nothing is left to train.
        """
        self._frozen_encoder, self._frozen_backbone = [], []
        self._frozen_parts = freeze(self, names)

    def forward_frozen(
        self, inputs: Sequence[Tensor], data_samples: SampleList
    ) -> Sequence[Inputs]:
        """What the encoder sees of each view: the images, or the maps of a frozen backbone.

        A backbone that is not trained forwards each view once, for the pseudo-labels and for the
        training.

        Args:
            inputs (Sequence[Tensor]): at least V batches (N, 3, H, W). The first is cropped and
                flipped already, the others are whole images.
            data_samples (SampleList): N samples, whose images these are.

        Returns:
            list: for each of V views its images, fitted to the network's stride, or the backbone's
                maps.

        Raises:
            ValueError: If there are fewer views than the heads need.
        """
        if len(inputs) < self.num_views:
            raise ValueError(
                f'the heads learn from {self.num_views} views, but the pipeline makes '
                f'{len(inputs)}; set num_views of PairedViews to {self.num_views}.'
            )
        views = [self.fit_images(images) for images in inputs[: self.num_views]]
        if not self.has_frozen_backbone:
            return views
        if not self._frozen_backbone:  # now, as the way in which it is done may be changed before
            self._frozen_backbone.append(self.make_frozen(self.backbone))
        return [self._frozen_backbone[0](images) for images in views]

    @property
    def has_frozen_backbone(self) -> bool:
        """Whether the whole backbone is not trained."""
        return any(part is self.backbone for part in self._frozen_parts)

    @property
    def encoder(self) -> nn.Module:
        """Backbone and decoder as one module; the decoder alone if the backbone is frozen."""
        if self.has_frozen_backbone:
            return self.neck if self.with_neck else nn.Identity()
        return nn.Sequential(self.backbone, self.neck) if self.with_neck else self.backbone

    def freeze_encoder(self, weights: Mapping[str, Tensor] | None = None) -> nn.Module:
        """Take the present encoder as the one that makes pseudo-labels, in eval mode.

        Args:
            weights (Mapping, optional): of :attr:`labeler_weights`; that encoder is taken then.

        Returns:
            nn.Module: the copy of :attr:`encoder`.
        """
        encoder = self.encoder
        if weights is not None:
            encoder = copy.deepcopy(encoder)
            encoder.load_state_dict(weights)
        self._frozen_encoder.clear()  # before there is another
        self._frozen_encoder.append(self.make_frozen(encoder))
        return self._frozen_encoder[0]

    @property
    def labeler_weights(self) -> dict[str, Tensor] | None:
        """State of the encoder that makes pseudo-labels; None before it was taken."""
        if not self._frozen_encoder:
            return None
        return self._frozen_encoder[0].get_submodule('encoder').state_dict()

    def train(self, mode: bool = True) -> 'FrozenPasses':
        """Set the mode; frozen parts stay in eval mode."""
        super().train(mode)
        for part in getattr(self, '_frozen_parts', ()):
            part.eval()
        return self
