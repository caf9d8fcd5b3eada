"""K-means of this package beside faiss and scikit-learn: python benchmarks/kmeans.py.

The fit is compared with `faiss.Kmeans` on all points and with Lloyd's algorithm of scikit-learn,
which assigns the points once more at its end; all begin with the same points. The mini-batch step
is compared with `MiniBatchKMeans.partial_fit` of scikit-learn in its fastest way (without labels of
the batch), on the same batches from the same centroids. Each takes many, one after the other, as in
a training. Features are of unit length: a mixture of Gaussians, projected on the sphere. All use
the same number of threads (`OMP_NUM_THREADS`). Inertia is the mean squared distance. `times_ours`
is the median of the ratios of each round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import common
import faiss
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans, MiniBatchKMeans
from threadpoolctl import threadpool_limits
from torch import Tensor

from mmseg_picie.acceleration.allocator import restart_with_mimalloc
from mmseg_picie.clustering import (
    KMeansState,
    choose_points,
    cluster_sums,
    initial_fit,
    minibatch_update,
)

CASES = ((2_000_000, 128, 27), (200_000, 128, 100), (200_000, 128, 500), (200_000, 768, 27))
BLOCK = 1 << 16
#: Batches of a stream at least, and points of all of them.
BATCHES, STREAM_POINTS = 10, 640_000
OURS = 'mmseg_picie'


def main(argv: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = common.make_parser(__doc__)
    parser.add_argument(
        '--cases',
        type=parse_case,
        nargs='+',
        default=CASES,
        metavar='POINTSxDIMxCLUSTERS',
        help='(default: {})'.format(' '.join('x'.join(map(str, case)) for case in CASES)),
    )
    parser.add_argument('--iters', type=common.positive, default=20, help='(default: %(default)s)')
    parser.add_argument(
        '--batches',
        type=common.positive,
        nargs='*',
        default=[6_400, 51_200, 204_800],
        metavar='POINTS',
        help='sizes of the mini-batches (default: %(default)s)',
    )
    args = parser.parse_args(argv)
    args.seed = args.seed or 0
    if args.quick:
        args.cases, args.batches, args.repeats = [(4000, 32, 5)], [500, 2000], 1
    threads = torch.get_num_threads()
    faiss.omp_set_num_threads(threads)
    header = common.make_header(args.seed)
    header['iterations of the fit'] = args.iters
    fits, steps = [], []
    with threadpool_limits(threads):
        for points, dim, clusters in args.cases:
            features = make_features(points, dim, clusters, args.seed)
            fits += measure_fit(features, clusters, args)
            for size in sorted({min(size, points) for size in args.batches}):
                steps += measure_step(features, clusters, size, args)
    common.publish(header, args.out, fits, steps)


def parse_case(text: str) -> tuple[int, ...]:
    """Read POINTSxDIMxCLUSTERS."""
    case = tuple(common.positive(part) for part in text.split('x'))
    if len(case) != 3 or case[0] < case[2]:
        raise argparse.ArgumentTypeError(
            f'must be POINTSxDIMxCLUSTERS, with a point for each cluster, but got {text!r}'
        )
    return case


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
    total = 0.0
    for part in features.split(BLOCK):
        total += torch.cdist(part, centroids).amin(1).square().sum(dtype=torch.float64).item()
    return total / len(features)


def choose_start(features: Tensor, clusters: int, seed: int) -> np.ndarray:
    """The (K, D) points that :func:`initial_fit` begins with; faiss chooses the same."""
    return features[choose_points(len(features), clusters, seed)].numpy()


def measure_fit(features: Tensor, clusters: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each way to fit."""
    start = choose_start(features, clusters, args.seed)

    def fit_faiss() -> Tensor:
        # Without the limits it would use 256 points a cluster, and warn below 39.
        limits = dict(max_points_per_centroid=len(features), min_points_per_centroid=1)
        kmeans = faiss.Kmeans(features.shape[1], clusters, niter=args.iters, **limits)
        kmeans.train(features.numpy(), init_centroids=start)
        return torch.from_numpy(kmeans.centroids)

    def fit_sklearn() -> Tensor:
        kmeans = KMeans(
            clusters, init=start, n_init=1, tol=0, max_iter=args.iters, algorithm='lloyd'
        )
        return torch.from_numpy(kmeans.fit(features.numpy()).cluster_centers_)

    def timed(fit: Callable[[], Tensor]) -> tuple[float, float]:
        started = time.perf_counter()
        centroids = fit()
        return time.perf_counter() - started, inertia(features, centroids)

    ours = partial(initial_fit, features, clusters, args.iters, args.seed)
    ways = {OURS: ours, 'faiss': fit_faiss, 'scikit-learn': fit_sklearn}
    initial_fit(features[: 2 * clusters], clusters, 1, args.seed)  # warm-up
    found = common.in_turn({name: partial(timed, fit) for name, fit in ways.items()}, args.repeats)
    return make_rows('fit', found, features, clusters, len(features))


def measure_step(
    features: Tensor, clusters: int, size: int, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """One row for each way to take mini-batches; the first of a stream is a warm-up."""
    start = choose_start(features, clusters, args.seed)
    different = [part for part in features.split(size) if len(part) == size]
    number = max(BATCHES, STREAM_POINTS // size)
    batches = (different * number)[:number]

    def stream(step: Callable[[Any, Tensor], Any], state: Any) -> tuple[float, float]:
        seconds = []
        for batch in batches:
            started = time.perf_counter()
            state = step(state, batch)
            seconds.append(time.perf_counter() - started)
        if isinstance(state, MiniBatchKMeans):
            centroids = torch.from_numpy(state.cluster_centers_)
        else:
            centroids = state.centroids
        return statistics.median(seconds[1:]), inertia(features, centroids)

    def run_ours() -> tuple[float, float]:
        state = KMeansState(torch.from_numpy(start), torch.zeros(clusters, dtype=torch.int64))
        return stream(lambda s, b: minibatch_update(s, cluster_sums(b, s.centroids)), state)

    def run_sklearn() -> tuple[float, float]:
        fastest = dict(compute_labels=False, reassignment_ratio=0.0)
        kmeans = MiniBatchKMeans(clusters, init=start, n_init=1, batch_size=size, **fastest)
        return stream(lambda k, batch: k.partial_fit(batch.numpy()), kmeans)

    found = common.in_turn({OURS: run_ours, 'scikit-learn': run_sklearn}, args.repeats)
    return make_rows('step', found, features, clusters, size)


def make_rows(
    what: str,
    found: dict[str, list[tuple[float, float]]],
    features: Tensor,
    clusters: int,
    points: int,
) -> list[dict[str, Any]]:
    """Medians of each way, and ratios to those of this package in the same round."""
    rows = []
    for name, rounds in found.items():
        (seconds, inertias), (our_seconds, our_inertias) = (
            list(zip(*way, strict=True)) for way in (rounds, found[OURS])
        )
        rows.append(
            dict(
                what=what,
                points=points,
                dim=features.shape[1],
                clusters=clusters,
                way=name,
                seconds=statistics.median(seconds),
                ns_per_point=1e9 * statistics.median(seconds) / points,
                times_ours=statistics.median(common.round_ratios(seconds, our_seconds)),
                inertia=statistics.median(inertias),
                inertia_ratio=statistics.median(common.round_ratios(inertias, our_inertias)),
            )
        )
    return rows


if __name__ == '__main__':
    restart_with_mimalloc()  # as a training does
    main()
