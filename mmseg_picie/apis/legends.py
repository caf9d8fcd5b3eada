"""What the ids of a prediction mean."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.label_files import Ids, make_ids
from ..models import PiCIE


def choose_ids(model: PiCIE, kind: str = 'auto') -> Ids:
    """Choose what ids a prediction holds.

    Args:
        model (PiCIE): with clusters, and perhaps their classes.
        kind (str): 'class', 'cluster', or 'auto' for classes if the model knows them.

    Returns:
        Ids: as of :func:`..evaluation.label_files.make_ids`.

    Raises:
        ValueError: If classes are asked for that the model does not know.
    """
    ids = make_ids(None if kind == 'cluster' else _classes(model), model.decode_head.num_clusters)
    if kind == 'class' and ids.kind != 'class':
        raise ValueError(
            "ids='class' needs a checkpoint that knows the classes of its clusters, but this one "
            "was never validated on labels; use 'cluster' or 'auto'."
        )
    return ids


def describe_ids(model: PiCIE, ids: Ids) -> dict[int, dict[str, Any]]:
    """Names and colours of ids.

    Args:
        model (PiCIE): whose clusters they are.
        ids (Ids): of :func:`choose_ids`.

    Returns:
        dict[int, dict]: by id, in their order: ``name`` and ``colour`` (R, G, B).
    """
    meta = model.dataset_meta
    found: dict[int, dict[str, Any]] = {}
    for cluster in np.argsort(ids.of_clusters, kind='stable').tolist():
        number = int(ids.of_clusters[cluster])
        name = 'no class' if number == ids.no_class else str(meta['classes'][cluster])
        colour = [int(value) for value in meta['palette'][cluster]]
        found.setdefault(number, dict(name=name, colour=colour))
    return found


def _classes(model: PiCIE) -> NDArray[np.int64]:
    """(K,) class of each cluster that predicts."""
    head = model.decode_head
    return head.cluster_to_class[head.predict_views[0]].cpu().numpy()
