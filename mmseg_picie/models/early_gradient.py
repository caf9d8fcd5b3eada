"""Gradients that are taken before the backward pass, so that memory is free for the next view."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx


def take_gradients(losses: dict[str, Tensor], parameters: Iterable[nn.Parameter]) -> dict:
    """Compute the gradients of a sum of losses now, and free all else that they need.

    The losses that come back have the same values and, in a later backward pass, give the same
    gradients to the parameters (and to nothing else). So of several graphs whose losses are added,
    one at a time is in memory.

    Args:
        losses (dict[str, Tensor]): scalars of one graph, to be added up with equal weights.
        parameters (Iterable[nn.Parameter]): what has a gradient.

    Returns:
        dict[str, Tensor]: the same scalars. Their backward pass raises a ``ValueError`` if they
            were not weighted equally.
    """
    leaves = [parameter for parameter in parameters if parameter.requires_grad]
    values = list(losses.values())
    # As in an ordinary backward pass, what autocast would change stays as it is.
    with torch.autocast(values[0].device.type, enabled=False):
        gradients = torch.autograd.grad(torch.stack(values).sum(), leaves, allow_unused=True)
    known = _Known.apply(gradients, tuple(value.detach() for value in values), *leaves)
    return dict(zip(losses, known, strict=True))


def may_lose_gradients(device: torch.device) -> bool:
    """Whether gradients must wait for the loss to be scaled: in float16 they may vanish before."""
    kind = device.type
    return torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16


class _Known(torch.autograd.Function):
    """Scalars whose gradients with respect to all leaves together are known."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        gradients: tuple[Tensor | None, ...],
        values: tuple[Tensor, ...],
        *leaves: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.gradients = gradients  # type: ignore[attr-defined]
        return values

    @staticmethod
    def backward(ctx: Any, *scales: Tensor) -> tuple[Tensor | None, ...]:
        scale = scales[0]
        if any(other != scale for other in scales[1:]):
            raise ValueError(
                'losses of PiCIE must be added with equal weights, but their weights are '
                f'{[float(other) for other in scales]}; set within_weight and cross_weight of the '
                'head instead.'
            )
        scaled = (None if gradient is None else gradient * scale for gradient in ctx.gradients)
        return (None, None, *scaled)
