"""The pass over points with float32 products, in numba's code.

Imported only where numba is (:mod:`.compiled`). It is compiled when it is imported, without threads
of its own, and lets go of the interpreter's lock.
"""

import numba
import numpy as np

from .loop_parts import (
    LOWEST,
    REORDER,
    ROUND,
    SHARED,
    allocate_floats,
    count_columns,
    count_tiles,
    prefetch_later,
    share_blocks,
)
from .tiles import LANES, POINTS, at_least, highest, lowest_bit, make_float_tile

_tile_1, _tile_2, _tile_3, _tile_4 = (make_float_tile(vectors) for vectors in (1, 2, 3, 4))


@numba.njit('Tuple((f4[:,::1], f4[:,::1]))(f4[:,::1])')
def prepare(centroids):
    """Make a weight of centroids.

    Args:
        centroids (ndarray): (K, D) float32.

    Returns:
        tuple[ndarray, ndarray]: weight (D, width) and bias (1, width), with which the scores
            2 z . c - |c|^2 are ``z @ weight + bias``. Columns without a cluster never win.
    """
    num_clusters, dim = centroids.shape
    width = count_columns(num_clusters)
    weight, bias = allocate_floats(dim, width), allocate_floats(1, width)
    bias[:] = LOWEST
    for k in range(num_clusters):
        square = np.float32(0)
        for d in range(dim):
            value = centroids[k, d]
            weight[d, k] = 2 * value
            square += value * value
        bias[0, k] = -square
    return weight, bias


@numba.njit
def _score(points, p, last, weight, bias, scores, most_vectors):
    """Scores of points p to p + 3; in place of those behind ``last``, of that one again."""
    dim, width = weight.shape
    row, size = width * 4, dim * 4
    begin = points.ctypes.data
    first, second = begin + p * size, begin + min(p + 1, last) * size
    third, fourth = begin + min(p + 2, last) * size, begin + min(p + 3, last) * size
    tiles, vectors, wider = count_tiles(width, most_vectors)
    w, b, out = weight.ctypes.data, bias.ctypes.data, scores.ctypes.data
    for t in range(tiles):
        number = vectors + (t < wider)
        if number == 4:
            _tile_4(first, second, third, fourth, w, b, out, row, dim)
        elif number == 3:
            _tile_3(first, second, third, fourth, w, b, out, row, dim)
        elif number == 2:
            _tile_2(first, second, third, fourth, w, b, out, row, dim)
        else:
            _tile_1(first, second, third, fourth, w, b, out, row, dim)
        step = number * LANES * 4
        w, b, out = w + step, b + step, out + step


@numba.njit(fastmath=REORDER)
def _add(points, p, sums, cluster):
    """Add a point to the sum of its cluster; its square."""
    square = np.float32(0)
    for d in range(points.shape[1]):
        value = points[p, d]
        sums[cluster, d] += value
        square += value * value
    return square


@numba.njit
def _run_block(points, prepared, sums, counts):
    """Assign points and sum them; see :func:`share_blocks`.

    ``prepared`` is what :func:`prepare` made, and the vectors of a tile, from 1 to 4: as many as
    the registers hold.
    """
    weight, bias, most_vectors = prepared
    total, width = 0.0, weight.shape[1]
    scores = allocate_floats(ROUND, width)
    for begin in range(0, len(points), ROUND):
        last = min(begin + ROUND, len(points)) - 1
        for p in range(begin, last + 1, POINTS):
            _score(points, p, last, weight, bias, scores[p - begin :], most_vectors)
        for i in range(begin, last + 1):
            prefetch_later(points, i)
            address = scores.ctypes.data + (i - begin) * width * 4
            best = highest(address, width // LANES)
            nearest = np.int64(0)  # a NaN has none, and is refused afterwards
            for column in range(0, width, LANES):
                found = at_least(address + column * 4, best)
                if found:
                    nearest = column + np.int64(lowest_bit(found))
                    break
            cluster = min(nearest, np.int64(len(counts) - 1))
            counts[cluster] += 1
            total += _add(points, i, sums, cluster) - best
    return total


#: See :func:`share_blocks`.
run = numba.njit(SHARED.format('Tuple((f4[:,::1], f4[:,::1], i8))'), nogil=True)(
    share_blocks(_run_block)
)
