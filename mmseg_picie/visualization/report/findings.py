"""Warnings: what is wrong with clusters, each told by one figure and one threshold."""

import numpy as np
from numpy.typing import NDArray

from ...evaluation.score_checks import MAX_SHARE
from ...printing import percent
from .facts import Finding

#: A cluster with a smaller share of an equal part of all pixels, 1 / K, has collapsed.
MIN_PART = 0.02
#: Clusters whose mean features have a larger cosine hardly differ.
MAX_COSINE = 0.98
#: A line is at most so wide, as a share of an image's shorter side.
LINE_WIDTH = 0.03
#: A cluster of which a smaller share lies in the middle of more than a line is only lines.
MIN_INNER = 0.05
#: A cluster with a larger share of its pixels in one image is only that image.
MAX_IN_ONE = 0.95
#: Of fewer images this is no wonder.
MIN_IMAGES = 3


def find_collapsed(counts: NDArray) -> list[Finding]:
    """Clusters with hardly a pixel.

    Args:
        counts (NDArray): (K,) pixels.

    Returns:
        list[Finding]: of clusters below :data:`MIN_PART` of an equal part.
    """
    shares = counts / max(1, counts.sum())
    return [
        Finding(
            'Collapsed',
            f'{{{k}}} has {percent(shares[k])} of all pixels',
            'Hardly anything is to be seen of it. Use fewer clusters, or train with another seed.',
        )
        for k in np.flatnonzero(shares < MIN_PART / len(counts))
    ]


def find_dominant(counts: NDArray) -> list[Finding]:
    """A cluster that takes nearly all pixels.

    Args:
        counts (NDArray): (K,) pixels.

    Returns:
        list[Finding]: of a cluster above :data:`MAX_SHARE`.
    """
    shares = counts / max(1, counts.sum())
    return [
        Finding(
            'One takes all',
            f'{{{k}}} has {percent(shares[k])} of all pixels',
            'So the segments tell little. Use the checkpoint of another epoch or more clusters, '
            'or train on images like these.',
        )
        for k in np.flatnonzero(shares > MAX_SHARE)
    ]


def find_alike(cosines: NDArray, counts: NDArray) -> list[Finding]:
    """Pairs of clusters that never differ: the network hardly sees a difference.

    Args:
        cosines (NDArray): (K, K) of the clusters' mean features.
        counts (NDArray): (K,) pixels; clusters without any are left out.

    Returns:
        list[Finding]: of pairs above :data:`MAX_COSINE`, most similar first.
    """
    known = (counts[:, None] > 0) & (counts[None] > 0)
    first, second = np.nonzero(np.triu(known & (cosines > MAX_COSINE), 1))
    order = np.argsort(-cosines[first, second], kind='stable')
    return [
        Finding(
            'Two that never differ',
            f'{{{first[i]}}} and {{{second[i]}}} have a cosine of '
            f'{cosines[first[i], second[i]]:.3f}',
            'They look the same to the network. Compare their patches, and merge them if they '
            'show the same.',
        )
        for i in order
    ]


def find_borders(inner: NDArray, counts: NDArray) -> list[Finding]:
    """Clusters that are only borders between others, or lines as thin.

    Args:
        inner (NDArray): (K,) pixels with nothing but their cluster within half of
            :data:`LINE_WIDTH`.
        counts (NDArray): (K,) all pixels.

    Returns:
        list[Finding]: of clusters whose share of inner pixels is below :data:`MIN_INNER`.
    """
    shares = inner / np.maximum(counts, 1)
    return [
        Finding(
            'Only borders',
            f'{{{k}}} is a line, but for {percent(shares[k])} of it',
            f'A line is at most {100 * LINE_WIDTH:.0f} % of the shorter side of an image wide. It '
            'may be the border between others rather than a thing.',
        )
        for k in np.flatnonzero((counts > 0) & (shares < MIN_INNER))
    ]


def find_in_one_image(
    largest: NDArray, counts: NDArray, names: list[str], num_images: int
) -> list[Finding]:
    """Clusters that are a single photograph.

    Args:
        largest (NDArray): (K,) of each cluster, its pixels in the image that has most of them.
        counts (NDArray): (K,) pixels in all images.
        names (list[str]): K names of these images.
        num_images (int): images.

    Returns:
        list[Finding]: of clusters above :data:`MAX_IN_ONE`, if there are :data:`MIN_IMAGES` images.
    """
    if num_images < MIN_IMAGES:
        return []
    shares = largest / np.maximum(counts, 1)
    return [
        Finding(
            'Only one photograph',
            f'{percent(shares[k])} of {{{k}}} lie in {_quote(names[k])}',
            'It describes an image rather than what images have in common.',
        )
        for k in np.flatnonzero((counts > 0) & (shares > MAX_IN_ONE))
    ]


def _quote(name: str) -> str:
    """A name whose braces are no places for names of clusters."""
    return name.replace('{', '{{').replace('}', '}}')
