r"""The pass over points with products of 8-bit numbers first, in numba's code.

A processor with AVX512-VNNI multiplies four 8-bit numbers in the time of one float32. So points and
centroids, seen from the mean of the centroids, are rounded to 8 bits with a step of their own each,
:math:`z = \hat z + e` and :math:`c = \hat c + f`. As
:math:`z \cdot c - \hat z \cdot \hat c = e \cdot \hat c + z \cdot f`, the score
:math:`2 z \cdot c - |c|^2` is wrong by at most :math:`2 (|e| |\hat c| + |z| |f|)`, and the nearest
centroid is one of those that come within twice that of the best. If these are several, float32
decides between them: the result is that of float32.

Imported only where numba is and the processor can (:mod:`.compiled`). It is compiled when it is
imported, without threads of its own, and lets go of the interpreter's lock.
"""

import numba
import numpy as np

from .loop_parts import (
    LOWEST,
    REORDER,
    ROUND,
    SHARED,
    allocate,
    allocate_floats,
    count_columns,
    count_tiles,
    prefetch_later,
    share_blocks,
)
from .tiles import LANES, POINTS, at_least, highest, larger, lowest_bit, make_int8_tile

_LEVELS = np.float32(127)
_MIDDLE = np.float32(128)  # codes of points are positive
# Of zeros; a step of zero could not be divided by.
_TINY = np.float32(1e-30)

# What is made of centroids.
_PREPARED = 'Tuple((f4[::1], f4[:,::1], i1[:,:,::1], i4[::1], f4[::1], f4[::1], f4[::1]))'

_tile_1, _tile_2, _tile_3, _tile_4 = (make_int8_tile(vectors) for vectors in (1, 2, 3, 4))


@numba.njit(fastmath=True)
def _largest_entry(points, p, centre):
    largest = _TINY
    for d in range(points.shape[1]):
        largest = larger(largest, abs(points[p, d] - centre[d]))
    return largest


@numba.njit(fastmath=REORDER)
def _encode(points, p, centre, codes, i):
    """Round a point to codes 1 to 255, where 128 is the centre.

    Returns:
        tuple[float, float, float]: the step, and the squares of the length of the point from the
            centre and of what was rounded away.
    """
    largest = _largest_entry(points, p, centre)
    step, inverse = largest / _LEVELS, _LEVELS / largest
    square, error = np.float32(0), np.float32(0)
    for d in range(points.shape[1]):
        value = points[p, d] - centre[d]
        level = np.rint(value * inverse)
        codes[i, d] = np.uint8(level + _MIDDLE)
        rest = value - level * step
        square += value * value
        error += rest * rest
    return step, square, error


@numba.njit(fastmath=True)
def _score_exactly(points, p, centre, moved, k):
    """2 z . c, from the centre."""
    total = np.float32(0)
    for d in range(points.shape[1]):
        total += (points[p, d] - centre[d]) * moved[k, d]
    return 2 * total


@numba.njit(fastmath={'contract'})
def _add(points, p, sums, cluster):
    for d in range(points.shape[1]):
        sums[cluster, d] += points[p, d]


