"""K-means of this package beside faiss and scikit-learn: python benchmarks/kmeans.py.

The fit is compared with `faiss.Kmeans` on all points, with the same seed and iterations, and with
the package's own, which takes its place for few clusters and where faiss is missing. The mini-batch
step is compared with `MiniBatchKMeans.partial_fit` of scikit-learn, as it is by default and in its
fastest way (without labels of the batch), on the same batches from the same centroids. Each takes
many, one after the other, as in a training: for some milliseconds the threads of the last library
still look for work and keep the next from the cores, which are slower at first. Features are of
unit length: a mixture of Gaussians, projected on the sphere. All use the same number of threads.
Inertia is the mean squared distance.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

if __name__ == '__main__':  # as a training does
    from start import restart_with_mimalloc

    restart_with_mimalloc()

import torch
import torch.nn.functional as F
from report import add_output, in_turn, make_header, publish
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits
from torch import Tensor

from mmseg_picie.clustering import (
    KMeansState,
    assign,
    cluster_sums,
    import_faiss,
    initial_fit,
    lloyd_fit,
    minibatch_update,
)
from mmseg_picie.engine.host import keep_freed_memory

#: Points, channels and clusters, without --points, --dim and --clusters.
CASES = ((2_000_000, 128, 27), (200_000, 128, 100), (200_000, 128, 500))
BLOCK = 1 << 16
#: Times that each way takes the batches, batches at least, and points of all of them.
STREAMS, BATCHES, STREAM_POINTS = 3, 10, 640_000


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure as the command line says.

    Args:
        argv: Words of the command line; None takes those of this process.

    Returns:
        The content of the JSON file.
    """
    args = parse_arguments(argv)
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    threads = torch.get_num_threads()
    faiss = import_faiss()
    if faiss is not None:
        faiss.omp_set_num_threads(threads)
    keep_freed_memory()  # as a training does
    header = make_header(args.seed)
    header['iterations of the fit'] = args.iters
    rows = []
    with threadpool_limits(threads, user_api='openmp'), threadpool_limits(threads, user_api='blas'):
        for points, dim, clusters in cases(args):
            features = make_features(points, dim, clusters, args.seed)
            rows += measure_fit(features, clusters, args)
            for size in args.batches:
                rows += measure_step(features, clusters, min(size, points), args)
            del features
    return publish(header, rows, args.out)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Compare k-means with faiss and scikit-learn.')
    parser.add_argument('--points', type=int, help='instead of the three cases of the header')
    parser.add_argument('--dim', type=int, default=128, help='(default: %(default)s)')
    parser.add_argument('--clusters', type=int, nargs='+', default=[27])
    parser.add_argument('--iters', type=int, default=20, help='of the fit (default: %(default)s)')
    parser.add_argument(
        '--batches',
        type=int,
        nargs='+',
        default=[6_400, 51_200, 204_800],
        metavar='POINTS',
        help='sizes of the mini-batches (default: %(default)s)',
    )
    parser.add_argument('--repeats', type=int, default=3, help='of the fit (default: %(default)s)')
    parser.add_argument('--threads', type=int, help="(default: torch's own number)")
    parser.add_argument('--seed', type=int, default=0, help='(default: %(default)s)')
    add_output(parser, quick='few points, to try it out')
    args = parser.parse_args(argv)
    if args.quick:
        args.points, args.dim, args.batches = args.points or 4000, min(args.dim, 32), [500, 2000]
        args.repeats = 1
    return args


def cases(args: argparse.Namespace) -> list[tuple[int, int, int]]:
    """What to measure: points, channels, clusters."""
    if args.points is None:
        return list(CASES)
    return [(args.points, args.dim, clusters) for clusters in args.clusters]


def make_features(points: int, dim: int, clusters: int, seed: int) -> Tensor:
    """(P, D) points of unit length around K directions of unequal weight."""
    generator = torch.Generator().manual_seed(seed)
    centres = F.normalize(torch.randn(clusters, dim, generator=generator), dim=1)
    weights = torch.rand(clusters, generator=generator) + 0.1
    features = torch.empty(points, dim)
    for part in features.split(BLOCK):
        chosen = torch.multinomial(weights, len(part), replacement=True, generator=generator)
        # Noise as long as the centres, so that the clusters overlap as those of pixels do.
        noise = torch.randn(len(part), dim, generator=generator) / dim**0.5
        part.copy_(F.normalize(centres[chosen] + noise, dim=1))
    return features


def inertia(features: Tensor, centroids: Tensor) -> float:
    """Mean squared distance to the nearest centroid."""
    total = sum(
        float(assign(part, centroids).sq_distances.sum(dtype=torch.float64))
        for part in features.split(BLOCK)
    )
    return total / len(features)


