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


def test_an_odd_centroid_of_few_pixels_takes_no_cluster_of_its_own():
    """By hand: three directions, and a lone one of 3 pixels; 10 % of a third of 903 are 30.1."""
    points = torch.tensor([[1, 0.1, 0], [0, 1, 0], [0.2, 0, 1], [-1, 0, 0.1], [1, -0.1, 0]])
    counts = torch.tensor([300, 200, 3, 100, 300])
    found = merge_centroids(points, 3, counts)
    # The lone one is nearest to the first direction.
    assert found.tolist() == [0, 1, 0, 2, 0]
    # Large enough, it stays.
    assert merge_centroids(points, 4, counts, min_share=0).tolist() == [0, 1, 2, 3, 0]


@pytest.mark.parametrize('seed', range(5))
def test_sizes_hold_or_the_tree_has_no_cut_where_they_could(seed):
    """Against all cuts of scikit-learn's tree."""
    generator = torch.Generator().manual_seed(seed)
    points, number = centroids(40, seed), 7
    counts = torch.rand(40, generator=generator).pow(6).mul(1000).long()
    found = merge_centroids(points, number, counts, min_share=0.3)
    assert found.unique().tolist() == list(range(number))
    sizes = torch.bincount(found, counts.double(), minlength=number)
    least = 0.3 * counts.sum() / number
    unit = (points / points.norm(dim=1, keepdim=True)).double().numpy()
    possible = False
    for branches in range(number, 41):
        oracle = AgglomerativeClustering(branches, linkage='average', metric='cosine')
        cut = np.bincount(oracle.fit_predict(unit), counts.numpy())
        possible |= (cut >= least.item()).sum() >= number
    assert possible == bool((sizes >= least).all())


def test_without_a_cut_of_large_clusters_small_ones_stay():
    points = centroids(6)
    counts = torch.tensor([1000, 0, 0, 0, 0, 0])
    assert torch.equal(merge_centroids(points, 3, counts), merge_centroids(points, 3))


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
