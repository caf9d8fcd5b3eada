"""Activations that torch computes in place, yet copies first for the backward pass."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def save_results(network: nn.Module) -> None:
    """Let in-place ``nn.ReLU6`` and ``nn.Hardtanh`` save their result for the backward pass.

    torch saves their input, which it has to copy since the result takes its place. The result says
    as well where the gradient flows: where it is strictly between the bounds. So of MobileNet and
    EfficientNet-Lite a fifth of the saved memory is never taken; outputs and gradients are the same
    to the last bit.

    Args:
        network (nn.Module): changed in place; once or more often is the same.
    """
    for layer in network.modules():
        saving = _SAVING.get(type(layer))
        if saving is not None:
            layer.__class__ = saving


class _Bounded(torch.autograd.Function):
    """Clamps in place to what is at least ``low`` and at most ``high``."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, low: float, high: float) -> Tensor:
        ctx.mark_dirty(inputs.clamp_(low, high))
        ctx.save_for_backward(inputs)
        ctx.bounds = low, high
        return inputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (result,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradient, result, *ctx.bounds), None, None


class _Saving(nn.Hardtanh):
    """To be put before a layer's own class."""

    def _get_name(self) -> str:
        return super()._get_name().removeprefix('_Saving')

    def forward(self, inputs: Tensor) -> Tensor:
        if self.inplace and torch.is_grad_enabled():
            return _Bounded.apply(inputs, self.min_val, self.max_val)
        return super().forward(inputs)


class _SavingHardtanh(_Saving, nn.Hardtanh):
    pass


class _SavingReLU6(_Saving, nn.ReLU6):
    pass


_SAVING = {nn.Hardtanh: _SavingHardtanh, nn.ReLU6: _SavingReLU6}
