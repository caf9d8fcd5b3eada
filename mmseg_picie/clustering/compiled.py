"""One pass over points on a CPU that assigns and sums them, compiled by numba where it is there.

Products, maximum and sums are one loop there (:mod:`.float_loop`, :mod:`.int8_loop`): a point is
read from memory once, and its scores stay in the processor. benchmarks/kmeans.py measures what that
is worth.
"""

import functools
import importlib
import math
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..threads import get_threads

# With more clusters, products of 8-bit numbers are worth the rounding and the second look.
_MAX_FLOAT_CLUSTERS = 48
# So many points, and for each cluster so many, are done before another thread has begun.
_ALONE, _ALONE_PER_CLUSTER = 1024, 4
# Points whose sums are added up in a row: enough to be worth a call, few enough not to lose digits.
_MIN_BLOCK, _MAX_BLOCK = 4096, 8192
# Blocks of a thread, so that one that is held up leaves some to the others.
_BLOCKS = 4

Result = TypeVar('Result')


class Kernel(NamedTuple):
    """A compiled loop.

    Attributes:
        prepare: Of centroids (K, D) float32, makes a tuple of what ``run`` needs of them.
        run: With points (P, D) float32, that tuple, and zeros (K, D) float32 and (K,) int64, adds
            to the latter sums and counts, and returns the sum of squared distances.
    """

    prepare: Callable[[np.ndarray], tuple]
    run: Callable[..., float]


def compile_kernel(num_clusters: int) -> Kernel | None:
    """Compile the loop for a number of clusters, once in a process; it takes some seconds.

    Args:
        num_clusters (int): K.

    Returns:
        Kernel or None: what :func:`sum_by_nearest` needs; None where numba is missing, or broken
            (a warning tells why).
    """
    return _compile(num_clusters > _MAX_FLOAT_CLUSTERS)


@functools.lru_cache(maxsize=1)
def import_numba() -> ModuleType | None:
    """Import numba if it works here.

    Returns:
        module or None: numba, or None where it is missing or broken (a warning tells why).
    """
    try:
        import numba
    except ImportError as error:
        # It is numba's own way to refuse a numpy that is too new for it.
        if not isinstance(error, ModuleNotFoundError):
            warnings.warn(f'numba is installed but cannot be used: {error}', stacklevel=2)
        return None
    return numba


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
    num_clusters, dim = centroids.shape
    prepared = kernel.prepare(centroids.contiguous().numpy())

    def sum_block(block: Tensor) -> tuple[np.ndarray, np.ndarray, float]:
        sums = np.zeros((num_clusters, dim), dtype=np.float32)
        counts = np.zeros(num_clusters, dtype=np.int64)
        return sums, counts, kernel.run(block.numpy(), *prepared, sums, counts)

    sums = np.zeros((num_clusters, dim))
    counts = np.zeros(num_clusters, dtype=np.int64)
    sq_distance = 0.0
    blocks = _split(points.contiguous(), num_clusters)
    for block_sums, block_counts, block_distance in _share(sum_block, blocks):
        sums += block_sums
        counts += block_counts
        sq_distance += block_distance
    return (
        torch.from_numpy(sums).float(),
        torch.from_numpy(counts),
        torch.tensor(sq_distance, dtype=torch.float64),
    )


def _split(points: Tensor, num_clusters: int) -> Sequence[Tensor]:
    """Blocks of equal size, as many for each thread."""
    if len(points) <= max(_ALONE, _ALONE_PER_CLUSTER * num_clusters):
        return [points]
    share = len(points) / torch.get_num_threads()
    number = max(1, min(_BLOCKS, int(share / _MIN_BLOCK)), math.ceil(share / _MAX_BLOCK))
    return points.split(math.ceil(share / number))


def _share(function: Callable[[Tensor], Result], blocks: Sequence[Tensor]) -> list[Result]:
    """Results of all blocks in their order, on as many threads as torch uses.

    Each thread takes the next block when it is ready, this one at once: a thread of torch that
    still waits for work may keep another from its core for a while.
    """
    results: dict[int, Result] = {}
    waiting = deque(enumerate(blocks))

    def work() -> None:
        while True:
            try:
                index, block = waiting.popleft()
            except IndexError:  # all are taken
                return
            results[index] = function(block)

    helpers = min(torch.get_num_threads(), len(blocks)) - 1
    futures = [get_threads().submit(work) for _ in range(helpers)]
    work()
    for future in futures:
        future.result()
    return [results[index] for index in range(len(blocks))]


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
