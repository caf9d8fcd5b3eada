"""Labels, losses and gradients against values measured on the released implementation.

Its variant with an extra mean-squared term is not part of this project and not compared.
"""

import numpy as np
import pytest
import torch

from mmseg_picie.clustering import centroid_scores
from mmseg_picie.models import CentroidHead
from mmseg_picie.models.losses import frequency_weights, view_cross_entropies

WEIGHTING = {'weighted': 'frequency', 'unweighted': 'none'}


def make_head(data, **kwargs):
    """A head with the measured centroids, and counts that give the measured labels' frequencies."""
    head = CentroidHead(num_clusters=6, in_channels=16, **kwargs)
    centroids = torch.stack([torch.from_numpy(data[f'centroids{v}']) for v in (1, 2)])
    counts = torch.stack([count_labels(data, v) for v in (1, 2)])
    head.set_centroids(centroids, counts)
    return head


def count_labels(data, view):
    return torch.from_numpy(data[f'labels{view}'].astype(np.int64)).flatten().bincount(minlength=6)


def features(data):
    """Raw features of both views, as leaves of the graph."""
    return [torch.from_numpy(data[f'features{v}']).requires_grad_() for v in (1, 2)]


def test_scores_and_labels_equal_the_released_ones(golden):
    """Labels exact; scores within 1e-6 (relative), but for the constant in the released ones."""
    data = golden('losses')
    head = make_head(data)
    for view, maps in enumerate(features(data)):
        embedding = head.embed([maps.detach()])
        np.testing.assert_array_equal(head.label(embedding, view), data[f'labels{view + 1}'])
        scores = centroid_scores(embedding, head.centroids[view]) - 1
        np.testing.assert_allclose(
            scores[1:, :, :3], data[f'scores{view + 1}'], rtol=1e-6, atol=1e-6
        )


def test_frequency_weights_equal_the_released_ones(golden):
    """Within 1e-7. View 2 has an empty cluster, of weight 0."""
    data = golden('losses')
    ours = frequency_weights(torch.stack([count_labels(data, v) for v in (1, 2)]))
    expected = np.stack([data['weights1'], data['weights2']])
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-7)
    assert (expected == 0).any()


@pytest.mark.parametrize('weighting', WEIGHTING)
def test_four_cross_entropies_equal_the_released_ones(golden, weighting):
    """Within 1e-6 (relative)."""
    data = golden('losses')
    head = make_head(data)
    weights = frequency_weights(head.cluster_counts) if weighting == 'weighted' else None
    embeddings = [head.embed([maps.detach()]) for maps in features(data)]
    labels = [torch.from_numpy(data[f'labels{v}'].astype(np.int64)) for v in (1, 2)]
    ours = view_cross_entropies(embeddings, labels, head.centroids, weights)
    np.testing.assert_allclose(ours, data[f'{weighting}_ce'], rtol=1e-6, atol=0)


@pytest.mark.parametrize('weighting', WEIGHTING)
def test_losses_and_gradients_equal_the_released_ones(golden, weighting):
    """Losses within 1e-6 (relative), gradients within 1e-6 of the largest one's magnitude."""
    data = golden('losses')
    head = make_head(data, class_weight=WEIGHTING[weighting])
    views = features(data)
    labels = head.make_labels([[maps] for maps in views])
    losses = head.loss_by_views([[maps] for maps in views], labels)
    for name, part in (('loss_within', 'within'), ('loss_cross', 'cross')):
        expected = 0.5 * float(data[f'{weighting}_{part}'])
        assert losses[name].item() == pytest.approx(expected, rel=1e-6)
    total = sum(losses.values())
    assert total.item() == pytest.approx(float(data[f'{weighting}_loss']), rel=1e-6)
    total.backward()
    for view, maps in enumerate(views):
        expected = data[f'{weighting}_grad{view + 1}']
        np.testing.assert_allclose(
            maps.grad[1:, :, :3], expected, rtol=0, atol=1e-6 * np.abs(expected).max()
        )
