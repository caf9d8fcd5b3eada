"""Names and colours of clusters."""

import colorsys
from collections.abc import Sequence
from typing import NamedTuple

from ..clustering import UNMATCHED


class ClusterNames(NamedTuple):
    """What to call and how to paint each cluster.

    Attributes:
        classes (tuple[str, ...]): K names.
        palette (list[list[int]]): K RGB colours.
    """

    classes: tuple[str, ...]
    palette: list[list[int]]


def name_clusters(
    cluster_to_class: Sequence[int],
    classes: Sequence[str] | None = None,
    palette: Sequence[Sequence[int]] | None = None,
) -> ClusterNames:
    """Give each cluster the name and colour of its class.

    Args:
        cluster_to_class (Sequence[int]): (K,) class of each cluster, -1 where unknown.
        classes (Sequence[str], optional): names of the classes.
        palette (Sequence[Sequence[int]], optional): their RGB colours.

    Returns:
        ClusterNames: clusters without a class are called 'cluster k' and get colours of their own.
    """
    names, colours = [], []
    own_colours = distinct_palette(len(cluster_to_class))
    for cluster, label in enumerate(cluster_to_class):
        known = label != UNMATCHED and classes is not None and label < len(classes)
        names.append(classes[label] if known and classes else f'cluster {cluster}')
        colours.append(list(palette[label]) if known and palette else own_colours[cluster])
    return ClusterNames(tuple(names), colours)


def distinct_palette(size: int) -> list[list[int]]:
    """Colours of well separated hues, in alternating shades.

    Args:
        size (int): number of colours.

    Returns:
        list[list[int]]: (size, 3) RGB values in [0, 255]; the first ones stay the same whatever
            the size is.
    """
    golden = 0.618033988749895  # steps of the golden ratio spread any number of hues evenly
    palette = []
    for i in range(size):
        saturation, value = 0.85 - 0.3 * (i % 2), 0.95 - 0.35 * (i % 3 == 2)
        colour = colorsys.hsv_to_rgb(i * golden % 1, saturation, value)
        palette.append([round(255 * channel) for channel in colour])
    return palette
