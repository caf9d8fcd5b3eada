"""Merging centroids, against scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from mmseg_picie.clustering import merge_centroids, merge_scores


def centroids(number: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(number, 6, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('num_clusters', [1, 2, 7, 29, 30])
@pytest.mark.parametrize('seed', range(3))
def test_clusters_are_those_of_average_linkage(num_clusters, seed):
    points = centroids(30, seed)
    found = merge_centroids(points, num_clusters).numpy()
    unit = (points / points.norm(dim=1, keepdim=True)).double().numpy()
    oracle = AgglomerativeClustering(num_clusters, linkage='average', metric='cosine')
    assert adjusted_rand_score(oracle.fit_predict(unit), found) == 1
    assert len(np.unique(found)) == num_clusters


def test_pieces_of_one_direction_are_joined_and_a_lone_one_stays():
    """By hand: three directions, cut into 3, 2 and 1 pieces; the length tells nothing."""
    points = torch.tensor([[1, 0.1], [0, 1], [5, 0], [-1, 0], [0.1, 3], [1, -0.1]])
    assert merge_centroids(points, 3).tolist() == [0, 1, 0, 2, 1, 0]


def test_equal_centroids_do_not_merge_more_than_is_asked_for():
    found = merge_centroids(torch.ones(5, 3), 2)
    assert found.unique().tolist() == [0, 1]


@pytest.mark.parametrize('num_clusters', [0, 4])
def test_numbers_that_cannot_be_are_refused(num_clusters):
    with pytest.raises(ValueError, match=f'from 1 to .* 3, but got {num_clusters}'):
        merge_centroids(centroids(3), num_clusters)


def test_the_best_merged_score_is_that_of_the_best_centroids_cluster():
    scores = torch.randn(2, 9, 4, 5, generator=torch.Generator().manual_seed(1))
    merged = torch.tensor([2, 0, 1, 1, 0, 2, 2, 0, 1])
    found = merge_scores(scores, merged, 3)
    assert torch.equal(found.argmax(1), merged[scores.argmax(1)])
    for cluster in range(3):
        assert torch.equal(found[:, cluster], scores[:, merged == cluster].amax(1))
