"""PiCIE's decoder: a feature pyramid that sums its levels into one map."""

from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class SumFPN(BaseModule):
    """1x1 lateral convolutions and a top-down sum; the finest level is the output.

    Panoptic FPN's top-down path without its 3x3 convolutions, norms and activations (PiCIE,
    section 4.1). Each coarser sum is upsampled bilinearly to the size of the next finer level,
    whatever that is, and added.

    Args:
        in_channels (Sequence[int]): channels of the backbone's levels, fine to coarse.
        out_channels (int): D, channels of the output.
        init_cfg (dict, optional): initialisation; torch's default for convolutions if None.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 128,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
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
            ValueError: If the levels are not those that ``in_channels`` says.
        """
        channels = tuple(level.shape[1] for level in inputs)
        if channels != self.in_channels:
            raise ValueError(
                f'in_channels of SumFPN is {self.in_channels}, but the backbone gives levels of '
                f'{channels} channels; set neck.in_channels to these, or out_indices of the '
                'backbone.'
            )
        levels = [lateral(x) for lateral, x in zip(self.laterals, inputs, strict=True)]
        total = levels[-1]
        for level in reversed(levels[:-1]):
            size = level.shape[2:]
            total = level + F.interpolate(total, size, mode='bilinear', align_corners=False)
        return (total,)
