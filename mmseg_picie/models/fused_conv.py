"""Convolutions with the activation behind them in one call of oneDNN, for forward passes alone."""

import copy
import functools
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Name in oneDNN and numbers that it takes.
_Activation = tuple[str, list[float]]
_NOTHING: _Activation = ('none', [])


def fuse_activations(network: nn.Module, images: Tensor) -> nn.Module:
    """Have oneDNN apply activations, and lay out weights once, on a CPU.

    An activation in place that directly follows a convolution is applied to what that computes
    before it is written to memory. Layers are found by what flows in one pass, and what replaces a
    convolution is compared with it there. These are the operations that ``torch.compile`` uses on a
    CPU; where they are missing, nothing is changed.

    Args:
        network (nn.Module): in eval mode, without gradients; maps images to a sequence of tensors.
        images (Tensor): (N, 3, H, W), to see which layers follow each other.

    Returns:
        nn.Module: a copy with other convolutions; the network itself if there is nothing to gain.
    """
    if images.device.type != 'cpu' or not torch.backends.mkldnn.is_available():
        return network
    fused = copy.deepcopy(network)
    expected, convs, activations = _trace(fused, images)
    modules = dict(fused.named_modules())
    for conv_name, name in activations.items():
        convs[conv_name].activation = modules[name]
        _replace(modules, name, nn.Identity())
    for name, conv in convs.items():
        _replace(modules, name, conv)
    try:
        found = list(fused(images))
    except (AttributeError, RuntimeError):  # somebody looks into the layers
        return network
    return fused if all(map(is_near, found, expected)) else network


def is_near(found: Tensor, expected: Tensor) -> bool:
    """Whether a tensor is another but for rounding, relative to the largest entry."""
    return bool((found - expected).abs().max() <= 1e-3 * expected.abs().max())


