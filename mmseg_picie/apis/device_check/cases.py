"""What a device computes and a CPU too: cases, and how far their results may be apart."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

#: Type of numbers -> (relative, absolute) difference that rounding may make. Results in float64 are
#: sums of float32 values, and so are no better.
TOLERANCES = {
    torch.float64: (1e-5, 1e-5),
    torch.float32: (1e-4, 1e-5),
    torch.float16: (5e-3, 5e-3),
    torch.bfloat16: (2e-2, 2e-2),
}
#: Share of whole numbers, such as clusters, that may be others: those of points between two.
MISMATCH = 0.002

Results = dict[str, Any]


class Case(NamedTuple):
    """Something that must come out the same on every device.

    Attributes:
        name (str): what is computed, in words.
        run (Callable): of a device, gives results by name: tensors, arrays and numbers, or lists
            and dicts of them. All inputs are drawn from a seed on the CPU.
        slack (float): by what the tolerances are multiplied.
    """

    name: str
    run: Callable[[torch.device], Results]
    slack: float


class LeftOut(Exception):
    """A case, or another check, that cannot be run here, with the reason."""


#: All cases, by name.
CASES: dict[str, Case] = {}


def case(name: str, slack: float = 1.0) -> Callable:
    """Add a function to :data:`CASES`.

    Args:
        name (str): as of :class:`Case`.
        slack (float): likewise.
    """

    def add(run: Callable[[torch.device], Results]) -> Callable[[torch.device], Results]:
        assert name not in CASES
        CASES[name] = Case(name, run, slack)
        return run

    return add


def draw(seed: int, *shape: int) -> Tensor:
    """Normal values, the same on every machine, on the CPU."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def draw_counts(seed: int, *shape: int, below: int = 1000) -> Tensor:
    """Whole numbers from 1, likewise."""
    return torch.randint(1, below, shape, generator=torch.Generator().manual_seed(seed))


class Difference(NamedTuple):
    """How far results are apart.

    Attributes:
        worst (float): largest difference as a share of its tolerance; at most 1 is well.
        where (str): the result that it is of.
        error (float): largest absolute difference of that result; of whole numbers the share that
            differs.
    """

    worst: float
    where: str
    error: float


def compare(expected: Results, found: Results, slack: float = 1.0) -> Difference:
    """Compare the results of two devices.

    Args:
        expected (Results): of the CPU.
        found (Results): of the other device.
        slack (float): by what the tolerances are multiplied.

    Returns:
        Difference: the largest one; infinite if shapes, types or finite places differ.

    Raises:
        ValueError: If the results have other names.
    """
    first, second = dict(_flatten(expected)), dict(_flatten(found))
    if list(first) != list(second):
        raise ValueError(f'results are {list(first)} on the CPU, but {list(second)} on the device.')
    found_apart = [_measure(name, first[name], value, slack) for name, value in second.items()]
    return max(found_apart, key=lambda difference: difference.worst)


def _measure(name: str, expected: Tensor, found: Tensor, slack: float) -> Difference:
    """Compare two tensors on the CPU."""
    nowhere = Difference(float('inf'), name, float('nan'))
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return nowhere
    if not expected.numel():
        return Difference(0.0, name, 0.0)
    if not expected.is_floating_point():
        share = float((expected != found).double().mean())
        return Difference(share / MISMATCH, name, share)
    relative, absolute = TOLERANCES[expected.dtype]
    expected, found = expected.double(), found.double()
    if not torch.equal(expected.isfinite(), found.isfinite()):
        return nowhere
    error = (expected - found).nan_to_num().abs()
    allowed = slack * (absolute + relative * expected.nan_to_num().abs())
    return Difference(float((error / allowed).max()), name, float(error.max()))


def _flatten(value: Any, name: str = '') -> Iterator[tuple[str, Tensor]]:
    """Results by dotted names, as tensors on the CPU."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flatten(each, f'{name}.{key}' if name else str(key))
    elif isinstance(value, Tensor):
        yield name, value.detach().cpu()
    elif isinstance(value, Sequence):
        for index, each in enumerate(value):
            yield from _flatten(each, f'{name}.{index}')
    else:
        yield name, torch.from_numpy(np.array(value))
