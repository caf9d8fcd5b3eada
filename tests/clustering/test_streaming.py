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


@pytest.mark.parametrize('size', [1, 2, 3])
def test_parts_of_a_batch_give_what_the_batch_gives(size):
    whole = batches(5, 5, 5, 5, 5, 5, 2)
    expected = run(StreamingKMeans(K, 2, 10, 2), whole)
    for num_init_images in (0, 10):
        stream = StreamingKMeans(K, 2, 10, 2, num_init_images=num_init_images)
        for batch in whole:
            for part in batch.split(size):
                stream.add_part(part)
            stream.end_batch()
        result = stream.finish()
        torch.testing.assert_close(result.centroids, expected.centroids, rtol=0, atol=1e-6)
        assert result.counts.tolist() == expected.counts.tolist()
        assert result.inertia == pytest.approx(expected.inertia, rel=1e-6)
        assert result.num_updates == expected.num_updates == 2


@pytest.mark.parametrize('held', [1, 7, 48])
def test_a_sampled_initial_fit_weighs_as_much_as_a_full_one(held):
    """One cluster of 3 x 48 pixels at 2, then as many at 6: its centroid ends half way."""
    images = torch.full((3, 48, D), 2.0)
    stream = StreamingKMeans(1, 1, 10)
    stream.add_part(images[:, :held], pixels_per_image=48)
    stream.end_batch()
    stream.add(3 * images)
    result = stream.finish()
    torch.testing.assert_close(result.centroids, torch.full((1, D), 4.0))
    assert result.counts.tolist() == [2 * 3 * 48]


def test_inertia_of_a_sample_is_that_of_its_points():
    (images,) = batches(4, pixels=30)
    expected = run(StreamingKMeans(K, 1, 10), [images])
    stream = StreamingKMeans(K, 1, 10)
    stream.add_part(images, pixels_per_image=70)
    stream.end_batch()
    result = stream.finish()
    assert result.inertia == pytest.approx(expected.inertia, rel=1e-6)
    assert result.counts.sum() == 4 * 70


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
    with pytest.raises(ValueError, match='4 centroids .* for 3 gathered pixels'):
        stream.finish()


def test_a_diverged_batch_is_refused():
    stream = StreamingKMeans(K, 1, 10)
    parts = batches(1, 1)
    stream.add(parts[0])
    parts[1][0, 0, 0] = float('nan')
    with pytest.raises(ValueError, match='1 of 300 values'):
        stream.add(parts[1])


def test_a_diverged_batch_is_refused_even_if_it_is_left_over():
    stream = StreamingKMeans(K, 1, 10, batches_per_update=2)
    parts = batches(1, 1)
    parts[1][0, 0, 0] = float('inf')
    with pytest.raises(ValueError, match='1 of 300 values'):
        run(stream, parts)


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

    def fail_together(self, failure):
        failures = self.threads.exchange(self.rank, failure)
        raise failure or RuntimeError(str(next(filter(None, failures))))


def run_ranks(world_size, work):
    """What `work(communicator)` returns, or raises, on every rank."""
    threads, results = Threads(world_size), [None] * world_size

    def call(rank):
        try:
            results[rank] = work(ThreadRank(threads, rank))
        except (ValueError, RuntimeError) as error:
            results[rank] = error

    workers = [threading.Thread(target=call, args=(rank,)) for rank in range(world_size)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    return results


@pytest.mark.parametrize('world_size', [2, 3])
@pytest.mark.parametrize('num_init', [2, 9])
def test_several_processes_give_the_same_as_one(world_size, num_init):
    """Also if they hold different numbers of images, or none, of a batch."""
    parts = batches(4, 3, 4, 2, 1, 3)
    alone = run(StreamingKMeans(K, num_init, 10, 2), parts)

    def work(communicator):
        stream = StreamingKMeans(K, num_init, 10, 2, communicator=communicator)
        return run(stream, [part[communicator.rank :: world_size] for part in parts])

    results = run_ranks(world_size, work)
    for result in results:
        assert torch.equal(result.centroids, results[0].centroids)
        torch.testing.assert_close(result.centroids, alone.centroids, rtol=0, atol=1e-5)
        assert result.counts.tolist() == alone.counts.tolist()
        assert result.inertia == pytest.approx(alone.inertia, rel=1e-6)
        assert result.num_updates == alone.num_updates


@pytest.mark.parametrize(
    ('sizes', 'broken', 'message'),
    [
        ((1, 1), None, 'for 2 gathered pixels'),  # the fit fails, on the first process alone
        ((8, 8), 1, '1 of 96 values'),  # the fit meets another process's diverged features
        ((8, 8, 8), 2, '1 of 24 values'),  # an update does: seen by the second process alone
    ],
)
def test_what_fails_on_one_process_is_raised_on_all(sizes, broken, message):
    parts = batches(*sizes, pixels=1)
    if broken is not None:
        parts[broken][1, 0, 0] = float('nan')

    def work(communicator):
        stream = StreamingKMeans(K, 2, 10, communicator=communicator)
        return run(stream, [part[communicator.rank :: 2] for part in parts])

    results = run_ranks(2, work)
    assert [type(result) for result in results].count(ValueError) == 1
    assert all(message in str(result) for result in results)