class FusedConv(nn.Module):
    """A convolution of oneDNN's with an activation, without gradients.

    Precisions that oneDNN does not compute in on this processor are left to the layers.

    Args:
        conv (nn.Conv2d): the convolution.
        same (bool): whether it pads as TensorFlow does, to ceil(size / stride) cells, and so on one
            side more than on the other.
        activation (nn.Module, optional): what follows it.
    """

    def __init__(self, conv: nn.Conv2d, same: bool, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.conv, self.activation = conv, activation or nn.Identity()
        self.same = same
        self._laid_out: tuple[Any, Tensor, Tensor | None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of: all but a layout that oneDNN alone can read."""
        return {**self.__dict__, '_laid_out': None}

    def forward(self, images: Tensor) -> Tensor:
        """Convolve and activate; (N, C, H, W), in the precision of autocast if that is on."""
        dtype = images.dtype
        if torch.is_autocast_enabled('cpu'):
            dtype = torch.get_autocast_dtype('cpu')
        if not _is_known(dtype):
            return self.activation(self.conv(images))
        images, padding, added = self._pad(images.to(dtype))
        conv = self.conv
        options = list(padding), list(conv.stride), list(conv.dilation), conv.groups
        weight, bias = self._lay_out(images, added, options)
        name, numbers = _describe(self.activation)
        return torch.ops.mkldnn._convolution_pointwise(
            images, weight, bias, *options, name, numbers, ''
        )

    def _pad(self, images: Tensor) -> tuple[Tensor, tuple[int, ...], tuple[int, ...]]:
        """Images, what is padded on each side, and zeros that go before the weight's rows."""
        conv = self.conv
        if not self.same:
            return images, tuple(int(cells) for cells in conv.padding), (0, 0)
        sizes = zip(images.shape[2:], conv.kernel_size, conv.stride, conv.dilation, strict=True)
        totals = [
            max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
            for size, kernel, stride, dilation in sizes
        ]
        before = [total // 2 for total in totals]
        after = [total - cells for total, cells in zip(totals, before, strict=True)]
        added = tuple(a - b for a, b in zip(after, before, strict=True))
        is_depthwise = conv.weight.shape[1] == 1 and conv.groups > 1
        if is_depthwise and conv.dilation == (1, 1):
            # A weight that begins with a zero is cheaper than a copy of the images.
            return images, tuple(after), added
        return F.pad(images, (before[1], after[1], before[0], after[0])), (0, 0), (0, 0)

    def _lay_out(
        self, images: Tensor, added: tuple[int, ...], options: tuple
    ) -> tuple[Tensor, Tensor | None]:
        """Weight and bias as oneDNN likes them best for such images; those of the last ones."""
        key = images.dtype, images.shape, added
        if self._laid_out is None or self._laid_out[0] != key:
            weight = F.pad(self.conv.weight, (added[1], 0, added[0], 0)).to(images.dtype)
            weight = torch.ops.mkldnn._reorder_convolution_weight(
                weight, *options, list(images.shape)
            )
            bias = None if self.conv.bias is None else self.conv.bias.to(images.dtype)
            self._laid_out = key, weight, bias
        return self._laid_out[1:]


def _trace(
    network: nn.Module, images: Tensor
) -> tuple[list[Tensor], dict[str, FusedConv], dict[str, str]]:
    """What a network makes of images, what its convolutions may become, and activations of these.

    Returns:
        tuple[list[Tensor], dict[str, FusedConv], dict[str, str]]: outputs; by the convolution's
            name; and the activation's name by that of the convolution before it.
    """
    convs: dict[str, FusedConv] = {}
    activations: dict[str, str] = {}
    made: dict[int, str] = {}
    kept: list[Tensor] = []  # no other tensor takes the identity of one that is gone
    used: list[str] = []

    def after_conv(name: str, conv: nn.Conv2d, inputs: tuple, output: Tensor) -> None:
        used.append(name)
        candidate = _make_candidate(conv, inputs, output)
        if candidate is not None:
            convs[name] = candidate
            made[id(output)] = name
            kept.append(output)

    def before_activation(name: str, layer: nn.Module, inputs: tuple) -> None:
        used.append(name)
        if id(inputs[0]) in made:
            activations[made.pop(id(inputs[0]))] = name

    handles = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(partial(after_conv, name)))
        elif _describe(module) != _NOTHING:
            handles.append(module.register_forward_pre_hook(partial(before_activation, name)))
    try:
        outputs = list(network(images))
    finally:
        for handle in handles:
            handle.remove()
    # A layer that is used twice may do it behind something else, or with something else behind it.
    once = {name for name in used if used.count(name) == 1}
    activations = {
        conv: name for conv, name in activations.items() if conv in once and name in once
    }
    return outputs, {name: conv for name, conv in convs.items() if name in once}, activations


def _make_candidate(conv: nn.Conv2d, inputs: tuple, output: Tensor) -> FusedConv | None:
    """What computes the same as a convolution, if oneDNN does."""
    if isinstance(conv.padding, str) or conv.padding_mode != 'zeros' or not _is_known(output.dtype):
        return None
    # A class of its own may be timm's Conv2dSame. If it is not, its output tells.
    candidate = FusedConv(conv, same=type(conv) is not nn.Conv2d)
    try:
        found = candidate(*inputs)
    except (AttributeError, RuntimeError):  # the operation is not there, or not for this layer
        return None
    return candidate if found.shape == output.shape and is_near(found, output) else None


@functools.cache
def _is_known(dtype: torch.dtype) -> bool:
    """Whether oneDNN convolves in a precision on this processor."""
    if dtype == torch.bfloat16:
        return getattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda: False)()
    return dtype == torch.float32


def _describe(layer: nn.Module) -> _Activation:
    """What oneDNN calls an activation in place; not in place, its input may be used elsewhere."""
    if not getattr(layer, 'inplace', False):
        return _NOTHING
    if isinstance(layer, nn.Hardtanh):  # ReLU6 is one
        return 'hardtanh', [layer.min_val, layer.max_val]
    return _NAMES.get(type(layer), _NOTHING)


_NAMES: dict[type[nn.Module], _Activation] = {
    nn.ReLU: ('relu', []),
    nn.SiLU: ('swish', []),
    nn.Hardswish: ('hardswish', []),
}


def _replace(modules: dict[str, nn.Module], name: str, layer: nn.Module) -> None:
    """Put a layer in the place of another."""
    parent, _, child = name.rpartition('.')
    setattr(modules[parent], child, layer)
