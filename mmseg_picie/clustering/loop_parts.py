"""What the compiled passes over points share. Imported only where numba is (:mod:`.compiled`)."""

from collections.abc import Callable

import numba
import numpy as np

from .tiles import LANES, prefetch, take_next

#: Score of a column that no cluster has.
LOWEST = np.float32(np.finfo(np.float32).min)
#: Freedom in the order of sums for which a NaN still comes through: it tells that a point is NaN.
REORDER = {'reassoc', 'contract', 'nsz'}
#: Points whose scores are computed in a row, while the weight is in the first cache. Then they are
#: added to sums, which would push it out after every few.
ROUND = 16

#: Signature of what :func:`share_blocks` makes, with that of the tuple in its middle.
SHARED = 'void(f4[:,::1], i8, {}, f4[:,:,::1], i8[:,::1], f8[::1], i8[::1])'
# So many points before it is needed, memory is asked for a point.
_AHEAD = 32
# Bytes of a line of the cache, and of a vector.
_LINE = 64


@numba.njit
def allocate(num_bytes):
    """Zeros that begin where a vector is loaded from at once."""
    raw = np.zeros(num_bytes + _LINE, dtype=np.uint8)
    offset = -raw.ctypes.data % _LINE
    return raw[offset : offset + num_bytes]


@numba.njit
def allocate_floats(rows, columns):
    """(rows, columns) float32 likewise."""
    return allocate(rows * columns * 4).view(np.float32).reshape(rows, columns)


@numba.njit
def count_columns(num_clusters):
    """Columns of scores: those of whole vectors."""
    return -(-num_clusters // LANES) * LANES


@numba.njit
def count_tiles(width, most_vectors):
    """Cut ``width`` columns into tiles of about the same number of vectors.

    Returns:
        tuple[int, int, int]: number of tiles, vectors of each, and how many have one more.
    """
    vectors = width // LANES
    tiles = -(-vectors // most_vectors)
    return tiles, vectors // tiles, vectors % tiles


@numba.njit
def prefetch_later(points, p):
    """Have a point read that comes some way behind point p, if there is one."""
    size = points.shape[1] * 4
    address = points.ctypes.data + (p + _AHEAD) * size
    for offset in range(0, size, _LINE):
        prefetch(address + offset)


def share_blocks(run_block: Callable) -> Callable:
    """Make the loop over blocks of points that several threads run together.

    Each takes the next block when it is ready, so one that starts late, or is kept from its core,
    leaves more to the others.

    Args:
        run_block: numba's code. With points (P, D), what ``prepare`` made, zeros (K, D) and (K,),
            adds sums and counts to these and returns the sum of squared distances.

    Returns:
        Callable: to be compiled with :data:`SHARED`. Takes points (P, D); points of a block; what
            ``prepare`` made; for B blocks zeros (B, K, D), (B, K) and (B,), which become sums,
            counts and sums of squared distances; and a zero (1,), which counts blocks.
    """

    def run(points, size, prepared, sums, counts, sq_distances, taken):
        while True:
            block = take_next(taken.ctypes.data)
            if block >= len(sq_distances):
                return
            part = points[block * size : (block + 1) * size]
            sq_distances[block] = run_block(part, prepared, sums[block], counts[block])

    return run
