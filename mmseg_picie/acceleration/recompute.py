"""Less memory for the backward pass: cheap layers are computed again in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils import checkpoint as checkpoints
from torch.utils.checkpoint import checkpoint

#: torch 2.4 cannot choose what a checkpoint keeps.
IS_AVAILABLE = hasattr(checkpoints, 'create_selective_checkpoint_contexts')

_aten = torch.ops.aten
#: Operations that take long, whose results are kept; norms and activations are computed again.
_KEPT = {op.default for op in (_aten.convolution, _aten.mm, _aten.addmm, _aten.bmm)}

# Blocks with a smaller input keep all: little memory would be won for the time.
_MIN_BYTES = 8 << 20


def recompute_cheap_layers(network: nn.Module) -> int:
    """Let each block of a network keep the results of convolutions and products alone.

    Norms and activations of a block are computed again when its backward pass begins (Chen et al.
    2016, torch's selective checkpoints). Losses, gradients and running statistics stay as they are.

    Args:
        network (nn.Module): a backbone; its blocks are the members of its innermost sequences.
            It is left alone if it recomputes by itself (mmseg's ``with_cp``), has
            ``SyncBatchNorm``, whose ranks would wait for each other, or if torch is older than 2.5.

    Returns:
        int: how many blocks were found; each is changed in place.
    """
    layers = list(network.modules())
    if any(isinstance(m, nn.SyncBatchNorm) or getattr(m, 'with_cp', False) for m in layers):
        return 0
    if not IS_AVAILABLE:
        return 0
    blocks = list(_find_blocks(network))
    for block in blocks:
        if not isinstance(block, _Recomputed):
            kind = type(block)
            block.__class__ = type(kind.__name__, (_Recomputed, kind), {})
    return len(blocks)


def _find_blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Members of sequences that hold several layers and no such sequence themselves."""
    for child in module.children():
        inner = list(_find_blocks(child))
        if inner:
            yield from inner
        elif isinstance(module, (nn.Sequential, nn.ModuleList)) and len(list(child.children())) > 1:
            yield child


class _Recomputed(nn.Module):
    """To be put before a block's own class."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        forward = super().forward
        if not torch.is_grad_enabled() or args[0].nbytes < _MIN_BYTES:
            return forward(*args, **kwargs)
        kind = args[0].device.type
        # Casts of weights, which mixed precision would make once for all, are made each time.
        precision: Any = nullcontext
        if torch.amp.is_autocast_available(kind):
            dtype, is_on = torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
            precision = partial(torch.autocast, kind, dtype, is_on, cache_enabled=False)

        def run(*args: Any, **kwargs: Any) -> Any:
            with precision():
                return forward(*args, **kwargs)

        contexts = partial(_make_contexts, self)
        return checkpoint(
            run, *args, use_reentrant=False, determinism_check='none', context_fn=contexts, **kwargs
        )


def _make_contexts(module: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
    """For the forward pass and for what is computed again."""
    first, again = checkpoints.create_selective_checkpoint_contexts(_choose)
    return first, _both(module, again)


@contextmanager
def _both(module: nn.Module, again: AbstractContextManager) -> Iterator[None]:
    with statistics_kept(module), again:
        yield


def _choose(
    context: Any, operation: Any, *args: Any, **kwargs: Any
) -> checkpoints.CheckpointPolicy:
    """Whether the result of an operation is kept."""
    kept = operation in _KEPT
    policies = checkpoints.CheckpointPolicy
    return policies.MUST_SAVE if kept else policies.PREFER_RECOMPUTE


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
