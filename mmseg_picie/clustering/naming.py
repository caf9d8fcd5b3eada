"""Names and colours of clusters."""

import colorsys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .matching import UNMATCHED

# RGB in hexadecimal digits; :func:`distinct_palette` says how they were found.
_FIRST_COLOURS = (
    '0072b2', 'e69f00', '009e73', 'd55e00', '56b4e9', 'cc79a7', 'f0e442', '8400f0',
    '783018', 'c0fc9c', '603c60', '00fccc', '3c30a8', 'f00054', '9078fc', 'a8c060',
    '841884', '9ce4f0', '84c084', 'a84818', 'd800b4', 'd8f078', '546c48', '906078',
    '7848e4', '849cfc', '789c30', 'd89ca8', '60d8fc', '6c3c48', 'fc6ccc', 'fc8448',
    'a83084', 'cc6c6c', '5400c0', 'fcc0b4', 'fc9ccc', 'a8d884', '0c843c', 'a848d8',
)  # fmt: skip


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
        ClusterNames: clusters without a class are called 'cluster k' and get colours of their own,
            which no class has.
    """
    names, colours = [], []
    number, taken = len(cluster_to_class), {tuple(colour) for colour in palette or ()}
    (*own_colours,) = distinct_palette(number + len(taken))
    spare = (colour for colour in own_colours[number:] if tuple(colour) not in taken)
    own_colours = [c if tuple(c) not in taken else next(spare) for c in own_colours[:number]]
    for cluster, label in enumerate(cluster_to_class):
        known = label != UNMATCHED and classes is not None and label < len(classes)
        names.append(classes[label] if known and classes else f'cluster {cluster}')
        colours.append(list(palette[label]) if known and palette else own_colours[cluster])
    return ClusterNames(tuple(names), colours)


def translate_map(
    cluster_to_class: NDArray, names: Sequence[str] | None, classes: Sequence[str]
) -> NDArray[np.int64]:
    """Say a map of clusters to classes in the terms of another list of classes.

    Args:
        cluster_to_class (NDArray): class of each cluster, of any shape, -1 where unknown.
        names (Sequence[str], optional): of the classes that it speaks of; None if nobody knows,
            and they are taken for ``classes``, unless there are more of them.
        classes (Sequence[str]): names of the classes to speak of.

    Returns:
        NDArray: the same shape. Clusters of a class whose name is not in ``classes`` are unknown.
    """
    if names is None:
        fits = cluster_to_class.max(initial=UNMATCHED) < len(classes)
        return cluster_to_class if fits else np.full_like(cluster_to_class, UNMATCHED)
    if tuple(names) == tuple(classes):
        return cluster_to_class
    ids = {name: index for index, name in reversed(list(enumerate(classes)))}
    table = np.array([*(ids.get(name, UNMATCHED) for name in names), UNMATCHED])
    return table[cluster_to_class]  # the last entry is that of -1


def distinct_palette(size: int) -> list[list[int]]:
    """Colours that people with any colour vision tell apart.

    The first seven are those of Okabe and Ito (2008), without black. Each further one of the first
    forty is the colour of a grid that is farthest from all before it, in CIELAB, to whom it looks
    most alike: to people with usual colour vision, deuteranopia, protanopia or tritanopia. Of more
    than a dozen, some come near to others, so show names or patterns as well.

    Args:
        size (int): number of colours.

    Returns:
        list[list[int]]: (size, 3) RGB values in [0, 255]; the first ones stay the same whatever
            the size is.
    """
    golden = 0.618033988749895  # steps of the golden ratio spread any number of hues evenly
    palette = [[int(text[i : i + 2], 16) for i in (0, 2, 4)] for text in _FIRST_COLOURS[:size]]
    for i in range(len(palette), size):
        saturation, value = 0.85 - 0.3 * (i % 2), 0.95 - 0.35 * (i % 3 == 2)
        colour = colorsys.hsv_to_rgb(i * golden % 1, saturation, value)
        palette.append([round(255 * channel) for channel in colour])
    return palette
