"""Mini-batch k-means against values measured on the released implementation.

From the measured initial centroids on: counts and labels are exact, centroids agree within 1e-6
(they are of length about 1), losses within 1e-6.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_picie.clustering import (
    KMeansState,
    StreamingKMeans,
    assign,
    cluster_sums,
    initial_fit,
    minibatch_update,
)


def read_batches(data):
    """Three batches of unit-length points, (3, P, D)."""
    return F.normalize(torch.from_numpy(data['batches']).float(), dim=2)


class ReceivesInitialFit:
    """Communicator of a process that is told the initial fit by another one, then works alone."""

    def __init__(self, *fit):
        self.fit = list(fit)

    def gather(self, features):
        return None

    def broadcast(self, tensor):
        return self.fit.pop(0).to(tensor.dtype)

    def reduce(self, sums):
        return sums


@pytest.mark.parametrize('batches_per_update', [1, 2])
def test_every_update_equals_the_released_one(golden, batches_per_update):
    data = golden('minibatch_kmeans')
    batches, name = read_batches(data), f'every{batches_per_update}'
    state = KMeansState(
        torch.from_numpy(data['init_centroids']), torch.from_numpy(data['init_counts'])
    )
    for i, loss in enumerate(data[f'{name}_loss']):
        first = i * batches_per_update
        points = batches[first : first + batches_per_update].flatten(0, 1)
        labels = assign(points, state.centroids).labels
        np.testing.assert_array_equal(labels, data[f'{name}_labels'][i])
        sums = cluster_sums(points, state.centroids)
        assert float(sums.sq_distance) / len(points) == pytest.approx(loss, rel=0, abs=1e-6)
        state = minibatch_update(state, sums)
        np.testing.assert_array_equal(state.counts, data[f'{name}_counts'][i])
        np.testing.assert_allclose(state.centroids, data[f'{name}_centroids'][i], rtol=0, atol=1e-6)


@pytest.mark.parametrize('batches_per_update', [1, 2])
def test_stream_ends_as_the_released_one(golden, batches_per_update):
    """With two batches an update, the third batch is left over and dropped."""
    data = golden('minibatch_kmeans')
    name = f'every{batches_per_update}'
    batches, counts = read_batches(data), torch.from_numpy(data['init_counts'])
    sq_distance = torch.tensor(data['init_loss'] * counts.sum().item())
    told = ReceivesInitialFit(torch.from_numpy(data['init_centroids']), counts, sq_distance)
    stream = StreamingKMeans(6, 1, 20, batches_per_update, communicator=told)
    stream.add(batches[:1])  # of the initial fit: another process has it
    for batch in batches:
        stream.add(batch[None])
    result = stream.finish()
    assert result.num_updates == len(data[f'{name}_loss'])
    np.testing.assert_array_equal(result.counts, data[f'{name}_counts'][-1])
    np.testing.assert_allclose(result.centroids, data[f'{name}_centroids'][-1], rtol=0, atol=1e-6)
    losses = [data['init_loss'], *data[f'{name}_loss']]
    assert result.inertia == pytest.approx(np.mean(losses), rel=0, abs=1e-6)


@pytest.mark.parametrize('num_iters', [2, 20])
def test_initial_fit_equals_the_released_call_of_faiss(golden, num_iters):
    """Tolerance 1e-6. The released code calls faiss's Clustering: same seed, same centroids."""
    faiss = pytest.importorskip('faiss')
    points = read_batches(golden('minibatch_kmeans')).flatten(0, 1)
    clustering = faiss.Clustering(16, 6)
    clustering.seed = 2
    clustering.niter = num_iters
    clustering.max_points_per_centroid = 10_000_000
    clustering.train(points.numpy(), faiss.IndexFlatL2(16))
    expected = faiss.vector_to_array(clustering.centroids).reshape(6, 16)
    ours = initial_fit(points, num_clusters=6, num_iters=num_iters, seed=2)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)
