"""Properties of the initial fit."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from mmseg_picie.clustering import choose_points, initial_fit, lloyd_fit


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


@pytest.mark.versions
def test_lloyd_fit_is_as_good_as_scikit_learns():
    """The best of ten random starts each, within 1 % of inertia."""
    points = blobs()
    ours = min(inertia(points, lloyd_fit(points, 5, 30, seed)) for seed in range(10))
    theirs = min(
        KMeans(5, init='random', n_init=1, max_iter=30, random_state=seed).fit(points).inertia_
        for seed in range(10)
    )
    assert ours <= 1.01 * theirs


def test_lloyd_iterations_equal_scikit_learns_from_the_same_points():
    points = F.normalize(randn(400, 8), dim=1)
    # No iteration at all gives the points that it starts from.
    start = lloyd_fit(points, 6, 0, seed=3)
    theirs = KMeans(6, init=start.numpy(), n_init=1, max_iter=7, tol=0).fit(points)
    ours = lloyd_fit(points, 6, 7, seed=3)
    np.testing.assert_allclose(ours, theirs.cluster_centers_, rtol=0, atol=1e-5)


@pytest.mark.parametrize('fit', [initial_fit, lloyd_fit])
def test_a_fit_that_is_given_a_start_goes_on_from_there(fit):
    """Like scikit-learn's, whatever the seed; the start itself stays as it is."""
    points, start = F.normalize(randn(400, 8), dim=1), randn(6, 8, seed=5)
    theirs = KMeans(6, init=start.numpy(), n_init=1, max_iter=7, tol=0).fit(points.clone())
    kept = start.clone()
    for seed in (0, 1):
        found = fit(points.clone(), 6, 7, seed, start)
        np.testing.assert_allclose(found, theirs.cluster_centers_, rtol=0, atol=1e-5)
    assert torch.equal(start, kept)


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


def test_torch_and_scikit_learn_fit_the_same_centroids():
    """On a GPU it is torch that fits."""
    points = F.normalize(randn(2001, 16), dim=1)
    expected = lloyd_fit(points, 9, 12, seed=5)
    torch.testing.assert_close(initial_fit(points, 9, 12, seed=5), expected, rtol=0, atol=1e-5)


FIT = """
import torch
from mmseg_picie.clustering import initial_fit
torch.set_num_threads({threads})
points = torch.nn.functional.normalize(
    torch.randn(100_000, 16, generator=torch.Generator().manual_seed(0)), dim=1)
fits = [initial_fit(points.clone(), 20, 4, 0) for _ in range(12)]
print(all(torch.equal(fits[0], fit) for fit in fits))
"""


@pytest.mark.parametrize('threads', [2, 8])
def test_a_fit_repeats_itself_to_the_last_bit(threads):
    """Whatever number of threads the environment gives to OpenMP."""
    done = subprocess.run(
        [sys.executable, '-c', FIT.format(threads=threads)],
        env=os.environ | {'OMP_NUM_THREADS': '8', 'OMP_WAIT_POLICY': 'PASSIVE'},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1] == 'True'


def test_points_stay_as_they_are_but_for_rounding():
    points = F.normalize(randn(500, 16), dim=1) + 3
    before = points.clone()
    initial_fit(points, 9, 12, seed=5)
    torch.testing.assert_close(points, before, rtol=0, atol=1e-6)


def test_initial_fit_depends_on_the_seed_alone():
    points = randn(200, 4)
    torch.manual_seed(1)
    first = initial_fit(points, 5, 2, seed=7)
    torch.manual_seed(2)
    assert torch.equal(initial_fit(points, 5, 2, seed=7), first)
    assert not torch.equal(initial_fit(points, 5, 2, seed=8), first)


@pytest.mark.parametrize(('num', 'clusters'), [(60, 5), (3000, 5), (2001, 90)])
def test_the_fit_is_that_of_faiss(num, clusters):
    """Also below and above the numbers of points at which faiss warns or takes a sample."""
    faiss = pytest.importorskip('faiss')
    points = F.normalize(randn(num, 16), dim=1)
    limits = dict(max_points_per_centroid=num, min_points_per_centroid=1)
    kmeans = faiss.Kmeans(16, clusters, niter=8, seed=5, **limits)
    kmeans.train(points.numpy())
    ours = initial_fit(points, clusters, 8, seed=5)
    np.testing.assert_allclose(ours, kmeans.centroids, rtol=0, atol=1e-5)


@pytest.mark.parametrize('seed', [0, 1, 1234567, 2**31 - 2])
@pytest.mark.parametrize(('points', 'number'), [(1, 1), (7, 7), (1000, 20), (100_000, 500)])
def test_the_points_are_those_that_faiss_begins_with(points, number, seed):
    faiss = pytest.importorskip('faiss')
    order = np.empty(points, dtype=np.int32)
    faiss.rand_perm(faiss.swig_ptr(order), points, seed + 1)
    assert choose_points(points, number, seed).tolist() == order[:number].tolist()


def test_initial_fit_takes_points_that_are_not_contiguous():
    points = randn(4, 100).T
    assert not points.is_contiguous()
    torch.testing.assert_close(
        initial_fit(points, 3, 10, seed=1), initial_fit(points.contiguous(), 3, 10, seed=1)
    )


def test_as_many_clusters_as_points_is_the_limit():
    points = randn(6, 2)
    found = initial_fit(points, 6, 3, seed=0)
    assert sorted(found.tolist()) == sorted(points.tolist())
    with pytest.raises(
        ValueError, match='a pixel for each centroid, but got 7 centroids .* 6 gathered'
    ):
        initial_fit(points, 7, 3, seed=0)
