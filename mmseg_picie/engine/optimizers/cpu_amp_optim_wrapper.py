"""Automatic mixed precision on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """mmengine's ``OptimWrapper`` whose forward passes run in bfloat16 on a CPU.

    mmengine's ``AmpOptimWrapper`` refuses to work without a GPU. bfloat16 has the range of float32,
    so nothing needs to be scaled; weights and their updates stay float32. It pays on processors
    with bfloat16 instructions (AMX, AVX512-BF16), and there for large images.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass, within, in bfloat16.

        Args:
            model (nn.Module): that is trained.
        """
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield
