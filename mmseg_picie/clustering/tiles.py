"""What numba's own code does not become: vector registers that hold scores while they add up.

Imported only where numba is (:mod:`.compiled`), as it makes code of LLVM's. Addresses are numbers
here, and memory is not checked: the loops that use it give it what is long enough.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Clusters in a vector, and points that share what is loaded of the centroids.
LANES, POINTS = 16, 4

_INT, _FLOAT = ir.IntType(32), ir.FloatType()
_SIZE = 4  # bytes of a number
_FAST = ('fast',)


def make_float_tile(vectors: int) -> Any:
    """Scores of four points for some vectors of clusters, by float32 products.

    Args:
        vectors (int): vectors of 16 clusters. With 4 points each, they must leave some of the
            processor's registers free.

    Returns:
        Callable: for numba's code; takes addresses of the points' (D,) numbers, of the weight
            (D, width), of the scores to start from (width,), and of where to write scores
            (4, width); then the bytes of ``width`` numbers, and D. Writes
            ``start + points @ weight``.
    """

    @intrinsic
    def tile(context, first, second, third, fourth, weight, start, out, row, steps):
        def generate(context, builder, signature, args):
            *points, weight, start, out, row, steps = args
            totals = _accumulate(
                builder, _FLOAT, _add_product, vectors, points, weight, start, row, steps
            )
            _store(builder, totals, out, row)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 9), generate

    return tile


def make_int8_tile(vectors: int) -> Any:
    """The same by products of 8-bit numbers, four at once (AVX512-VNNI), scaled to float32.

    Args:
        vectors (int): as of :func:`make_float_tile`.

    Returns:
        Callable: for numba's code; takes addresses of the points' uint8 codes (4 S,) each, of the
            weight int8 (S, width, 4), of the products to start from int32 (width,), of where to
            write scores (4, width); the bytes of ``width`` numbers, and S; then the addresses of
            the clusters' factors and biases (width,), and of the points' factors (4,). Writes
            ``(start + points @ weight) * point's factor * cluster's factor + bias``.
    """

    @intrinsic
    def tile(
        context, first, second, third, fourth, weight, start, out, row, steps, factor, bias, scale
    ):
        def generate(context, builder, signature, args):
            *points, weight, start, out, row, steps, factor, bias, scale = args
            totals = _accumulate(
                builder, _INT, _add_codes, vectors, points, weight, start, row, steps
            )
            vector = ir.VectorType(_FLOAT, LANES)
            factors = _load_all(builder, factor, vector, vectors)
            biases = _load_all(builder, bias, vector, vectors)
            for i, group in enumerate(totals):
                number = _load(builder, _move(builder, scale, i * _SIZE), _FLOAT)
                scales = _repeat(builder, number)
                for j, total in enumerate(group):
                    value = builder.fmul(builder.sitofp(total, vector), scales, flags=_FAST)
                    value = builder.fmul(value, factors[j], flags=_FAST)
                    group[j] = builder.fadd(value, biases[j], flags=_FAST)
            _store(builder, totals, out, row)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 12), generate

    return tile


@intrinsic
def larger(context, a, b):
    """The larger of two float32; unlike numba's ``max``, a loop over it becomes vectors."""

    def generate(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered('>', *args, flags=_FAST), *args, flags=_FAST)

    return types.float32(types.float32, types.float32), generate


@intrinsic
def highest(context, address, vectors):
    """The largest of so many times 16 float32 at an address, which are no NaN."""

    def generate(context, builder, signature, args):
        address, vectors = args
        vector = ir.VectorType(_FLOAT, LANES)
        best = cgutils.alloca_once_value(builder, _load(builder, address, vector))
        with cgutils.for_range(builder, vectors) as loop:
            moved = builder.mul(loop.index, ir.Constant(loop.index.type, LANES * _SIZE))
            values = _load(builder, builder.add(address, moved), vector)
            known = builder.load(best)
            is_more = builder.fcmp_ordered('>', values, known, flags=_FAST)
            builder.store(builder.select(is_more, values, known, flags=_FAST), best)
        kind = ir.FunctionType(_FLOAT, [vector])
        name = f'llvm.vector.reduce.fmax.v{LANES}f32'
        reduce = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(reduce, [builder.load(best)], fastmath=_FAST)

    return types.float32(types.intp, types.intp), generate


