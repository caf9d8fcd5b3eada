"""An encoder as it is now: what clusters and pseudo-labels are made with."""

import copy

import torch
from torch import Tensor, nn

from ..device_limits import without_autocast


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
        self.encoder = copy_trained(encoder)
        self.eval()

    def train(self, mode: bool = True) -> 'FrozenCopy':
        """Stay in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor | list[Tensor]) -> list[Tensor]:
        """Forward a batch.

        Args:
            images (Tensor or list[Tensor]): (N, 3, H, W), or whatever maps the encoder takes.

        Returns:
            list[Tensor]: the encoder's maps, float32.
        """
        first = images if isinstance(images, Tensor) else images[0]
        with without_autocast(first.device.type):
            return list(self.encoder(images))


def copy_trained(encoder: nn.Module) -> nn.Module:
    """Copy a module, without gradients; one of which nothing is trained stays what it is."""
    if any(weight.requires_grad for weight in encoder.parameters()):
        encoder = copy.deepcopy(encoder)
    return encoder.requires_grad_(False)
