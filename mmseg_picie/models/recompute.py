"""Parts of a network whose activations are computed again in the backward pass, to save memory."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute_activations(module: nn.Module) -> None:
    """Let a module keep its input alone for the backward pass, and compute the rest again there.

    ``torch.utils.checkpoint`` (Chen et al. 2016), but running statistics of batch normalisation see
    each batch once, and a deep copy of the module is one that is independent of it. Weights, names
    and outputs stay as they are.

    Args:
        module (nn.Module): changed in place; once or more often is the same.
    """
    kind = type(module)
    if not issubclass(kind, _Recomputed):
        module.__class__ = type(kind.__name__, (_Recomputed, kind), {})


def is_recomputed(module: nn.Module) -> bool:
    """Whether a module computes its activations again."""
    return isinstance(module, _Recomputed)


class _Recomputed(nn.Module):
    """To be put before a module's own class."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        forward = super().forward
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        contexts: Callable = partial(_contexts, self)
        return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)


def _contexts(module: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
    """For the forward pass and for what is computed again."""
    return nullcontext(), statistics_kept(module)


@contextmanager
def statistics_kept(module: nn.Module) -> Iterator[None]:
    """Within, normalise by the batch, and leave running statistics as they are.

    Args:
        module (nn.Module): whose layers of batch normalisation are meant, itself included.
    """
    layers = [
        (layer, layer.momentum, layer.num_batches_tracked)
        for layer in module.modules()
        if isinstance(layer, _BatchNorm) and layer.training and layer.track_running_stats
    ]
    for layer, _, num_batches in layers:
        layer.momentum = 0.0
        if num_batches is not None:
            layer.num_batches_tracked = num_batches.clone()
    try:
        yield
    finally:
        for layer, momentum, num_batches in layers:
            layer.momentum, layer.num_batches_tracked = momentum, num_batches
