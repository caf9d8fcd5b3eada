"""One pass over points on a CPU that assigns and sums them, compiled by numba where it is there.

Products, maximum and sums are one loop there (:mod:`.float_loop`, :mod:`.int8_loop`): a point is
read from memory once, and its scores stay in the processor. benchmarks/kmeans.py measures what that
is worth.
"""

import functools
import importlib
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..threads import get_threads
from .optional import import_numba

# With more clusters, products of 8-bit numbers are worth the rounding and the second look.
_MAX_FLOAT_CLUSTERS = 48
# Points whose sums are added up in a row, and so many more for each cluster: enough to be worth the
# sums, few enough not to lose digits.
_MIN_BLOCK, _PER_CLUSTER, _MAX_BLOCK = 768, 4, 8192
# Blocks of a thread, so that one that is held up leaves some to the others.
_BLOCKS = 4
# Entries of the sums of blocks (64 MiB): more points are done in groups of blocks.
_MOST_SUMS = 1 << 24


class Kernel(NamedTuple):
    """A compiled loop.

    Attributes:
        prepare: Of centroids (K, D) float32, makes a tuple of what ``run`` needs of them.
        run: What ``loop_parts.share_blocks`` makes.
    """

    prepare: Callable[[np.ndarray], tuple]
    run: Callable[..., None]


def compile_kernel(num_clusters: int) -> Kernel | None:
    """Compile the loop for a number of clusters, once in a process; it takes some seconds.

    Args:
        num_clusters (int): K.

    Returns:
        Kernel or None: what :func:`sum_by_nearest` needs; None where numba is missing, or broken
            (a warning tells why).
    """
    return _compile(num_clusters > _MAX_FLOAT_CLUSTERS)


def sum_by_nearest(
    kernel: Kernel, points: Tensor, centroids: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Assign points and sum them per cluster, on as many threads as torch uses.

    Args:
        kernel (Kernel): of :func:`compile_kernel` for K clusters.
        points (Tensor): (P, D) float32 on the CPU; copied if it is not contiguous.
        centroids (Tensor): (K, D) float32.

    Returns:
        tuple[Tensor, Tensor, Tensor]: (K, D) float32 sums, (K,) int64 counts, and the float64 sum
            of squared distances, which is not finite if a point is not.
    """
    points, centroids = points.detach().contiguous(), centroids.detach().contiguous()
    prepared = kernel.prepare(centroids.numpy())
    size = _block_size(len(points), len(centroids))
    group = size * max(torch.get_num_threads(), _MOST_SUMS // centroids.numel())
    sums, counts, sq_distance = np.zeros(centroids.shape), 0, 0.0
    for part in points.split(group):
        of_blocks = _sum_blocks(kernel, part.numpy(), size, prepared, centroids.shape)
        sums += of_blocks[0].sum(0, dtype=np.float64)
        counts += of_blocks[1].sum(0)
        sq_distance += of_blocks[2].sum()
    return (
        torch.from_numpy(sums).float(),
        torch.from_numpy(counts),
        torch.tensor(sq_distance, dtype=torch.float64),
    )


def _block_size(num_points: int, num_clusters: int) -> int:
    """Points of a block, which are equal but for the last."""
    number = num_points / (torch.get_num_threads() * _BLOCKS)
    size = min(max(number, _MIN_BLOCK + _PER_CLUSTER * num_clusters), _MAX_BLOCK)
    return math.ceil(num_points / max(1, math.ceil(num_points / size))) or 1


def _sum_blocks(
    kernel: Kernel, points: np.ndarray, size: int, prepared: tuple, shape: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums (B, K, D), counts (B, K) and sums of squared distances (B,) of B blocks of points.

    This thread begins at once, others help when they wake up: a thread of torch that still waits
    for work may keep them from their cores for a while.
    """
    number = math.ceil(len(points) / size)
    sums = np.zeros((number, *shape), dtype=np.float32)
    counts = np.zeros((number, shape[0]), dtype=np.int64)
    found = sums, counts, np.zeros(number)
    work = functools.partial(kernel.run, points, size, prepared, *found, np.zeros(1, np.int64))
    helpers = min(torch.get_num_threads(), number) - 1
    futures = [get_threads().submit(work) for _ in range(helpers)]
    work()
    for future in futures:
        if not future.cancel():  # one that has not begun has nothing left to do
            future.result()
    return found


@functools.lru_cache
def _compile(many: bool) -> Kernel | None:
    """Kernel for few clusters or for many."""
    numba = import_numba()
    if numba is None or numba.config.DISABLE_JIT:
        return None
    features = _features(numba)
    try:
        with _whole_registers(numba):
            if many and '+avx512vnni' in features:
                loop = _import('int8_loop')
                return Kernel(loop.prepare, loop.run)
            loop = _import('float_loop')
    except Exception as error:  # of LLVM, or of a numba that does not know this processor
        warnings.warn(f'numba is installed but cannot compile here: {error}', stacklevel=2)
        return None
    # Of scores of 4 points, 16 registers of AVX-512 may be held; elsewhere they are shorter.
    most_vectors = 4 if '+avx512f' in features else 1
    return Kernel(lambda centroids: (*loop.prepare(centroids), most_vectors), loop.run)


def _import(name: str) -> ModuleType:
    """A module that is compiled when it is imported."""
    return importlib.import_module(f'{__package__}.{name}')


def _features(numba: ModuleType) -> list[str]:
    """What the processor has, such as '+avx512f', or what the user lets numba use of it."""
    chosen = numba.config.CPU_FEATURES
    return (numba.core.codegen.get_host_cpu_features() if chosen is None else chosen).split(',')


@contextmanager
def _whole_registers(numba: ModuleType) -> Iterator[None]:
    """Have LLVM use registers of 512 bits where there are some.

    For Intel's processors it takes half of each, as some of them lower their clock for the whole;
    these loops gain from the whole nevertheless. It is a setting of all that numba compiles in this
    process, if nothing was compiled before; that of the user (NUMBA_CPU_FEATURES) stays.
    """
    config, features = numba.config, _features(numba)
    if config.CPU_FEATURES is not None or '+avx512f' not in features:
        yield
        return
    config.CPU_FEATURES = ','.join([*features, '-prefer-256-bit'])
    try:
        yield
    finally:
        config.CPU_FEATURES = None
