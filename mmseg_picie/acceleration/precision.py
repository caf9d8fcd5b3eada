"""The precision of forward passes that nothing is trained through."""

import copy
import functools
import platform
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor, nn

from ..device_limits import without_autocast

FORWARD_DTYPES = ('float32', 'bfloat16', 'auto')
# Functions of torch.cpu.
_AMX, _AVX512_BF16 = '_is_amx_tile_supported', '_is_avx512_bf16_supported'


class FrozenCopyIn(nn.Module):
    """A copy of an encoder in eval mode, without gradients, that computes in a precision.

    Args:
        dtype (str): as of :func:`forward_precision`.
        encoder (nn.Module): maps a batch (N, 3, H, W) to a sequence of tensors. Later changes of it
            do not change the copy.
    """

    def __init__(self, dtype: str, encoder: nn.Module) -> None:
        super().__init__()
        self.dtype = dtype
        if any(weight.requires_grad for weight in encoder.parameters()):
            encoder = copy.deepcopy(encoder)
        self.encoder = encoder.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> 'FrozenCopyIn':
        """Stay in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor | list[Tensor]) -> list[Tensor]:
        """The encoder's maps, float32, of a batch (N, 3, H, W) or of whatever maps it takes."""
        first = images if isinstance(images, Tensor) else images[0]
        with forward_precision(self.dtype, first.device):
            return [level.float() for level in self.encoder(images)]


def forward_precision(dtype: str, device: torch.device) -> AbstractContextManager:
    """A context in which forward passes have a precision, whatever autocast is around it.

    Args:
        dtype (str): 'float32'; 'bfloat16', by autocast; or 'auto', which is 'bfloat16' on a CPU
            that is faster by it and 'float32' elsewhere.
        device (torch.device): where they run.

    Returns:
        AbstractContextManager: to be entered around the passes.
    """
    is_fast = device.type == 'cpu' and bfloat16_is_fast()
    is_half = dtype == 'bfloat16' or (dtype == 'auto' and is_fast)
    if not is_half:
        return without_autocast(device.type)
    return torch.autocast(device.type, dtype=torch.bfloat16)


@functools.cache
def bfloat16_is_fast() -> bool:
    """Whether this processor multiplies more numbers at once in bfloat16 than in float32.

    AMX does. The products of AVX512-BF16 do on AMD's processors; on Intel's they have half as many
    execution units as those of float32, which eats up the gain.
    """
    has = {name: getattr(torch.cpu, name, lambda: False)() for name in (_AMX, _AVX512_BF16)}
    return has[_AMX] or (has[_AVX512_BF16] and 'intel' not in _vendor().lower())


def _vendor() -> str:
    """Maker of the processor, in the words of the system; empty where that does not tell."""
    info = Path('/proc/cpuinfo')
    if info.is_file():
        words = (line.partition(':') for line in info.read_text().splitlines())
        return next((value.strip() for key, _, value in words if key.strip() == 'vendor_id'), '')
    return platform.processor()
