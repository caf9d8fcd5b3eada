"""Whether a device computes what a CPU does."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch

from .cases import CASES, MISMATCH, TOLERANCES, Case, compare
from .rows import Found, Row, attempt

#: The case that is run once more with the products that torch chooses by itself, and by what its
#: tolerances are multiplied then: TF32 keeps 10 bits of the 23 of float32.
_AS_SET, _TF32_SLACK = 'training step', 200.0


def check_parity(device: torch.device) -> Iterator[Row]:
    """Run all cases on the CPU and on the device, in strict float32.

    Args:
        device (torch.device): on a CPU, both runs are on it, and prove that results repeat.

    Yields:
        Row: one a case.
    """
    for case in CASES.values():
        yield attempt('parity', case.name, partial(_compare, case, device, _strict()))
    if device.type == 'cuda':
        again = CASES[_AS_SET]._replace(slack=_TF32_SLACK)
        run = partial(_compare, again, device, nullcontext())
        yield attempt('parity', f'{_AS_SET}, with TF32 as torch sets it', run)


def _strict() -> AbstractContextManager:
    """Within, convolutions on CUDA are of float32: torch allows them TF32."""
    return torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=False, allow_tf32=False
    )


def _compare(case: Case, device: torch.device, context: AbstractContextManager) -> Found:
    with context:
        expected, found = case.run(torch.device('cpu')), case.run(device)
    difference = compare(expected, found, case.slack)
    text = f'{difference.error:.2g} apart, in {difference.where}'
    relative, absolute = (case.slack * number for number in TOLERANCES[torch.float32])
    allowed = f'{absolute:.0e} + {relative:.0e} of float32, {MISMATCH:.1%} of whole numbers'
    return Found(difference.worst <= 1, text, allowed, dict(share_of_allowed=difference.worst))