@numba.njit(f'{_PREPARED}(f4[:,::1])')
def prepare(centroids):
    """Round centroids.

    Returns:
        tuple: centre (D,); centroids from there (K, D); their codes (S, width, 4) for S groups of
            four channels; what the products begin with (width,), as codes of points are shifted by
            128; factors (width,) and biases (width,) that make them scores; and the largest length
            of a rounded centroid and of what was rounded away (2,).
    """
    num_clusters, dim = centroids.shape
    width, groups = count_columns(num_clusters), -(-dim // 4)
    centre = np.zeros(dim, dtype=np.float32)
    for k in range(num_clusters):
        centre += centroids[k]
    centre /= np.float32(num_clusters)
    moved = centroids - centre
    weight = allocate(groups * width * 4).view(np.int8).reshape(groups, width, 4)
    start = allocate(width * 4).view(np.int32)
    factor, bias = allocate_floats(1, width)[0], allocate_floats(1, width)[0]
    bias[:] = LOWEST
    longest, most_lost = np.float32(0), np.float32(0)
    codes = np.empty((1, dim), dtype=np.uint8)
    origin = np.zeros(dim, dtype=np.float32)
    for k in range(num_clusters):
        step, square, error = _encode(moved, k, origin, codes, 0)
        total = np.int32(0)
        for d in range(dim):
            code = np.int32(codes[0, d]) - 128
            weight[d // 4, k, d % 4] = code
            total += code
        start[k] = -128 * total
        factor[k] = 2 * step
        bias[k] = -square
        longest = max(longest, np.sqrt(square) + np.sqrt(error))
        most_lost = max(most_lost, np.sqrt(error))
    return centre, moved, weight, start, factor, bias, np.array([longest, most_lost])


@numba.njit
def _score(codes, weight, start, factor, bias, steps, scores):
    """Rounded scores of four points."""
    row = scores.shape[1] * 4
    size = codes.shape[1]
    first = codes.ctypes.data
    second, third, fourth = first + size, first + 2 * size, first + 3 * size
    tiles, vectors, wider = count_tiles(scores.shape[1], 4)
    w, a, out = weight.ctypes.data, start.ctypes.data, scores.ctypes.data
    f, b, s = factor.ctypes.data, bias.ctypes.data, steps.ctypes.data
    for t in range(tiles):
        number = vectors + (t < wider)
        if number == 4:
            _tile_4(first, second, third, fourth, w, a, out, row, len(weight), f, b, s)
        elif number == 3:
            _tile_3(first, second, third, fourth, w, a, out, row, len(weight), f, b, s)
        elif number == 2:
            _tile_2(first, second, third, fourth, w, a, out, row, len(weight), f, b, s)
        else:
            _tile_1(first, second, third, fourth, w, a, out, row, len(weight), f, b, s)
        step = number * LANES * 4
        w, a, out, f, b = w + step, a + step, out + step, f + step, b + step


@numba.njit
def _choose(points, p, centre, moved, bias, address, width, bound):
    """The nearest of the centroids whose rounded scores at an address are at least ``bound``."""
    chosen, best, number = np.int64(0), LOWEST, 0
    for column in range(0, width, LANES):
        found = at_least(address + column * 4, bound)
        while found:
            cluster = column + np.int64(lowest_bit(found))
            found &= found - np.uint32(1)
            if cluster >= len(moved):  # the bound is infinite
                break
            if number == 0:
                chosen = cluster
            elif number == 1:
                best = _score_exactly(points, p, centre, moved, chosen) + bias[chosen]
            if number > 0:
                score = _score_exactly(points, p, centre, moved, cluster) + bias[cluster]
                if score > best:
                    chosen, best = cluster, score
            number += 1
    return chosen


@numba.njit
def _sum_scores(centre, moved, sums, counts):
    """Sum of 2 z . c - |c|^2 over all points, from the centre, by the sums of their clusters."""
    total = 0.0
    for k in range(len(moved)):
        along, shift, square = 0.0, 0.0, 0.0
        for d in range(len(centre)):
            value = np.float64(moved[k, d])
            along += value * sums[k, d]
            shift += value * centre[d]
            square += value * value
        total += 2 * (along - counts[k] * shift) - counts[k] * square
    return total


@numba.njit
def _run_block(points, prepared, sums, counts):
    """Assign points and sum them; see :func:`share_blocks`. ``prepared`` is of :func:`prepare`."""
    centre, moved, weight, start, factor, bias, limits = prepared
    width = len(bias)
    scores, steps = allocate_floats(ROUND, width), allocate_floats(1, ROUND)[0]
    codes = allocate(ROUND * len(weight) * 4).reshape(ROUND, len(weight) * 4)
    margins = np.zeros(ROUND, dtype=np.float32)
    longest, most_lost = limits
    total = 0.0
    for p in range(0, len(points), ROUND):
        number = min(ROUND, len(points) - p)
        for i in range(number):
            steps[i], square, error = _encode(points, p + i, centre, codes, i)
            length, lost = np.sqrt(square), np.sqrt(error)
            # The last term is for rounding in float32.
            margins[i] = np.float32(4.001) * (lost * longest + length * most_lost)
            margins[i] += np.float32(1e-5) * longest * (length + longest)
            total += square
        for i in range(0, number, POINTS):
            _score(codes[i:], weight, start, factor, bias, steps[i:], scores[i:])
        for i in range(number):
            prefetch_later(points, p + i)
            address = scores.ctypes.data + i * width * 4
            bound = highest(address, width // LANES) - margins[i]
            chosen = _choose(points, p + i, centre, moved, bias, address, width, bound)
            counts[chosen] += 1
            _add(points, p + i, sums, chosen)
    return total - _sum_scores(centre, moved, sums, counts)


#: See :func:`share_blocks`.
run = numba.njit(SHARED.format(_PREPARED), nogil=True)(share_blocks(_run_block))
