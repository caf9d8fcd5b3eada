"""PiCIE's decoder: a feature pyramid that sums its levels into one map."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class SumFPN(BaseModule):
    """1x1 lateral convolutions and a top-down sum; the finest level is the output.

    Panoptic FPN's top-down path without its 3x3 convolutions, norms and activations (PiCIE,
    section 4.1). Each coarser sum is upsampled bilinearly to the size of the next finer level,
    whatever that is, and added. So there may be any number of levels, of any strides; of one level,
    such as a plain vision transformer's, the lateral convolution is all that is left.

    Args:
        in_channels (Sequence[int]): channels of the backbone's levels, fine to coarse.
        out_channels (int): D, channels of the output.
        init_cfg (dict, optional): initialisation; torch's default for convolutions if None.

    Raises:
        TypeError: If ``in_channels`` is a single number.
        ValueError: If ``in_channels`` is empty.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 128,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if isinstance(in_channels, int):
            raise TypeError(
                'in_channels of SumFPN must list the channels of each level, but is the number '
                f'{in_channels}; for one level write ({in_channels},).'
            )
        if not in_channels:
            raise ValueError('in_channels of SumFPN must list at least one level, but is empty.')
        self.in_channels = tuple(in_channels)
        self.out_channels = out_channels
        self.laterals = nn.ModuleList(nn.Conv2d(c, out_channels, 1) for c in self.in_channels)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor]:
        """Sum the levels.

        Args:
            inputs (Sequence[Tensor]): (N, C_i, H_i, W_i) per level, fine to coarse.

        Returns:
            tuple[Tensor]: one (N, D, H_0, W_0) map.

        Raises:
            ValueError: If the levels are not those that ``in_channels`` says, or no maps with
                channels first.
        """
        self._check(inputs)
        levels = [lateral(x) for lateral, x in zip(self.laterals, inputs, strict=True)]
        total = levels[-1]
        for level in reversed(levels[:-1]):
            size = level.shape[2:]
            # In place, as nothing else needs the level: one map less at the peak of memory.
            total = level.add_(F.interpolate(total, size, mode='bilinear', align_corners=False))
        return (total,)

    def stack(self, inputs: Sequence[Tensor]) -> Tensor:
        """Levels in one map, enlarged as :meth:`forward` enlarges them.

        Args:
            inputs (Sequence[Tensor]): as of :meth:`forward`.

        Returns:
            Tensor: (N, sum of C_i, H_0, W_0), of which the output is a linear map.
        """
        self._check(inputs)
        total = inputs[-1]
        for level in reversed(inputs[:-1]):
            total = F.interpolate(total, level.shape[2:], mode='bilinear', align_corners=False)
            total = torch.cat([level, total], 1)
        return total

    @torch.no_grad()
    def project(self, weight: Tensor, bias: Tensor) -> None:
        """Take a linear map of the stacked levels as the decoder.

        Args:
            weight (Tensor): (D, sum of C_i).
            bias (Tensor): (D,).
        """
        parts = weight.split(list(self.in_channels), dim=1)
        biases = [bias] + [torch.zeros_like(bias)] * (len(parts) - 1)
        for lateral, *values in zip(self.laterals, parts, biases, strict=True):
            lateral.load_state_dict(dict(weight=values[0][:, :, None, None], bias=values[1]))

    def _check(self, inputs: Sequence[Tensor]) -> None:
        """Refuse levels that are not what ``in_channels`` says, naming the numbers."""
        shapes = [tuple(level.shape) for level in inputs]
        last = tuple(shape[-1] for shape in shapes)
        if any(len(shape) != 4 for shape in shapes):
            raise ValueError(
                'SumFPN takes levels of shape (N, C, H, W), but the backbone gives the shapes '
                f'{shapes}; have it give maps (of a transformer, not its tokens).'
            )
        channels = tuple(shape[1] for shape in shapes)
        if channels == self.in_channels:
            return
        if last == self.in_channels:
            raise ValueError(
                f'SumFPN takes levels of shape (N, C, H, W), but the backbone gives the shapes '
                f'{shapes}, channels last; take one that gives channels first (of Swin, '
                "mmseg's SwinTransformer rather than timm's)."
            )
        raise ValueError(
            f'in_channels of SumFPN is {self.in_channels}, but the backbone gives levels of '
            f'{channels} channels; set neck.in_channels to these, or out_indices of the backbone.'
        )
