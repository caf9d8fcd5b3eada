"""A network as it is now, for forward passes alone."""

import copy
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .fused_conv import fuse_activations, is_near


class FrozenCopy(nn.Module):
    """A copy in eval mode without gradients, with fewer passes over its activations.

    In eval mode batch normalisation is an affine map of each channel. Where it directly follows a
    convolution, it becomes a part of that one's weights at the first forward pass; on a CPU, an
    activation behind that becomes a part of the convolution as well (:func:`fuse_activations`).
    Which layers these are is seen from what flows in that pass, not from names. The result is
    compared with the network's own, and dropped if it is another.

    Args:
        network (nn.Module): maps a batch (N, 3, H, W) to a sequence of tensors. Later changes of it
            do not change the copy.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.is_folded = False
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
            list[Tensor]: what the network makes of it.
        """
        if not self.is_folded:
            with torch.autocast(images.device.type, enabled=False):
                self.network = fold_norms(self.network, images[:1])
                self.network = fuse_activations(self.network, images[:1])
            self.is_folded = True
        return list(self.network(images))


def fold_norms(network: nn.Module, images: Tensor) -> nn.Module:
    """Fold batch normalisation into the convolutions before it.

    Args:
        network (nn.Module): in eval mode, without gradients; maps images to a sequence of tensors.
        images (Tensor): (N, 3, H, W), to see which layers follow each other.

    Returns:
        nn.Module: a folded copy; the network itself if that would compute something else.
    """
    expected, pairs = _trace(network, images)
    folded = copy.deepcopy(network)
    modules = dict(folded.named_modules())
    for conv_name, norm_name in pairs:
        conv, norm = modules[conv_name], modules[norm_name]
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight,
            conv.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        parent, _, name = norm_name.rpartition('.')
        setattr(modules[parent], name, _without_norm(norm))
    return folded if all(map(is_near, folded(images), expected)) else network


def _trace(network: nn.Module, images: Tensor) -> tuple[list[Tensor], list[tuple[str, str]]]:
    """What a network makes of images, and the names of convolutions and the norms behind them."""
    made: dict[int, str] = {}
    kept: list[Tensor] = []  # no other tensor takes the identity of one that is gone
    used: list[str] = []
    pairs: list[tuple[str, str]] = []

    def after_conv(name: str, conv: nn.Module, inputs: tuple, output: Tensor) -> None:
        made[id(output)] = name
        kept.append(output)
        used.append(name)

    def before_norm(name: str, norm: nn.Module, inputs: tuple) -> None:
        if id(inputs[0]) in made:
            pairs.append((made[id(inputs[0])], name))
        used.append(name)

    handles = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(partial(after_conv, name)))
        elif _without_norm(module) is not None and module.running_mean is not None:
            handles.append(module.register_forward_pre_hook(partial(before_norm, name)))
    try:
        outputs = list(network(images))
    finally:
        for handle in handles:
            handle.remove()
    # A layer that is used twice has one set of weights for two places.
    return outputs, [pair for pair in pairs if all(used.count(name) == 1 for name in pair)]


def _without_norm(norm: nn.Module) -> nn.Module | None:
    """What is left of a batch normalisation without it; None of anything else."""
    if type(norm) in (nn.BatchNorm2d, nn.SyncBatchNorm):
        return nn.Identity()
    drop, act = (getattr(norm, name, None) for name in ('drop', 'act'))  # timm's BatchNormAct2d
    if isinstance(norm, nn.BatchNorm2d) and isinstance(drop, nn.Module):
        return nn.Sequential(drop, act) if isinstance(act, nn.Module) else None
    return None
