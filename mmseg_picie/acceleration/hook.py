"""The one place where a run is accelerated."""

from functools import partial
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS
from torch import nn

from .allocator import release_freed_memory
from .feature_cache import FeatureCache, keep_features
from .in_place import save_results
from .loading import load_on_threads
from .precision import FORWARD_DTYPES, FrozenCopyIn
from .recompute import recompute_cheap_layers
from .view_by_view import train_view_by_view


@HOOKS.register_module()
class AccelerationHook(Hook):
    """Lets a run use its machine well. Without it, it computes the same, slower.

    docs/performance.md says what each measure is worth. Batches, losses and gradients stay as they
    are. Frozen passes in bfloat16 differ by rounding, so pseudo-labels may; that is chosen only on
    a processor that is faster by it, and ``frozen_dtype='float32'`` keeps it off.

    Args:
        enabled (bool): False changes nothing: the switch of all that this package does for speed.
        frozen_dtype (str): precision of the passes that are not trained through, for clusters and
            pseudo-labels: 'float32'; 'bfloat16', by autocast; or 'auto', which is 'bfloat16' on a
            CPU that is faster by it (AMX, AMD's AVX512-BF16) and 'float32' elsewhere.
        feature_cache (int): MiB of memory, on each rank, in which the maps of a frozen backbone are
            kept from the clustering for the training of the same epoch; 0 for none.

    Raises:
        ValueError: If ``frozen_dtype`` is unknown, or ``feature_cache`` is negative.
    """

    priority = 'LOW'  # behind the clustering

    def __init__(
        self, enabled: bool = True, frozen_dtype: str = 'auto', feature_cache: int = 2048
    ) -> None:
        if frozen_dtype not in FORWARD_DTYPES:
            raise ValueError(
                f'frozen_dtype of AccelerationHook must be one of {FORWARD_DTYPES}, but got '
                f'{frozen_dtype!r}.'
            )
        if feature_cache < 0:
            raise ValueError(
                'feature_cache of AccelerationHook must be at least 0 MiB, but got '
                f'{feature_cache}.'
            )
        self.enabled = enabled
        self.feature_cache = feature_cache
        self._cache: FeatureCache | None = None
        self.frozen_dtype = frozen_dtype

    def before_run(self, runner: Runner) -> None:
        """Change what is there before anything is forwarded."""
        if self.enabled:
            for measure in MEASURES.values():
                measure(runner, self.frozen_dtype)
            self._cache = keep_features(_unwrap(runner), self.feature_cache)

    def before_train_epoch(self, runner: Runner) -> None:
        """Behind the clustering, whose tensors have other sizes than those of the training."""
        if self.enabled:
            release_freed_memory()

    def after_train_epoch(self, runner: Runner) -> None:
        """Forget what belongs to this epoch."""
        if self._cache is not None:
            self._cache.clear()
        self.before_train_epoch(runner)


def load_between_steps(runner: Runner, frozen_dtype: str) -> None:
    """Load on the network's threads, if it is on the CPU."""
    if _device(runner) != 'cpu':
        return
    loops = (runner._train_loop, runner._val_loop, runner._test_loop)
    loaders = [loop.dataloader for loop in loops if isinstance(loop, BaseLoop)]
    if sum(load_on_threads(loader) for loader in loaders):
        runner.logger.info(
            'Images are loaded between the steps, on the threads of the network, as it uses all '
            'cores; to have worker processes, leave cores to them by OMP_NUM_THREADS.'
        )


def freeze_in_half(runner: Runner, frozen_dtype: str) -> None:
    """Let the frozen copy of the encoder compute in bfloat16, where that is faster."""
    model = _unwrap(runner)
    if hasattr(model, 'make_frozen'):
        dtype = getattr(model, 'frozen_dtype', None) or frozen_dtype
        model.make_frozen = partial(FrozenCopyIn, dtype)


def train_views_apart(runner: Runner, frozen_dtype: str) -> None:
    """Train on one view after the other, if the loss is a sum over views.

    A wrapper for several ranks has a training step of its own.
    """
    count = (runner.cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)
    if getattr(runner.model, 'is_separable', False) and count == 1:
        runner.model.train_step = partial(train_view_by_view, runner.model)


def save_in_place(runner: Runner, frozen_dtype: str) -> None:
    """Save of activations in place their result, not a copy of their input."""
    save_results(_unwrap(runner))


def recompute(runner: Runner, frozen_dtype: str) -> None:
    """Compute norms and activations of large blocks again, on a CPU."""
    if _device(runner) == 'cpu' and not runner.cfg.get('activation_checkpointing'):
        recompute_cheap_layers(_unwrap(runner).backbone)


def lay_out_channels_last(runner: Runner, frozen_dtype: str) -> None:
    """Lay out images, and so all maps, channels last, in which convolutions are faster."""
    _unwrap(runner).backbone.register_forward_pre_hook(_to_channels_last)


def _to_channels_last(backbone: nn.Module, inputs: tuple) -> tuple:
    return inputs[0].contiguous(memory_format=torch.channels_last), *inputs[1:]


def _device(runner: Runner) -> str:
    return next(runner.model.parameters()).device.type


def _unwrap(runner: Runner) -> Any:
    """The segmentor, without a wrapper for several ranks or for test-time augmentation."""
    model = runner.model
    while hasattr(model, 'module'):
        model = model.module
    return model


#: What is done, by the names of docs/performance.md.
MEASURES = {
    'loading on threads': load_between_steps,
    'bfloat16': freeze_in_half,
    'view by view': train_views_apart,
    'in-place results': save_in_place,
    'recomputing': recompute,
    'channels last': lay_out_channels_last,
}
