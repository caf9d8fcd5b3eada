"""The compiled pass over points."""

import multiprocessing
import sys
import time

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from mmseg_picie.clustering import cluster_sums, compiled, describe_backend


def clear():
    compiled.import_numba.cache_clear()
    compiled._compile.cache_clear()


@pytest.fixture
def fresh_compiler():
    """What was compiled, or could not be, is forgotten before and after the test."""
    clear()
    yield
    clear()


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


# Each number on both sides of what the kernel takes together: 4 points, 4 channels, 16 clusters.
@pytest.mark.parametrize('num', [1, 3, 4, 5, 8, 2050])
@pytest.mark.parametrize(('dim', 'clusters'), [(1, 1), (3, 1), (4, 16), (6, 17), (128, 27)])
def test_sums_equal_those_of_all_distances(num, dim, clusters):
    pytest.importorskip('numba')
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


def test_the_first_of_equally_near_centroids_is_taken():
    pytest.importorskip('numba')
    points, _ = make_points(50, 8, 1)
    centroids = torch.ones(1, 8).repeat(20, 1)
    _, counts, _ = sum_compiled(points, centroids)
    assert counts.tolist() == [50] + [0] * 19


def test_sums_do_not_depend_on_threads(threads):
    pytest.importorskip('numba')
    points, centroids = make_points(30_000, 16, 5)
    threads(1)
    alone = sum_compiled(points, centroids)
    threads(3)
    together = sum_compiled(points, centroids)
    assert torch.equal(alone[1], together[1])
    torch.testing.assert_close(alone[0], together[0], rtol=1e-5, atol=1e-3)


def test_results_come_in_the_order_of_the_blocks(threads):
    threads(2)

    def slow_first(block):
        time.sleep(0.2 if not block else 0)
        return int(block)

    assert compiled._share(slow_first, list(torch.arange(6))) == [0, 1, 2, 3, 4, 5]


def test_rounding_does_not_grow_with_the_points(threads):
    """A million times 0.1: summed one by one in float32, it would be wrong in the third digit."""
    pytest.importorskip('numba')
    threads(1)
    sums, _, sq_distance = sum_compiled(torch.full((1_000_000, 1), 0.1), torch.tensor([[0.6]]))
    assert float(sums) == pytest.approx(1e5, rel=2e-4)
    assert float(sq_distance) == pytest.approx(0.25e6, rel=2e-4)


def test_points_that_are_nan_stay_within_the_sums():
    """What becomes of them is refused afterwards, but nothing may be written elsewhere."""
    pytest.importorskip('numba')
    points, centroids = make_points(100, 8, 27)
    points[::2] = torch.nan
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


def test_a_numba_that_refuses_this_numpy_is_left_out_with_a_warning(
    monkeypatch, tmp_path, fresh_compiler
):
    (tmp_path / 'numba.py').write_text("raise ImportError('Numba needs NumPy 2.5 or less')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'numba', raising=False)
    with pytest.warns(UserWarning, match='cannot be used: Numba needs NumPy 2.5'):
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


def test_the_loop_uses_whole_registers():
    numba = pytest.importorskip('numba')
    if '+avx512f' not in numba.core.codegen.get_host_cpu_features().split(','):
        pytest.skip('no registers of 512 bits')
    if numba.config.CPU_FEATURES is not None:
        pytest.skip('the user has chosen')
    (assembly,) = compiled.compile_kernel(27).inspect_asm().values()
    assert assembly.count('zmm') > assembly.count('ymm')


def test_a_numba_that_cannot_compile_is_left_out_with_a_warning(monkeypatch, fresh_compiler):
    pytest.importorskip('numba')
    monkeypatch.setattr('numba.njit', lambda *args, **kwargs: 1 / 0)
    points, centroids = make_points(100, 8, 5)
    with pytest.warns(UserWarning, match='numba is installed but cannot compile here'):
        counts = cluster_sums(points, centroids).counts
    assert int(counts.sum()) == 100
