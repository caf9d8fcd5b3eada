"""An encoder as it is now: what clusters and pseudo-labels are made with."""

import copy

import torch
from torch import Tensor, nn


class FrozenCopy(nn.Module):
    """A copy of an encoder in eval mode, without gradients (PiCIE section 3.1).

    Mixed precision around it does not change what it computes, so that labels are made in the
    precision of the clusters.

    Args:
        encoder (nn.Module): maps a batch (N, 3, H, W) to a sequence of tensors. Later changes of it
            do not change the copy.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> 'FrozenCopy':
        """Stay in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[Tensor]:
        """Forward a batch.

        Args:
            images (Tensor): (N, 3, H, W).

        Returns:
            list[Tensor]: the encoder's maps, float32.
        """
        with torch.autocast(images.device.type, enabled=False):
            return list(self.encoder(images))
