"""Properties of the k-means functions."""

import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import cdist

from mmseg_picie.clustering import (
    ClusterSums,
    KMeansState,
    assign,
    centroid_scores,
    check_finite,
    cluster_sums,
    initial_fit,
    kmeans,
    lloyd_fit,
    minibatch_update,
    scale_counts,
)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# Assignment


@pytest.mark.versions
@pytest.mark.parametrize(('num', 'dim', 'clusters'), [(200, 16, 6), (1, 3, 2), (50, 1, 27)])
def test_assign_takes_the_nearest_centroid(num, dim, clusters):
    points, centroids = randn(num, dim), randn(clusters, dim, seed=1)
    labels, sq_distances = assign(points, centroids)
    expected = cdist(points.double(), centroids.double(), 'sqeuclidean')
    np.testing.assert_array_equal(labels, expected.argmin(1))
    np.testing.assert_allclose(sq_distances, expected.min(1), rtol=0, atol=1e-5)
    assert labels.dtype == torch.int64


def test_squared_distances_are_never_negative():
    points = F.normalize(randn(300, 64), dim=1)
    labels, sq_distances = assign(points, points)
    assert (sq_distances >= 0).all()
    np.testing.assert_allclose(sq_distances, 0, atol=1e-5)
    np.testing.assert_array_equal(labels, range(300))


def test_assign_in_blocks_gives_the_same(monkeypatch):
    points, centroids = randn(101, 8), randn(5, 8, seed=1)
    whole = assign(points, centroids)
    for block in (1, 7 * 8, 8 * 101):  # of 2, 6 and 100 points
        monkeypatch.setattr(kmeans, '_BLOCK_ENTRIES', block)
        parts = assign(points, centroids)
        np.testing.assert_array_equal(parts.labels, whole.labels)
        torch.testing.assert_close(parts.sq_distances, whole.sq_distances)


def test_scores_of_a_map_are_those_of_its_pixels():
    maps, centroids = randn(2, 8, 5, 7), randn(4, 8, seed=1)
    scores = centroid_scores(maps, centroids)
    pixels = maps.permute(0, 2, 3, 1).reshape(-1, 8)
    flat = scores.permute(0, 2, 3, 1).reshape(-1, 4)
    torch.testing.assert_close(flat, centroid_scores(pixels, centroids))
    sq_distances = pixels.square().sum(1, keepdim=True) - flat
    np.testing.assert_allclose(
        sq_distances, cdist(pixels, centroids, 'sqeuclidean'), rtol=1e-4, atol=1e-4
    )


# Sums and updates


def test_cluster_sums_equal_sums_over_each_cluster():
    points, centroids = randn(500, 6), randn(4, 6, seed=1)
    sums, counts, sq_distance = cluster_sums(points, centroids)
    distances = cdist(points, centroids, 'sqeuclidean')
    nearest = distances.argmin(1)
    for k in range(4):
        np.testing.assert_allclose(sums[k], points[nearest == k].sum(0), rtol=0, atol=1e-4)
        assert counts[k] == (nearest == k).sum()
    assert counts.dtype == torch.int64
    assert float(sq_distance) == pytest.approx(distances.min(1).sum(), rel=1e-6)


def test_cluster_sums_of_no_points_are_zero():
    sums, counts, sq_distance = cluster_sums(torch.empty(0, 3), randn(2, 3))
    assert sums.shape == (2, 3) and not sums.any()
    assert counts.tolist() == [0, 0]
    assert float(sq_distance) == 0


@pytest.mark.versions
def test_minibatch_update_equals_the_computation_by_hand():
    """Cluster 0 sees 1 of 4 points, cluster 1 sees 3 of 3 (its first ones)."""
    state = KMeansState(torch.tensor([[0.0, 0.0], [9.0, 9.0]]), torch.tensor([3, 0]))
    points = torch.tensor([[1.0, 2.0], [10.0, 9.0], [8.0, 9.0], [9.0, 12.0]])
    centroids, counts = minibatch_update(state, cluster_sums(points, state.centroids))
    # 3/4 (0, 0) + 1/4 (1, 2); the mean of the three, as the rate is 1.
    np.testing.assert_allclose(centroids, [[0.25, 0.5], [9, 10]], rtol=0, atol=1e-5)
    assert counts.tolist() == [4, 3]


