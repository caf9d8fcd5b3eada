"""What the ids of a prediction mean."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..clustering import UNMATCHED
from ..evaluation.label_files import no_class_id
from ..models import PiCIE


class Ids(NamedTuple):
    """The ids of a prediction.

    Attributes:
        kind (str): 'class' or 'cluster'.
        of_clusters (NDArray): (K,) the id of each cluster of the first view that predicts.
    """

    kind: str
    of_clusters: NDArray[np.int64]


def choose_ids(model: PiCIE, kind: str = 'auto') -> Ids:
    """Choose what ids a prediction holds.

    Args:
        model (PiCIE): with clusters, and perhaps their classes.
        kind (str): 'class', 'cluster', or 'auto' for classes if the model knows them.

    Returns:
        Ids: classes, with :func:`no_class_id` for clusters without one; or clusters.

    Raises:
        ValueError: If classes are asked for that the model does not know.
    """
    classes = _classes(model)
    knows_classes = bool((classes != UNMATCHED).any())
    if kind == 'class' and not knows_classes:
        raise ValueError(
            "ids='class' needs a checkpoint that knows the classes of its clusters, but this one "
            "was never validated on labels; use 'cluster' or 'auto'."
        )
    if not knows_classes or kind == 'cluster':
        return Ids('cluster', np.arange(len(classes)))
    no_class = no_class_id(int(classes.max()) + 1)
    return Ids('class', np.where(classes == UNMATCHED, no_class, classes))


def describe_ids(model: PiCIE, ids: Ids) -> dict[int, dict[str, Any]]:
    """Names and colours of ids.

    Args:
        model (PiCIE): whose clusters they are.
        ids (Ids): of :func:`choose_ids`.

    Returns:
        dict[int, dict]: by id, in their order: ``name`` and ``colour`` (R, G, B).
    """
    meta, classes = model.dataset_meta, _classes(model)
    found: dict[int, dict[str, Any]] = {}
    for cluster in np.argsort(ids.of_clusters, kind='stable').tolist():
        is_nameless = ids.kind == 'class' and classes[cluster] == UNMATCHED
        name = 'no class' if is_nameless else str(meta['classes'][cluster])
        colour = [int(value) for value in meta['palette'][cluster]]
        found.setdefault(int(ids.of_clusters[cluster]), dict(name=name, colour=colour))
    return found


def _classes(model: PiCIE) -> NDArray[np.int64]:
    """(K,) class of each cluster that predicts."""
    head = model.decode_head
    return head.cluster_to_class[head.predict_views[0]].cpu().numpy()
