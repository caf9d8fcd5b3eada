"""The precision of forward passes that nothing is trained through."""

import functools
from contextlib import AbstractContextManager, nullcontext

import torch

FORWARD_DTYPES = ('float32', 'bfloat16', 'auto')


def forward_precision(dtype: str, device: torch.device) -> AbstractContextManager:
    """A context in which forward passes have a precision.

    Args:
        dtype (str): 'float32'; 'bfloat16', by autocast; or 'auto', which is 'bfloat16' on a CPU
            that has instructions for it and 'float32' elsewhere.
        device (torch.device): where they run.

    Returns:
        AbstractContextManager: to be entered around the passes.
    """
    has_it = device.type == 'cpu' and cpu_has_bfloat16()
    if dtype == 'bfloat16' or (dtype == 'auto' and has_it):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


@functools.cache
def cpu_has_bfloat16() -> bool:
    """Whether this processor multiplies in bfloat16 (AVX512-BF16, AMX), not by way of float32."""
    checks = ('_is_avx512_bf16_supported', '_is_amx_tile_supported')
    return any(hasattr(torch.cpu, name) and getattr(torch.cpu, name)() for name in checks)