def test_minibatch_update_of_a_union_equals_that_of_summed_statistics():
    state = KMeansState(randn(4, 6, seed=1), torch.tensor([10, 0, 5, 7]))
    points = randn(300, 6)
    whole = minibatch_update(state, cluster_sums(points, state.centroids))
    parts = [cluster_sums(part, state.centroids) for part in points.split([50, 0, 250])]
    summed = ClusterSums(*(sum(values) for values in zip(*parts, strict=True)))
    union = minibatch_update(state, summed)
    torch.testing.assert_close(union.centroids, whole.centroids, rtol=0, atol=1e-6)
    assert union.counts.tolist() == whole.counts.tolist()


def test_updates_keep_the_running_mean_of_the_points_of_a_cluster():
    """With one cluster from nothing, that is the mean of all points so far."""
    state = KMeansState(randn(1, 3, seed=9), torch.tensor([0]))
    points = randn(90, 3)
    for batch in points.split([10, 50, 30]):
        state = minibatch_update(state, cluster_sums(batch, state.centroids))
    np.testing.assert_allclose(state.centroids[0], points.mean(0), rtol=0, atol=1e-5)


def test_a_cluster_without_points_stays_where_it_is():
    state = KMeansState(torch.tensor([[0.0, 0.0], [50.0, 50.0]]), torch.tensor([5, 0]))
    for _ in range(2):
        state = minibatch_update(state, cluster_sums(randn(20, 2), state.centroids))
    assert state.centroids[1].tolist() == [50, 50]
    assert state.counts.tolist() == [45, 0]


def test_update_changes_nothing_in_place():
    state = KMeansState(randn(3, 2), torch.tensor([1, 2, 3]))
    copies = [tensor.clone() for tensor in state]
    sums = cluster_sums(randn(10, 2, seed=1), state.centroids)
    minibatch_update(state, sums)
    for tensor, copy in zip(state, copies, strict=True):
        assert torch.equal(tensor, copy)


@pytest.mark.parametrize('seen', [2**24, 2**40])
def test_counts_beyond_2_to_24_are_exact(seen):
    """Float32 cannot tell 2^24 from 2^24 + 1."""
    state = KMeansState(torch.tensor([[0.0]]), torch.tensor([seen]))
    batch = ClusterSums(torch.tensor([[3e6]]), torch.tensor([3]), torch.tensor(0.0))
    centroids, counts = minibatch_update(state, batch)
    assert counts.tolist() == [seen + 3]
    assert float(centroids) == pytest.approx(3e6 / (seen + 3), rel=1e-6)


# Memory and counts of samples


def test_nothing_of_the_size_of_the_points_is_made_beside_them(monkeypatch):
    monkeypatch.setattr(kmeans, '_BLOCK_ENTRIES', 1 << 12)
    points = randn(20_000, 64)
    initial_fit(points[:5], 5, 1, seed=0)  # what it imports is no part of it
    tracemalloc.start()  # arrays of numpy
    try:
        centroids = initial_fit(points, 5, 3, seed=0)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0 < most < points.nbytes / 4
    with torch.profiler.profile(profile_memory=True) as profile:  # tensors
        lloyd_fit(points, 5, 3, seed=0)
        cluster_sums(points, centroids)
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert 0 < largest < points.nbytes / 16


def test_scaled_counts_are_near_the_ratio_and_sum_to_the_whole():
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        counts = torch.randint(0, 50, (9,), generator=generator) * 7
        pixels, held = 96, 7
        scaled = scale_counts(counts, pixels, held)
        assert scaled.dtype == torch.int64
        assert (scaled - counts * pixels / held).abs().max() <= 1
        assert scaled.sum() == counts.sum() // held * pixels
        assert torch.equal(scale_counts(counts, 1, 1), counts)


# Bad input


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_features_that_are_not_finite_are_refused_with_their_number(value):
    points = randn(10, 4)
    check_finite(points)
    points[3, 1:3] = value
    message = 'features must be finite .* 2 of 40 values'
    with pytest.raises(ValueError, match=message):
        check_finite(points)
    with pytest.raises(ValueError, match=message):
        initial_fit(points, 2, 1, seed=0)
    with pytest.raises(ValueError, match=message):
        cluster_sums(points, randn(2, 4))