@intrinsic
def take_next(context, address):
    """The int64 at an address, which becomes one more before another thread takes it."""

    def generate(context, builder, signature, args):
        kind = ir.IntType(64)
        pointer = builder.inttoptr(args[0], kind.as_pointer())
        return builder.atomic_rmw('add', pointer, ir.Constant(kind, 1), 'seq_cst')

    return types.int64(types.intp), generate


@intrinsic
def prefetch(context, address):
    """Have the line of memory at an address read; no harm if there is none."""

    def generate(context, builder, signature, args):
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _INT, _INT, _INT])
        function = builder.module.declare_intrinsic('llvm.prefetch', [pointer], kind)
        # To be read, into the first cache, as data.
        how = [ir.Constant(_INT, number) for number in (0, 3, 1)]
        builder.call(function, [builder.inttoptr(args[0], pointer), *how])
        return context.get_dummy_value()

    return types.void(types.intp), generate


@intrinsic
def at_least(context, address, bound):
    """Which of 16 float32 at an address are at least ``bound``: bit i of the result is of i."""

    def generate(context, builder, signature, args):
        address, bound = args
        values = _load(builder, address, ir.VectorType(_FLOAT, LANES))
        found = builder.fcmp_ordered('>=', values, _repeat(builder, bound))
        return builder.zext(builder.bitcast(found, ir.IntType(LANES)), _INT)

    return types.uint32(types.intp, types.float32), generate


@intrinsic
def lowest_bit(context, bits):
    """Number of the lowest bit that is set, of some that are."""

    def generate(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint32(types.uint32), generate


def _accumulate(
    builder: Any,
    number: ir.Type,
    add: Callable,
    vectors: int,
    points: Sequence[Any],
    weight: Any,
    start: Any,
    row: Any,
    steps: Any,
) -> list[list[Any]]:
    """Products of four points, four bytes of each a step, with so many vectors of clusters."""
    vector = ir.VectorType(number, LANES)
    # LLVM turns these into registers.
    totals = [
        [cgutils.alloca_once_value(builder, value) for value in values]
        for values in [_load_all(builder, start, vector, vectors)] * POINTS
    ]
    with cgutils.for_range(builder, steps) as loop:
        moved = builder.mul(loop.index, ir.Constant(loop.index.type, _SIZE))
        entries = [
            _repeat(builder, _load(builder, builder.add(point, moved), number)) for point in points
        ]
        weights = builder.add(weight, builder.mul(loop.index, row))
        for j, column in enumerate(_load_all(builder, weights, vector, vectors)):
            for entry, group in zip(entries, totals, strict=True):
                builder.store(add(builder, builder.load(group[j]), entry, column), group[j])
    return [[builder.load(total) for total in group] for group in totals]


def _add_product(builder: Any, total: Any, first: Any, second: Any) -> Any:
    product = builder.fmul(first, second, flags=('contract',))
    return builder.fadd(total, product, flags=('contract',))


def _add_codes(builder: Any, total: Any, first: Any, second: Any) -> Any:
    vector = total.type
    kind = ir.FunctionType(vector, [vector] * 3)
    name = 'llvm.x86.avx512.vpdpbusd.512'
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, [total, first, second])


def _repeat(builder: Any, number: Any) -> Any:
    """A vector of one number."""
    blank = ir.Constant(ir.VectorType(number.type, LANES), ir.Undefined)
    first = builder.insert_element(blank, number, ir.Constant(_INT, 0))
    zeros = ir.Constant(ir.VectorType(_INT, LANES), [0] * LANES)
    return builder.shuffle_vector(first, blank, zeros)


def _move(builder: Any, address: Any, num_bytes: int) -> Any:
    return builder.add(address, ir.Constant(address.type, num_bytes))


def _load(builder: Any, address: Any, kind: ir.Type) -> Any:
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=_SIZE)


def _load_all(builder: Any, address: Any, vector: ir.Type, vectors: int) -> list[Any]:
    size = LANES * _SIZE
    return [_load(builder, _move(builder, address, j * size), vector) for j in range(vectors)]


def _store(builder: Any, totals: list[list[Any]], out: Any, row: Any) -> None:
    """Write the vectors of each point, one row after the other."""
    for group in totals:
        for j, value in enumerate(group):
            address = _move(builder, out, j * LANES * _SIZE)
            pointer = builder.inttoptr(address, value.type.as_pointer())
            builder.store(value, pointer, align=_SIZE)
        out = builder.add(out, row)
