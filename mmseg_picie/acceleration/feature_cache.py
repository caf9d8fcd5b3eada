"""Maps of a frozen backbone, kept from the clustering for the training of the same epoch."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

MEBIBYTE = 1 << 20
#: Numbers of an image whose views are kept: its index in the data set, and the view.
Key = tuple[int, int]


class FrozenBackboneModel(Protocol):
    """What the cache needs of PiCIE."""

    training: bool
    has_frozen_backbone: bool

    def forward_frozen(self, inputs: Sequence[Tensor], data_samples: Sequence) -> Sequence:
        """Maps of each view, by the frozen backbone."""


class FeatureCache:
    """Maps of the views of an epoch, up to a size.

    The views that are clustered before an epoch are those that it trains on, so a backbone that
    stays as it is would give the same maps again. They are kept in the memory of the machine, not
    of a GPU; in bfloat16 where that loses nothing, which is so if they were computed in it.

    Args:
        most_bytes (int): size; what is beyond it is forwarded again.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.num_bytes = 0
        self._maps: dict[Key, list[Tensor]] = {}

    def forward(
        self,
        model: FrozenBackboneModel,
        forward_frozen: Any,
        inputs: Sequence[Tensor],
        data_samples: Sequence,
    ) -> Sequence:
        """Do ``PiCIE.forward_frozen``, without the backbone if all its maps are there.

        A model in eval mode clusters, so maps are kept; in train mode they are taken.

        Args:
            model (FrozenBackboneModel): whose mode tells what is done.
            forward_frozen (Callable): of the model.
            inputs (Sequence[Tensor]): batches of the views.
            data_samples (Sequence): samples with ``sample_idx`` in their metainfo.
        """
        numbers = [sample.metainfo.get('sample_idx') for sample in data_samples]
        if not model.has_frozen_backbone or None in numbers:
            return forward_frozen(inputs, data_samples)
        if model.training:
            found = self._take(numbers, inputs[0].device)
            return forward_frozen(inputs, data_samples) if found is None else found
        views = forward_frozen(inputs, data_samples)
        for view, levels in enumerate(views):
            for place, number in enumerate(numbers):
                self._keep((number, view), [level[place] for level in levels])
        self._num_views = len(views)
        return views

    def clear(self) -> None:
        """Forget all maps: the next epoch has other views."""
        self._maps.clear()
        self.num_bytes = 0

    def _keep(self, key: Key, levels: list[Tensor]) -> None:
        least = sum(level.numel() for level in levels) * torch.bfloat16.itemsize
        if key in self._maps or self.num_bytes + least > self.most_bytes:
            return
        kept = [_shrink(level.cpu()) for level in levels]
        size = sum(level.nbytes for level in kept)
        if self.num_bytes + size <= self.most_bytes:
            self._maps[key] = kept
            self.num_bytes += size

    def _take(self, numbers: list[int], device: torch.device) -> list[list[Tensor]] | None:
        """Maps of a batch; None if any is missing."""
        if not self._maps:
            return None
        keys = [[(number, view) for number in numbers] for view in range(self._num_views)]
        if any(key not in self._maps for view in keys for key in view):
            return None
        return [
            [
                torch.stack(level).to(device).float()
                for level in zip(*(self._maps[key] for key in view), strict=True)
            ]
            for view in keys
        ]


def keep_features(model: Any, most_mebibytes: int) -> FeatureCache:
    """Let a model keep the maps of its frozen backbone from the clustering for the training.

    Args:
        model (PiCIE): one whose backbone is trained does as before.
        most_mebibytes (int): memory for the maps; 0 for none.

    Returns:
        FeatureCache: to be cleared after each epoch.
    """
    cache = FeatureCache(most_mebibytes * MEBIBYTE)
    if most_mebibytes and getattr(model, 'has_frozen_backbone', False):
        model.forward_frozen = partial(cache.forward, model, model.forward_frozen)
    return cache


def _shrink(values: Tensor) -> Tensor:
    """A copy in bfloat16 if it holds the same numbers, else in float32."""
    half = values.bfloat16()
    return half if torch.equal(half.float(), values) else values.clone()
