"""Properties of the initial fit, with faiss and without."""

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from mmseg_picie.clustering import describe_backend, import_faiss, initial_fit, lloyd, lloyd_fit


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def blobs(num=600, dim=5, clusters=5, seed=0):
    """Points around well separated centres."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 4, (clusters, dim))
    points = centres[rng.integers(0, clusters, num)] + rng.normal(0, 1, (num, dim))
    return torch.from_numpy(points.astype(np.float32))


def inertia(points, centroids):
    return cdist(points, centroids, 'sqeuclidean').min(1).sum()


@pytest.fixture
def no_faiss(monkeypatch):
    monkeypatch.setattr(lloyd, 'import_faiss', lambda: None)


@pytest.fixture
def fresh_import():
    """What the import of faiss gave is forgotten before and after the test."""
    import_faiss.cache_clear()
    yield
    import_faiss.cache_clear()


def test_lloyd_fit_is_as_good_as_scikit_learns():
    """The best of ten random starts each, within 1 % of inertia."""
    points = blobs()
    ours = min(inertia(points, lloyd_fit(points, 5, 30, seed)) for seed in range(10))
    theirs = min(
        KMeans(5, init='random', n_init=1, max_iter=30, random_state=seed).fit(points).inertia_
        for seed in range(10)
    )
    assert ours <= 1.01 * theirs


@pytest.mark.usefixtures('either_way')
def test_lloyd_iterations_equal_scikit_learns_from_the_same_points():
    points = F.normalize(randn(400, 8), dim=1)
    # No iteration at all gives the points that it starts from.
    start = lloyd_fit(points, 6, 0, seed=3)
    theirs = KMeans(6, init=start.numpy(), n_init=1, max_iter=7, tol=0).fit(points)
    ours = lloyd_fit(points, 6, 7, seed=3)
    np.testing.assert_allclose(ours, theirs.cluster_centers_, rtol=0, atol=1e-5)


def test_lloyd_fit_starts_from_distinct_points_of_the_set():
    points = randn(40, 3)
    start = lloyd_fit(points, 40, 0, seed=1)
    assert {tuple(row) for row in start.tolist()} == {tuple(row) for row in points.tolist()}


def test_lloyd_fit_fills_empty_clusters():
    """100 copies of one point and one each of two others: some start has empty clusters."""
    rare = torch.tensor([[5.0, 0.0], [0.0, 5.0]])
    points = torch.cat([torch.zeros(100, 2), rare])
    for seed in range(10):
        centroids = lloyd_fit(points, 3, 5, seed)
        assert inertia(points, centroids) == pytest.approx(0, abs=1e-9), seed


def test_lloyd_fit_of_fewer_distinct_points_than_clusters_is_finite():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0]]).repeat(20, 1)
    centroids = lloyd_fit(points, 5, 4, seed=0)
    assert centroids.isfinite().all()
    assert inertia(points, centroids) == pytest.approx(0, abs=1e-9)


def test_initial_fit_depends_on_the_seed_alone(no_faiss):
    points = randn(200, 4)
    torch.manual_seed(1)
    first = initial_fit(points, 5, 2, seed=7)
    torch.manual_seed(2)
    assert torch.equal(initial_fit(points, 5, 2, seed=7), first)
    assert not torch.equal(initial_fit(points, 5, 2, seed=8), first)


def test_initial_fit_without_faiss_is_lloyds_in_torch(no_faiss):
    points = blobs()
    assert torch.equal(initial_fit(points, 5, 20, seed=4), lloyd_fit(points, 5, 20, seed=4))
    assert 'faiss: not there' in describe_backend()


def test_torch_and_faiss_fit_the_same_centroids(monkeypatch):
    """Up to a number of clusters torch takes the place of faiss, from the same first points."""
    pytest.importorskip('faiss')
    points = F.normalize(randn(2001, 16), dim=1)
    ours = initial_fit(points, 9, 12, seed=5)
    monkeypatch.setattr(lloyd, 'MAX_TORCH_CLUSTERS', 8)
    monkeypatch.setattr(lloyd, 'compile_kernel', lambda num_clusters: None)
    monkeypatch.setattr(lloyd, 'lloyd_fit', None)  # so this is faiss
    torch.testing.assert_close(ours, initial_fit(points, 9, 12, seed=5), rtol=0, atol=1e-5)


def test_what_numba_compiles_takes_the_place_of_faiss_for_any_number_of_clusters(monkeypatch):
    pytest.importorskip('faiss')
    pytest.importorskip('numba')
    monkeypatch.setattr(lloyd, 'MAX_TORCH_CLUSTERS', 8)
    monkeypatch.setattr('faiss.Kmeans', None)
    points = F.normalize(randn(2001, 16), dim=1)
    assert torch.equal(initial_fit(points, 9, 3, seed=5), lloyd_fit(points, 9, 3, seed=5))


def test_initial_fit_with_faiss_takes_any_number_of_points(monkeypatch, capfd):
    """As good as scikit-learn's from several starts, also below and above faiss's own limits."""
    pytest.importorskip('faiss')
    monkeypatch.setattr(lloyd, 'MAX_TORCH_CLUSTERS', 0)
    monkeypatch.setattr(lloyd, 'compile_kernel', lambda num_clusters: None)
    for num in (60, 3000):  # faiss warns below 39 points a cluster, and subsamples above 256
        points = blobs(num)
        ours = min(inertia(points, initial_fit(points, 5, 30, seed)) for seed in range(5))
        theirs = KMeans(5, init='random', n_init=10, random_state=0).fit(points).inertia_
        assert ours <= 1.01 * theirs
    assert 'faiss' in describe_backend()
    assert capfd.readouterr().err == ''


def test_initial_fit_takes_points_that_are_not_contiguous():
    points = randn(4, 100).T
    assert not points.is_contiguous()
    torch.testing.assert_close(
        initial_fit(points, 3, 10, seed=1), initial_fit(points.contiguous(), 3, 10, seed=1)
    )


@pytest.mark.parametrize('with_faiss', [True, False])
def test_as_many_clusters_as_points_is_the_limit(monkeypatch, with_faiss):
    if with_faiss:
        pytest.importorskip('faiss')
    else:
        monkeypatch.setattr(lloyd, 'import_faiss', lambda: None)
    points = randn(6, 2)
    found = initial_fit(points, 6, 3, seed=0)
    assert sorted(found.tolist()) == sorted(points.tolist())
    with pytest.raises(ValueError, match='num_clusters must not exceed .* 7 clusters for 6 pixels'):
        initial_fit(points, 7, 3, seed=0)


# faiss itself


def test_a_missing_faiss_is_no_error(monkeypatch, fresh_import):
    monkeypatch.setitem(sys.modules, 'faiss', None)  # Python's mark of what cannot be imported
    assert import_faiss() is None
    assert 'mmseg_picie[cpu]' in describe_backend()


def test_a_broken_faiss_is_left_out_with_a_warning(monkeypatch, tmp_path, fresh_import):
    (tmp_path / 'faiss.py').write_text("raise RuntimeError('no AVX here')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'faiss', raising=False)
    points = blobs(100)
    with pytest.warns(UserWarning, match='cannot be used: no AVX here'):
        found = initial_fit(points, 5, 10, seed=4)
    assert torch.equal(found, lloyd_fit(points, 5, 10, seed=4))
    assert 'faiss: not there' in describe_backend()
