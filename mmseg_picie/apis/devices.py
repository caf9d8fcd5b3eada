"""Which device a run of the toolbox uses, and what it takes there."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import mmengine.device.utils
import torch

from .prediction import check_device


@contextmanager
def using_device(device: str) -> Iterator[None]:
    """Within, the toolbox's runs are on this device, where they would choose one by themselves.

    Args:
        device (str): such as 'cpu', 'cuda' or 'cuda:1'.

    Raises:
        ValueError: If there is no such device.
    """
    check_device(device)
    kind = torch.device(device)
    before = mmengine.device.utils.DEVICE
    # Which GPU 'cuda' means, within.
    with torch.cuda.device(kind) if kind.type == 'cuda' else nullcontext():
        mmengine.device.utils.DEVICE = kind.type
        try:
            yield
        finally:
            mmengine.device.utils.DEVICE = before


def synchronise(device: torch.device) -> None:
    """Wait until a device has done what it was told to do.

    Args:
        device (torch.device): a CPU has always done it.
    """
    if device.type == 'mps':
        torch.mps.synchronize()
    elif device.type != 'cpu':
        getattr(torch, device.type).synchronize(device)


def time_call(step: Callable[[], Any], device: torch.device, times: int = 2) -> tuple[float, Any]:
    """Time a function on a device.

    Args:
        step (Callable): what to call.
        device (torch.device): that it uses, which is waited for before the clock is read.
        times (int): how often, at least once. The first call warms up.

    Returns:
        tuple[float, Any]: seconds of the shortest call, and what the last one returns.
    """
    best, result = math.inf, None
    for _ in range(times):
        synchronise(device)
        start = time.perf_counter()
        result = step()
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return best, result


def forget_peak(device: torch.device) -> None:
    """Let :func:`peak_mib_of` begin anew, on devices that tell it.

    Args:
        device (torch.device): any.
    """
    reset = getattr(getattr(torch, device.type), 'reset_peak_memory_stats', None)
    if reset is not None:
        reset(device)


def peak_mib_of(device: torch.device) -> float | None:
    """Peak of the memory of a device that tensors have taken, in MiB.

    Args:
        device (torch.device): any.

    Returns:
        float | None: None for a device that does not tell, such as mps or a CPU.
    """
    tell = getattr(getattr(torch, device.type), 'max_memory_allocated', None)
    return None if tell is None else tell(device) / 2**20


def peak_mib() -> float:
    """Peak resident memory of this process in MiB; NaN where the system does not tell."""
    # ru_maxrss may be that of the process that started this one, so it is the second choice.
    peak = read_kib('/proc/self/status', 'VmHWM')
    if not peak:
        try:
            import resource
        except ImportError:  # Windows
            return math.nan
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak //= 1024 if sys.platform == 'darwin' else 1  # which counts bytes
    return peak / 1024


def read_kib(path: str | Path, prefix: str) -> int:
    """Sum of the entries of a file of /proc whose name starts so; 0 if there is no such file."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(prefix))
