"""The compiled pass over points."""

import multiprocessing
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from mmseg_picie.clustering import cluster_sums, compiled, describe_backend

LOOPS = ('float_loop', 'int8_loop')


def clear():
    compiled.import_numba.cache_clear()
    compiled._compile.cache_clear()


@pytest.fixture
def fresh_compiler():
    """What was compiled, or could not be, is forgotten before and after the test."""
    clear()
    yield
    clear()


@pytest.fixture(params=LOOPS)
def loop(request, monkeypatch):
    """Either loop for any number of clusters; its module."""
    numba = pytest.importorskip('numba')
    if request.param == 'int8_loop' and '+avx512vnni' not in compiled._features(numba):
        pytest.skip('no products of 8-bit numbers')
    most = 0 if request.param == 'int8_loop' else 10**6
    monkeypatch.setattr(compiled, '_MAX_FLOAT_CLUSTERS', most)
    compiled.compile_kernel(1)
    return sys.modules[f'{compiled.__package__}.{request.param}']


@pytest.fixture
def threads():
    """A function that sets their number, which is set back."""
    number = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(number)


def make_points(num, dim, clusters, seed=0):
    """Points, and centroids that are some way off them."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(num, dim)).astype(np.float32)
    return torch.from_numpy(points), torch.from_numpy(points[:clusters] + np.float32(0.1))


def sum_compiled(points, centroids):
    kernel = compiled.compile_kernel(len(centroids))
    return compiled.sum_by_nearest(kernel, points, centroids)


# Each number on both sides of what a loop takes together: 4 points, 16 or 1024 of them, 4 channels,
# 16 to 64 clusters.
@pytest.mark.parametrize('num', [1, 3, 4, 5, 16, 17, 2050])
@pytest.mark.parametrize(
    ('dim', 'clusters'), [(1, 1), (3, 1), (4, 16), (6, 17), (5, 40), (128, 27), (30, 64), (9, 150)]
)
def test_sums_equal_those_of_all_distances(loop, num, dim, clusters):
    points, centroids = make_points(max(num, clusters), dim, clusters)
    points = points[:num]
    distances = cdist(points.double(), centroids.double(), 'sqeuclidean')
    nearest = distances.argmin(1)
    sums, counts, sq_distance = sum_compiled(points, centroids)
    assert sums.dtype == torch.float32 and counts.dtype == torch.int64
    np.testing.assert_array_equal(counts, np.bincount(nearest, minlength=clusters))
    expected = np.zeros((clusters, dim))
    np.add.at(expected, nearest, points.double().numpy())
    np.testing.assert_allclose(sums, expected, rtol=0, atol=1e-4)
    assert float(sq_distance) == pytest.approx(distances.min(1).sum(), rel=1e-4, abs=1e-4)


def test_the_first_of_equally_near_centroids_is_taken(loop):
    points, _ = make_points(50, 8, 1)
    centroids = torch.ones(1, 8).repeat(20, 1)
    _, counts, _ = sum_compiled(points, centroids)
    assert counts.tolist() == [50] + [0] * 19


def test_sums_do_not_depend_on_threads(loop, threads):
    points, centroids = make_points(30_000, 16, 5)
    threads(1)
    alone = sum_compiled(points, centroids)
    threads(3)
    together = sum_compiled(points, centroids)
    assert torch.equal(alone[1], together[1])
    torch.testing.assert_close(alone[0], together[0], rtol=1e-5, atol=1e-3)


def test_who_takes_which_block_does_not_matter(loop, threads):
    """The last digits hang on what is summed together, not on which thread is faster."""
    threads(3)
    points, centroids = make_points(40_000, 8, 4)
    first = sum_compiled(points, centroids)
    for _ in range(30):
        for found, value in zip(sum_compiled(points, centroids), first, strict=True):
            assert torch.equal(found, value)


def test_threads_that_never_wake_up_are_not_waited_for(monkeypatch, threads):
    pytest.importorskip('numba')
    threads(2)
    points, centroids = make_points(20_000, 8, 4)
    expected = sum_compiled(points, centroids)
    with ThreadPoolExecutor(1) as busy:
        ended = threading.Event()
        busy.submit(ended.wait)
        monkeypatch.setattr(compiled, 'get_threads', lambda: busy)
        found = sum_compiled(points, centroids)
        ended.set()
    for part, value in zip(found, expected, strict=True):
        assert torch.equal(part, value)


def test_sums_of_groups_of_blocks_add_up(loop, monkeypatch, threads):
    """What is held of the sums of blocks is bounded; here, by those of two blocks."""
    threads(2)
    points, centroids = make_points(30_000, 8, 4)
    expected = sum_compiled(points, centroids)
    held = []
    sum_blocks = compiled._sum_blocks

    def watched(*args):
        held.append(sum_blocks(*args))
        return held[-1]

    monkeypatch.setattr(compiled, '_sum_blocks', watched)
    monkeypatch.setattr(compiled, '_MOST_SUMS', 1)
    found = sum_compiled(points, centroids)
    assert len(held) == 4 and all(len(sums) == 2 for sums, _, _ in held)
    for part, value in zip(found, expected, strict=True):
        torch.testing.assert_close(part, value, rtol=1e-12, atol=0)


def test_rounding_does_not_grow_with_the_points(loop, threads):
    """A million times 0.1: summed one by one in float32, it would be wrong in the third digit."""
    threads(1)
    sums, _, sq_distance = sum_compiled(torch.full((1_000_000, 1), 0.1), torch.tensor([[0.6]]))
    assert float(sums) == pytest.approx(1e5, rel=2e-4)
    assert float(sq_distance) == pytest.approx(0.25e6, rel=2e-4)


@pytest.mark.parametrize('value', [torch.nan, torch.inf, -torch.inf, 3e38])
def test_points_that_are_not_finite_stay_within_the_sums(loop, value):
    """What becomes of them is refused afterwards, but nothing may be written elsewhere."""
    points, centroids = make_points(100, 8, 27)
    points[::2] = value
    sums, counts, sq_distance = sum_compiled(points, centroids)
    assert int(counts.sum()) == 100 and (counts >= 0).all()
    assert not sq_distance.isfinite()


def test_points_that_are_not_contiguous_are_taken():
    pytest.importorskip('numba')
    points, centroids = make_points(64, 6, 3)
    turned = points.T.contiguous().T
    assert not turned.is_contiguous()
    expected = cluster_sums(points, centroids)
    for found, value in zip(cluster_sums(turned, centroids), expected, strict=True):
        assert torch.equal(found, value)


def test_points_that_are_trained_are_taken_as_they_are():
    points, centroids = make_points(64, 6, 3)
    expected = cluster_sums(points, centroids)
    for found, value in zip(
        cluster_sums(points.requires_grad_(), centroids.requires_grad_()), expected, strict=True
    ):
        assert torch.equal(found, value) and not found.requires_grad


def _sum_in_child(points, centroids, queue):
    torch.set_num_threads(2)
    queue.put([part.numpy() for part in sum_compiled(points, centroids)])


def test_a_forked_process_has_threads_of_its_own(threads):
    """Those of its parent do not exist there, and waiting for them would never end."""
    pytest.importorskip('numba')
    if 'fork' not in multiprocessing.get_all_start_methods():
        pytest.skip('no fork on this system')
    threads(2)
    points, centroids = make_points(20_000, 4, 3)
    expected = sum_compiled(points, centroids)
    context = multiprocessing.get_context('fork')
    queue = context.SimpleQueue()
    child = context.Process(target=_sum_in_child, args=(points, centroids, queue))
    child.start()
    child.join(60)
    hangs = child.is_alive()
    child.kill()
    assert not hangs
    for found, value in zip(queue.get(), expected, strict=True):
        np.testing.assert_array_equal(found, value)


# numba itself


def test_a_missing_numba_is_no_error(monkeypatch, fresh_compiler):
    points, centroids = make_points(500, 8, 5)
    with_numba = cluster_sums(points, centroids)
    clear()
    monkeypatch.setitem(sys.modules, 'numba', None)  # Python's mark of what cannot be imported
    assert compiled.compile_kernel(5) is None
    assert "numba: not there, pip install 'mmseg_picie[cpu]'" in describe_backend()
    for found, value in zip(cluster_sums(points, centroids), with_numba, strict=True):
        torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    'source',
    [
        "raise ImportError('it needs another NumPy')",
        "raise OSError('it needs another library')",
        "raise ModuleNotFoundError('it needs another module', name='llvmlite')",
    ],
)
def test_a_numba_that_cannot_be_imported_is_left_out_with_a_warning(
    monkeypatch, tmp_path, fresh_compiler, source
):
    (tmp_path / 'numba.py').write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'numba', raising=False)
    with pytest.warns(UserWarning, match='cannot be used: it needs another'):
        assert compiled.compile_kernel(5) is None


@pytest.mark.parametrize(
    ('chosen', 'features', 'expected'),
    [
        (None, '+avx2,+avx512f', '+avx2,+avx512f,-prefer-256-bit'),
        (None, '+avx2,-avx512f', None),
        (None, '+neon', None),
        ('+avx512f', '+avx512f', '+avx512f'),
    ],
)
def test_long_registers_are_asked_for_whole_while_compiling(
    monkeypatch, chosen, features, expected
):
    numba = pytest.importorskip('numba')
    config = numba.config
    monkeypatch.setattr(config, 'CPU_FEATURES', chosen)
    monkeypatch.setattr(numba.core.codegen, 'get_host_cpu_features', lambda: features)
    with compiled._whole_registers(numba):
        assert expected == config.CPU_FEATURES
    assert chosen == config.CPU_FEATURES


def test_the_loop_uses_whole_registers(loop):
    numba = pytest.importorskip('numba')
    if '+avx512f' not in compiled._features(numba):
        pytest.skip('no registers of 512 bits')
    (assembly,) = loop.run.inspect_asm().values()
    assert assembly.count('zmm') > assembly.count('ymm')


def test_a_numba_that_is_switched_off_is_left_out(monkeypatch, fresh_compiler):
    numba = pytest.importorskip('numba')
    monkeypatch.setattr(numba.config, 'DISABLE_JIT', 1)
    assert compiled.compile_kernel(5) is None
    points, centroids = make_points(100, 8, 5)
    assert int(cluster_sums(points, centroids).counts.sum()) == 100


@pytest.mark.parametrize('clusters', [5, 60])
def test_a_numba_that_cannot_compile_is_left_out_with_a_warning(
    monkeypatch, fresh_compiler, clusters
):
    pytest.importorskip('numba')
    for name in LOOPS:  # they are compiled when they are imported
        monkeypatch.delitem(sys.modules, f'{compiled.__package__}.{name}', raising=False)
    monkeypatch.setattr('numba.njit', lambda *args, **kwargs: 1 / 0)
    points, centroids = make_points(100, 8, clusters)
    with pytest.warns(UserWarning, match='numba is installed but cannot compile here'):
        counts = cluster_sums(points, centroids).counts
    assert int(counts.sum()) == 100


@pytest.mark.parametrize(
    ('features', 'clusters', 'expected'),
    [
        ('+avx512f,+avx512vnni', 48, ('float_loop', 4)),
        ('+avx512f,+avx512vnni', 49, ('int8_loop', None)),
        ('+avx512f', 49, ('float_loop', 4)),
        ('+avx2', 27, ('float_loop', 1)),
        ('+avx512f,-avx512vnni', 500, ('float_loop', 4)),
    ],
)
def test_the_processor_and_the_clusters_decide_on_the_loop(
    monkeypatch, fresh_compiler, features, clusters, expected
):
    numba = pytest.importorskip('numba')
    made = SimpleNamespace(prepare=lambda centroids: ('prepared',), run=None)
    imported = []
    monkeypatch.setattr(compiled, '_import', lambda name: imported.append(name) or made)
    monkeypatch.setattr(numba.config, 'CPU_FEATURES', features)
    prepared = compiled.compile_kernel(clusters).prepare(None)
    name, most_vectors = expected
    assert imported == [name]
    assert prepared == ('prepared',) + (most_vectors,) * (name == 'float_loop')


# Rounding to 8 bits


@pytest.mark.parametrize('dim', [7, 128])
@pytest.mark.parametrize('near', [0.0, 1e-3, 1e-2, 0.1])
@pytest.mark.parametrize('away', [0.0, 30.0])
def test_centroids_closer_than_eight_bits_tell_are_told_apart(loop, dim, near, away):
    """Many centroids that rounding confuses; some are equal. Points and all may lie far off."""
    rng = np.random.default_rng(0)
    centroids = rng.normal(size=(90, dim)) + away
    centroids[30:60] = centroids[:30] + near * rng.normal(size=(30, dim))
    points = centroids[rng.integers(0, 90, 4000)] + 0.3 * rng.normal(size=(4000, dim))
    points, centroids = (torch.from_numpy(array).float() for array in (points, centroids))
    distances = cdist(points.double(), centroids.double(), 'sqeuclidean')
    for index in range(0, 4000, 50):
        counts = sum_compiled(points[index : index + 1], centroids)[1]
        # As near as the nearest but for the rounding of float32.
        chosen = distances[index, int(counts.argmax())]
        assert chosen <= distances[index].min() + 1e-6 * dim * (1 + away) ** 2
    _, counts, sq_distance = sum_compiled(points, centroids)
    assert int(counts.sum()) == 4000
    tolerance = 1e-3 if away else 1e-4
    assert float(sq_distance) == pytest.approx(distances.min(1).sum(), rel=tolerance)


def test_points_far_from_all_centroids_find_theirs(loop):
    """One large channel that says nothing takes the bits from those that do."""
    rng = np.random.default_rng(0)
    centroids = rng.normal(size=(64, 16)).astype(np.float32)
    points = centroids[rng.integers(0, 64, 500)] + 0.05 * rng.normal(size=(500, 16))
    points = np.concatenate([points, np.full((500, 1), 40.0)], 1).astype(np.float32)
    centroids = np.concatenate([centroids, np.zeros((64, 1), dtype=np.float32)], 1)
    nearest = cdist(points, centroids).argmin(1)
    counts = sum_compiled(torch.from_numpy(points), torch.from_numpy(centroids))[1]
    np.testing.assert_array_equal(counts, np.bincount(nearest, minlength=64))


def test_what_rounding_leaves_as_it_is_gets_its_exact_score(loop):
    """Its products are off by a constant if codes are shifted back by another than was added."""
    centroids = torch.ones(2, 128)
    centroids[1] = -1
    point = torch.ones(1, 128)
    point[:, 63:127] = -1
    point[:, 127] = 0  # 63 to 64: a little nearer to the second
    assert sum_compiled(point, centroids)[1].tolist() == [0, 1]


def test_rounding_of_centroids_alone_is_reckoned_with(loop):
    """Points of ones lose nothing. Centroids come in pairs, so that their mean is the origin."""
    rng = np.random.default_rng(0)
    some = rng.normal(size=(30, 32))
    some = np.concatenate([some, some + 1e-2 * rng.normal(size=some.shape)])
    centroids = np.concatenate([some, -some]).astype(np.float32)
    points = rng.choice([-1, 1], (2000, 32)).astype(np.float32)
    nearest = cdist(points, centroids).argmin(1)
    counts = sum_compiled(torch.from_numpy(points), torch.from_numpy(centroids))[1]
    np.testing.assert_array_equal(counts, np.bincount(nearest, minlength=120))


def test_rounding_of_points_alone_is_reckoned_with(loop):
    """Centroids of ones lose nothing. Points lie where two of them are almost equally near."""
    rng = np.random.default_rng(0)
    some = rng.choice([-1, 1], (30, 32))
    centroids = np.concatenate([some, -some]).astype(np.float32)
    middles = (centroids[rng.integers(0, 60, 2000)] + centroids[rng.integers(0, 60, 2000)]) / 2
    points = (middles + 0.02 * rng.normal(size=middles.shape)).astype(np.float32)
    nearest = cdist(points, centroids).argmin(1)
    counts = sum_compiled(torch.from_numpy(points), torch.from_numpy(centroids))[1]
    np.testing.assert_array_equal(counts, np.bincount(nearest, minlength=60))