def measure_fit(features: Tensor, clusters: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each way to fit."""
    ways: dict[str, Callable[[], Tensor]] = {
        'mmseg_picie': partial(initial_fit, features, clusters, args.iters, args.seed),
        'mmseg_picie without faiss': partial(lloyd_fit, features, clusters, args.iters, args.seed),
    }
    reference = 'mmseg_picie without faiss'
    if import_faiss() is not None:
        reference = 'faiss'
        ways['faiss'] = partial(faiss_fit, features, clusters, args.iters, args.seed)

    def timed(fit: Callable[[], Tensor]) -> tuple[float, float]:
        started = time.perf_counter()
        centroids = fit()
        seconds = time.perf_counter() - started
        return seconds, inertia(features, centroids)

    initial_fit(features[: 2 * clusters], clusters, 1, args.seed)  # it may have to be compiled
    found = in_turn({name: partial(timed, fit) for name, fit in ways.items()}, args.repeats)
    return _rows('fit', reference, found, features, clusters, None)


def faiss_fit(features: Tensor, clusters: int, iters: int, seed: int) -> Tensor:
    """`faiss.Kmeans` on all points: without the limits it would use 256 points a cluster."""
    faiss = import_faiss()
    assert faiss is not None
    kmeans = faiss.Kmeans(
        features.shape[1],
        clusters,
        niter=iters,
        seed=seed,
        max_points_per_centroid=len(features),
        min_points_per_centroid=1,
    )
    kmeans.train(features.numpy())
    return torch.from_numpy(kmeans.centroids)


def measure_step(
    features: Tensor, clusters: int, size: int, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Streams of mini-batches by the package and two ways of scikit-learn, in turn.

    The first step of a stream is a warm-up.
    """
    generator = torch.Generator().manual_seed(args.seed)
    start = features[torch.randperm(len(features), generator=generator)[:clusters]]
    different = [part for part in features.split(size) if len(part) == size]
    number = max(BATCHES, STREAM_POINTS // size)
    batches = (different * number)[:number]
    common = dict(init=start.numpy(), n_init=1, batch_size=size, random_state=args.seed)
    no_labels = dict(compute_labels=False, reassignment_ratio=0.0)

    def step_ours(state: KMeansState, batch: Tensor) -> KMeansState:
        return minibatch_update(state, cluster_sums(batch, state.centroids))

    def step_theirs(kmeans: MiniBatchKMeans, batch: Tensor) -> MiniBatchKMeans:
        return kmeans.partial_fit(batch.numpy())

    def stream(step: Callable, state: Any) -> tuple[Any, list[float]]:
        seconds = []
        for batch in batches:
            started = time.perf_counter()
            state = step(state, batch)
            seconds.append(time.perf_counter() - started)
        return state, seconds[1:]

    ways: dict[str, Callable[[], tuple[Any, list[float]]]] = {
        'mmseg_picie': lambda: stream(
            step_ours, KMeansState(start.clone(), torch.zeros(clusters, dtype=torch.int64))
        ),
        'scikit-learn': lambda: stream(step_theirs, MiniBatchKMeans(clusters, **common)),
        'scikit-learn without labels': lambda: stream(
            step_theirs, MiniBatchKMeans(clusters, **no_labels, **common)
        ),
    }
    found = {}
    for name, streams in in_turn(ways, STREAMS).items():
        state, _ = streams[0]
        centroids = getattr(state, 'cluster_centers_', None)
        centroids = state.centroids if centroids is None else torch.from_numpy(centroids).float()
        value = inertia(features, centroids)
        found[name] = [(seconds, value) for _, times in streams for seconds in times]
    return _rows('step', 'scikit-learn', found, features, clusters, size)


def _rows(
    kind: str,
    reference: str,
    found: dict[str, list[tuple[float, float]]],
    features: Tensor,
    clusters: int,
    size: int | None,
) -> list[dict[str, Any]]:
    """Medians of each way, and the times and inertias of the reference over them."""
    median = {
        name: [statistics.median(values) for values in zip(*pairs, strict=True)]
        for name, pairs in found.items()
    }
    points = size or len(features)
    return [
        dict(
            what=kind,
            points=points,
            dim=features.shape[1],
            clusters=clusters,
            way=name,
            repetitions=len(found[name]),
            seconds=seconds,
            ns_per_point=1e9 * seconds / points,
            inertia=value,
            reference=reference,
            times_faster=median[reference][0] / seconds,
            inertia_ratio=value / median[reference][1],
        )
        for name, (seconds, value) in median.items()
    ]


if __name__ == '__main__':
    main()
