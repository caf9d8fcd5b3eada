"""Properties of mini-batch k-means over a stream."""

import threading

import pytest
import torch

from mmseg_picie.clustering import (
    ClusterSums,
    KMeansState,
    StreamingKMeans,
    cluster_sums,
    initial_fit,
    minibatch_update,
)

K, D = 4, 6


def batches(*sizes, pixels=50, seed=0):
    """Batches of so many images each, (n, P, D)."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, pixels, D, generator=generator) for size in sizes]


def run(stream, parts):
    for part in parts:
        stream.add(part)
    return stream.finish()


def expected_run(parts, num_init, per_update, seed=0):
    """The same from the functions, with all features of an update at hand."""
    points = torch.cat([part.flatten(0, 1) for part in parts[:num_init]])
    centroids = initial_fit(points, K, 10, seed)
    first = cluster_sums(points, centroids)
    state, losses = KMeansState(centroids, first.counts), [first.sq_distance / len(points)]
    rest = parts[num_init:]
    for i in range(len(rest) // per_update):
        update = rest[i * per_update : (i + 1) * per_update]
        points = torch.cat([part.flatten(0, 1) for part in update])
        sums = cluster_sums(points, state.centroids)
        losses.append(sums.sq_distance / len(points))
        state = minibatch_update(state, sums)
    return state, [float(loss) for loss in losses]


@pytest.mark.parametrize(
    ('num_batches', 'num_init', 'per_update', 'num_updates'),
    [
        (5, 2, 1, 3),
        (6, 2, 2, 2),
        (7, 2, 2, 2),  # one batch is left over
        (4, 2, 3, 0),  # two are
        (3, 3, 1, 0),
        (2, 5, 1, 0),  # the stream is shorter than the initial fit
    ],
)
def test_stream_equals_fit_and_updates(num_batches, num_init, per_update, num_updates):
    parts = batches(*[2] * num_batches)
    result = run(StreamingKMeans(K, num_init, 10, per_update), parts)
    state, losses = expected_run(parts, num_init, per_update)
    assert result.num_updates == len(losses) - 1 == num_updates
    torch.testing.assert_close(result.centroids, state.centroids, rtol=0, atol=1e-5)
    assert result.counts.tolist() == state.counts.tolist()
    used = min(num_batches, num_init) + num_updates * per_update
    assert result.counts.sum() == used * 2 * 50
    assert result.inertia == pytest.approx(sum(losses) / len(losses), rel=1e-6)


def test_batches_left_over_do_not_matter():
    parts = batches(2, 2, 2, 2)
    first = run(StreamingKMeans(K, 1, 10, 2), parts[:3])
    second = run(StreamingKMeans(K, 1, 10, 2), parts)
    assert torch.equal(first.centroids, second.centroids)
    assert first.counts.tolist() == second.counts.tolist()


def test_batches_may_differ_in_size():
    parts = batches(3, 1, 2, 5, 1)
    result = run(StreamingKMeans(K, 2, 10, 2), parts)
    state, losses = expected_run(parts, 2, 2)
    torch.testing.assert_close(result.centroids, state.centroids, rtol=0, atol=1e-5)
    assert result.counts.sum() == (3 + 1 + 2 + 5) * 50
    assert result.inertia == pytest.approx(sum(losses) / len(losses), rel=1e-6)


def test_seed_decides_the_initial_fit():
    parts = batches(2, 2)
    results = [run(StreamingKMeans(K, 2, 10, seed=seed), parts) for seed in (1, 1, 2)]
    assert torch.equal(results[0].centroids, results[1].centroids)
    assert not torch.equal(results[0].centroids, results[2].centroids)


def test_a_stream_without_batches_is_refused():
    with pytest.raises(ValueError, match='at least one batch'):
        StreamingKMeans(K, 2, 10).finish()


def test_fewer_points_than_clusters_are_refused_with_both_numbers():
    stream = StreamingKMeans(K, 2, 10)
    stream.add(torch.randn(1, 3, D))
    with pytest.raises(ValueError, match='4 clusters for 3 pixels'):
        stream.finish()


def test_a_diverged_batch_is_refused():
    stream = StreamingKMeans(K, 1, 10)
    parts = batches(1, 1)
    stream.add(parts[0])
    parts[1][0, 0, 0] = float('nan')
    with pytest.raises(ValueError, match='1 of 300 values'):
        stream.add(parts[1])


class Threads:
    """Communicators of processes, played by threads that meet at every call."""

    def __init__(self, size):
        self.size = size
        self.barrier = threading.Barrier(size, timeout=30)
        self.slots = [None] * size

    def exchange(self, rank, value):
        self.slots[rank] = value
        self.barrier.wait()
        values = list(self.slots)
        self.barrier.wait()
        return values


class ThreadRank:
    def __init__(self, threads, rank):
        self.threads, self.rank = threads, rank

    def gather(self, features):
        parts = self.threads.exchange(self.rank, features)
        if self.rank:
            return None
        # Rank r holds the images r, r + W, ... of the batch.
        total = sum(len(part) for part in parts)
        return torch.stack([parts[i % len(parts)][i // len(parts)] for i in range(total)])

    def broadcast(self, tensor):
        return self.threads.exchange(self.rank, tensor)[0].clone()

    def reduce(self, sums):
        parts = self.threads.exchange(self.rank, sums)
        return ClusterSums(*(sum(values) for values in zip(*parts, strict=True)))


@pytest.mark.parametrize('world_size', [2, 3])
@pytest.mark.parametrize('num_init', [2, 9])
def test_several_processes_give_the_same_as_one(world_size, num_init):
    """Also if they hold different numbers of images, or none, of a batch."""
    parts = batches(4, 3, 4, 2, 1, 3)
    alone = run(StreamingKMeans(K, num_init, 10, 2), parts)
    threads, results = Threads(world_size), [None] * world_size

    def work(rank):
        stream = StreamingKMeans(K, num_init, 10, 2, communicator=ThreadRank(threads, rank))
        results[rank] = run(stream, [part[rank::world_size] for part in parts])

    workers = [threading.Thread(target=work, args=(rank,)) for rank in range(world_size)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    for result in results:
        assert torch.equal(result.centroids, results[0].centroids)
        torch.testing.assert_close(result.centroids, alone.centroids, rtol=0, atol=1e-5)
        assert result.counts.tolist() == alone.counts.tolist()
        assert result.inertia == pytest.approx(alone.inertia, rel=1e-6)
        assert result.num_updates == alone.num_updates
