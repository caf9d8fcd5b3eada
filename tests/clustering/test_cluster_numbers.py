"""Figures over numbers of clusters, by hand and against plain loops."""

from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_picie.clustering import initial_fit, merge_centroids
from mmseg_picie.clustering.cluster_numbers import (
    fit_clusters,
    inertia_of,
    predict_clusters,
    prediction_strength,
    spaced_numbers,
)


def test_numbers_have_both_ends_and_grow_by_a_seventh():
    assert spaced_numbers(2, 40) == [
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        12,
        14,
        16,
        18,
        21,
        24,
        28,
        32,
        37,
        40,
    ]
    assert spaced_numbers(5, 5) == [5]
    assert spaced_numbers(30, 31) == [30, 31]
    numbers = spaced_numbers(2, 1000)
    assert numbers[-1] == 1000 and all(b > a for a, b in zip(numbers, numbers[1:], strict=False))


def test_prediction_strength_is_of_pairs_and_by_hand():
    own, foreign = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1])
    assert prediction_strength(own, foreign) == pytest.approx((1 / 3 + 1) / 2)
    assert prediction_strength(own, 7 - 3 * own) == 1
    assert np.isnan(prediction_strength(np.arange(3), np.zeros(3, int)))


def test_prediction_strength_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    own, foreign = rng.integers(0, 5, (2, 60))
    shares = []
    for cluster in range(5):
        pairs = list(combinations(np.flatnonzero(own == cluster), 2))
        shares.append(np.mean([foreign[a] == foreign[b] for a, b in pairs]))
    assert prediction_strength(own, foreign) == pytest.approx(np.mean(shares))


def test_inertia_is_the_variance_within_clusters():
    rng = np.random.default_rng(1)
    points, clusters = rng.normal(size=(50, 3)), rng.integers(0, 4, 50)
    wanted = sum(points[clusters == k].var(0).sum() * (clusters == k).sum() for k in range(4)) / 50
    # A cluster without a point changes nothing.
    assert inertia_of(torch.tensor(points), clusters, 6) == pytest.approx(wanted)


def test_clusters_are_merged_centroids_as_a_head_predicts_them():
    points = F.normalize(torch.randn(500, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    before = points.clone()
    fitted = fit_clusters(points, 4, 3, 5, seed=7)
    assert torch.equal(points, before)
    assert torch.equal(fitted.centroids, initial_fit(points.clone(), 12, 5, 7))
    nearest = torch.cdist(points, fitted.centroids).argmin(1)
    counts = torch.bincount(nearest, minlength=12)
    assert torch.equal(fitted.merged, merge_centroids(fitted.centroids, 4, counts))
    best = [max(range(12), key=lambda k: float(p @ fitted.centroids[k])) for p in points]
    assert predict_clusters(points, fitted).tolist() == fitted.merged[best].tolist()


def test_one_centroid_a_cluster_is_plain_k_means():
    points = F.normalize(torch.randn(100, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    assert fit_clusters(points, 5, 1, 3, seed=0).merged.tolist() == list(range(5))
