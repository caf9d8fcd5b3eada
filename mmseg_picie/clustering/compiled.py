"""One pass over points on a CPU that assigns and sums them, compiled by numba where it is there.

Products, maximum and sums are one loop here: a point is read from memory once, and its scores stay
in the processor's registers. benchmarks/kmeans.py measures what that is worth.
"""

import functools
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..threads import get_threads

# Scores are computed for a multiple of so many clusters: what a vector register holds.
_LANES = 16
# Points whose sums are added up in a row: enough to be worth a call, few enough not to lose digits.
_MIN_BLOCK, _MAX_BLOCK = 1024, 8192
# Points that are scored together.
_GROUP = 4

Kernel = Callable[..., float]
Result = TypeVar('Result')


def compile_kernel(num_clusters: int) -> Kernel | None:
    """Compile the loop for a number of clusters, once in a process; it takes a second or two.

    Args:
        num_clusters (int): K.

    Returns:
        Callable or None: what :func:`sum_by_nearest` needs; None where numba is missing, or broken
            (a warning tells why).
    """
    return _compile(-(-num_clusters // _LANES) * _LANES)


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
        kernel (Callable): of :func:`compile_kernel` for K clusters.
        points (Tensor): (P, D) float32 on the CPU; copied if it is not contiguous.
        centroids (Tensor): (K, D) float32.

    Returns:
        tuple[Tensor, Tensor, Tensor]: (K, D) float32 sums, (K,) int64 counts, and the float64 sum
            of squared distances, which is not finite if a point is not.
    """
    num_clusters, dim = centroids.shape
    added = -num_clusters % _LANES
    # Torch's memory begins at a multiple of 64 bytes, which a register is loaded from at once.
    weight = F.pad(2 * centroids.T, (0, added)).contiguous()
    # Columns that are added are never the best.
    lowest = torch.finfo(torch.float32).min
    bias = F.pad(-centroids.square().sum(1), (0, added), value=lowest)

    def sum_block(block: Tensor) -> tuple[np.ndarray, np.ndarray, float]:
        sums = np.zeros((num_clusters, dim), dtype=np.float32)
        counts = np.zeros(num_clusters, dtype=np.int64)
        scores = torch.empty(_GROUP, num_clusters + added)
        arrays = [tensor.numpy() for tensor in (block, weight, bias, scores)]
        return sums, counts, kernel(*arrays, sums, counts)

    sums = np.zeros((num_clusters, dim))
    counts = np.zeros(num_clusters, dtype=np.int64)
    sq_distance = 0.0
    for block_sums, block_counts, block_distance in _share(sum_block, _split(points.contiguous())):
        sums += block_sums
        counts += block_counts
        sq_distance += block_distance
    return (
        torch.from_numpy(sums).float(),
        torch.from_numpy(counts),
        torch.tensor(sq_distance, dtype=torch.float64),
    )


def _split(points: Tensor) -> Sequence[Tensor]:
    """Blocks, some for each thread."""
    size = len(points) // (4 * torch.get_num_threads())
    return points.split(min(max(size, _MIN_BLOCK), _MAX_BLOCK))


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
def _compile(width: int) -> Kernel | None:
    """Kernel for so many columns of scores."""
    numba = import_numba()
    if numba is None:
        return None
    try:
        with _whole_registers(numba):
            return _make_kernel(numba, width)
    except Exception as error:  # of LLVM, or of a numba that does not know this processor
        warnings.warn(f'numba is installed but cannot compile here: {error}', stacklevel=2)
        return None


@contextmanager
def _whole_registers(numba: ModuleType) -> Iterator[None]:
    """Have LLVM use registers of 512 bits where there are some.

    For Intel's processors it takes half of each, as some of them lower their clock for the whole;
    this loop gains from the whole nevertheless. It is a setting of all that numba compiles in this
    process, if nothing was compiled before; that of the user (NUMBA_CPU_FEATURES) stays.
    """
    config = numba.config
    features = numba.core.codegen.get_host_cpu_features()
    if config.CPU_FEATURES is not None or '+avx512f' not in features.split(','):
        yield
        return
    config.CPU_FEATURES = f'{features},-prefer-256-bit'
    try:
        yield
    finally:
        config.CPU_FEATURES = None


def _make_kernel(numba: ModuleType, width: int) -> Kernel:
    """Compile for ``width`` columns, a constant, so that a loop over them becomes registers.

    The kernel takes points (P, D), weight (D, width), bias (width,), scores (4, width) to work in,
    sums (K, D) and counts (K,). It adds to the last two and returns the sum of squared distances.
    """

    @numba.njit(fastmath=True)
    def score(points, weight, bias, scores, p, q, r, s):
        """Scores of four points, which share what is loaded of the weight."""
        for k in range(width):
            scores[0, k] = bias[k]
            scores[1, k] = bias[k]
            scores[2, k] = bias[k]
            scores[3, k] = bias[k]
        whole = points.shape[1] // 4 * 4
        for d in range(0, whole, 4):
            p0, p1, p2, p3 = points[p, d], points[p, d + 1], points[p, d + 2], points[p, d + 3]
            q0, q1, q2, q3 = points[q, d], points[q, d + 1], points[q, d + 2], points[q, d + 3]
            r0, r1, r2, r3 = points[r, d], points[r, d + 1], points[r, d + 2], points[r, d + 3]
            s0, s1, s2, s3 = points[s, d], points[s, d + 1], points[s, d + 2], points[s, d + 3]
            for k in range(width):
                w0, w1, w2, w3 = weight[d, k], weight[d + 1, k], weight[d + 2, k], weight[d + 3, k]
                scores[0, k] += p0 * w0 + p1 * w1 + p2 * w2 + p3 * w3
                scores[1, k] += q0 * w0 + q1 * w1 + q2 * w2 + q3 * w3
                scores[2, k] += r0 * w0 + r1 * w1 + r2 * w2 + r3 * w3
                scores[3, k] += s0 * w0 + s1 * w1 + s2 * w2 + s3 * w3
        for d in range(whole, points.shape[1]):
            for k in range(width):
                scores[0, k] += points[p, d] * weight[d, k]
                scores[1, k] += points[q, d] * weight[d, k]
                scores[2, k] += points[r, d] * weight[d, k]
                scores[3, k] += points[s, d] * weight[d, k]

    # The maximum may take it that there is no NaN; what it says of one is of no use.
    @numba.njit(fastmath=True)
    def find_best(scores, i):
        """Highest score of a point, and the first column that has it."""
        num_columns = scores.shape[1]  # no constant: as one, it would be taken column by column
        best = scores[i, 0]
        for k in range(num_columns):
            best = max(best, scores[i, k])
        last = np.int32(num_columns - 1)
        label = last
        for k in range(num_columns):
            label = min(label, np.int32(k) if scores[i, k] == best else last)
        return best, label

    # The sum of squares may not: it tells that a point is NaN.
    @numba.njit(fastmath={'reassoc', 'contract', 'nsz'})
    def add(points, p, sums, label):
        """Add a point to the sum of its cluster; its square."""
        square = np.float32(0)
        for d in range(points.shape[1]):
            value = points[p, d]
            sums[label, d] += value
            square += value * value
        return square

    @numba.njit('f8(f4[:,::1],f4[:,::1],f4[::1],f4[:,::1],f4[:,::1],i8[::1])', nogil=True)
    def kernel(points, weight, bias, scores, sums, counts):
        total = 0.0
        for p in range(0, len(points), 4):
            last = min(p + 3, len(points) - 1)  # it is scored again in place of points behind it
            score(points, weight, bias, scores, p, min(p + 1, last), min(p + 2, last), last)
            for i in range(p, last + 1):
                best, label = find_best(scores, i - p)
                cluster = np.uint64(min(label, len(counts) - 1))  # whatever NaN has made of it
                counts[cluster] += 1
                total += add(points, i, sums, cluster) - best
        return total

    return kernel
