"""Figures of clusterings into several numbers of clusters, without labels."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..clustering.cluster_numbers import (
    fit_clusters,
    inertia_of,
    predict_clusters,
    prediction_strength,
)
from ..engine.progress import track
from .feature_sample import FeatureSample
from .judgement import rand_index, size_entropy

#: Lloyd iterations of each clustering, as in the small schedule.
NUM_ITERS = 20
# Fewer images than these are cut in halves themselves.
_FEW_IMAGES = 4
#: Pixels whose silhouette is taken; it takes memory for the distances of all pairs.
NUM_SILHOUETTE = 3000


def limit_number(sample: FeatureSample, smallest: int, largest: int) -> int:
    """The largest number of clusters that can be tried.

    Args:
        sample (FeatureSample): pixels.
        smallest (int): as of :func:`suggest_k`.
        largest (int): likewise.

    Returns:
        int: at most ``largest``.

    Raises:
        ValueError: If it is less than ``smallest``.
    """
    images, pixels, _ = sample.points.shape
    # The smaller half of the pixels must have a point for each centroid.
    half = images // 2 * pixels if images >= _FEW_IMAGES else images * pixels // 2
    by_points = half // sample.centroids_per_cluster
    limit = min(largest, sample.num_colours, by_points)
    if limit < smallest:
        colours = f'{sample.num_colours} colour' + 's' * (sample.num_colours != 1)
        held = (
            f'show {colours}'
            if sample.num_colours < smallest
            else f'have {images * pixels} pixels to cluster, for {sample.centroids_per_cluster} '
            'centroids a cluster'
        )
        raise ValueError(
            f'{smallest} clusters or more were asked for, but the images that were looked at, '
            f'{images}, {held}, which is too few; give other images'
            + (' or fewer clusters.' if smallest > 2 else '.')
        )
    return limit


def measure_numbers(
    sample: FeatureSample, numbers: Sequence[int], seeds: Sequence[int]
) -> list[dict[str, float]]:
    """Figures of clusterings into several numbers of clusters.

    - ``inertia``: mean squared distance of pixels to the mean of their cluster.
    - ``prediction strength``: how far clusters of the first half of the images are found again by
      those of the second, and the other way round (:func:`prediction_strength`). Of fewer than four
      images, the left and the right half of each.
    - ``silhouette``: mean silhouette of pixels by the cosine (Rousseeuw 1987).
    - ``size entropy``: of the clusters' shares of pixels, over that of equal shares.
    - ``seed agreement``: adjusted Rand index of the clusterings of two seeds, a mean over all
      pairs; NaN for one seed.

    Args:
        sample (FeatureSample): pixels.
        numbers (Sequence[int]): of clusters.
        seeds (Sequence[int]): of the clusterings.

    Returns:
        list[dict[str, float]]: a row a number: ``K``, and means of the figures over seeds.
    """
    points = sample.points.flatten(0, 1)
    halves = _halve(sample)
    chosen = np.random.default_rng(0).permutation(len(points))[:NUM_SILHOUETTE]
    some = points[torch.from_numpy(chosen).to(points.device)]
    distances = (1 - some @ some.T).clamp_(min=0).fill_diagonal_(0).cpu().numpy()
    table = []
    for number in track(numbers, 'Trying numbers of clusters', len(numbers)):
        figures, clusters = [], []
        for seed in seeds:
            settings = number, sample.centroids_per_cluster, NUM_ITERS, seed
            labels = predict_clusters(points, fit_clusters(points, *settings))
            clusters.append(labels)
            figures.append(
                {
                    'inertia': inertia_of(points, labels, number),
                    'prediction strength': _strength(halves, settings),
                    'silhouette': _silhouette(distances, labels[chosen]),
                    'size entropy': size_entropy(labels, number),
                }
            )
        agreements = [rand_index(*pair) for pair in combinations(clusters, 2)]
        table.append(
            {'K': number}
            | {name: _mean([of_seed[name] for of_seed in figures]) for name in figures[0]}
            | {'seed agreement': _mean(agreements)}
        )
    return table


def _halve(sample: FeatureSample) -> list[Tensor]:
    """Pixels of the first half of the images, and of the second; of a few, left and right halves.

    Neighbours in the order of names are often alike, such as frames of a video. In different
    halves they would confirm whatever clusters there are.
    """
    points = sample.points
    if len(points) < _FEW_IMAGES:
        order = sample.columns.flatten().argsort(stable=True)
        points = points.flatten(0, 1)[order.to(points.device), None]
    return [half.flatten(0, 1) for half in points.tensor_split(2)]


def _strength(halves: Sequence[Tensor], settings: tuple[int, int, int, int]) -> float:
    """Prediction strength of each half by the other, as a mean."""
    fits = [fit_clusters(half, *settings) for half in halves]
    return _mean(
        [
            prediction_strength(predict_clusters(half, own), predict_clusters(half, other))
            for half, own, other in zip(halves, fits, fits[::-1], strict=True)
        ]
    )


def _silhouette(distances: NDArray, clusters: NDArray) -> float:
    """Mean silhouette; NaN if all points are of one cluster, or each of its own."""
    from sklearn.metrics import silhouette_score  # takes a second

    if not 1 < len(np.unique(clusters)) < len(clusters):
        return float('nan')
    return float(silhouette_score(distances, clusters, metric='precomputed'))


def _mean(values: Sequence[float]) -> float:
    """Mean of what is known; NaN of nothing."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float('nan')
