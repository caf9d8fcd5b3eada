"""What a training has logged: losses, and the clusterings before its epochs."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .score_logs import find_start, forget_from, list_logs, read_records

_CLUSTERING = re.compile(r'kmeans/(?P<head>\w+)/view(?P<view>\d+)/(?P<name>inertia|share_\d+)')
_LOSS = re.compile(r'loss|.+\.loss_\w+')


class Clustered(NamedTuple):
    """A set of clusters before an epoch.

    Attributes:
        inertia (float): mean squared distance of a pixel's unit-length feature to its centroid.
        shares (NDArray): (K',) fractions of the pixels, by centroid.
    """

    inertia: float
    shares: NDArray[np.float64]


class TrainingLog(NamedTuple):
    """What a training has logged, over all its starts.

    Attributes:
        losses (dict): by name the values by iteration; 'loss' is the sum of the others.
        clusterings (dict): by head and view, such as 'decode view 0', and by epoch.
    """

    losses: dict[str, dict[int, float]]
    clusterings: dict[str, dict[int, Clustered]]


def read_training(folder: Path) -> TrainingLog:
    """Read the logs of a training.

    A resumed run has a log for each start. Of an iteration or epoch that was run twice, the later
    start counts, and what an earlier start has logged beyond the beginning of a later one is left
    out.

    Args:
        folder (Path): its work folder.

    Returns:
        TrainingLog: empty where nothing was logged.

    Raises:
        FileNotFoundError: If the folder holds no log of a training.
        ValueError: If a log is broken.
    """
    paths = list_logs(folder)
    if not paths:
        raise FileNotFoundError(
            f'{folder} holds no log of a training (*/vis_data/scalars.json); give the work folder '
            'of one, such as work_dirs/NAME.'
        )
    losses: dict[str, dict[int, float]] = {}
    clusterings: dict[str, dict[int, Clustered]] = {}
    for path in paths:
        records = read_records(path)
        for values in losses.values():
            forget_from(values, find_start(records, 'iter'))
        for sets in clusterings.values():
            forget_from(sets, find_start(records, 'epoch'))
        for number, record in enumerate(records):
            if 'iter' in record:
                for name in filter(_LOSS.fullmatch, record):
                    losses.setdefault(name, {})[record['iter']] = record[name]
            found = _read_clustering(record)
            epoch = _epoch_of(records[number:]) if found else None
            if epoch is not None:
                for label, clustered in found.items():
                    clusterings.setdefault(label, {})[epoch] = clustered
    return TrainingLog(losses, clusterings)


def _epoch_of(records: list[dict[str, Any]]) -> int | None:
    """The epoch that a clustering was for; earlier versions have it in the next lines only."""
    return next((int(record['epoch']) for record in records if 'epoch' in record), None)


def _read_clustering(record: Mapping[str, Any]) -> dict[str, Clustered]:
    """The clusterings in a line of the log, by head and view."""
    found: dict[str, dict[str, float]] = {}
    for key, value in record.items():
        match = _CLUSTERING.fullmatch(key)
        if match:
            label = f'{match["head"]} view {match["view"]}'
            found.setdefault(label, {})[match['name']] = value
    return {
        label: Clustered(
            values.get('inertia', np.nan),
            np.array([values[name] for name in sorted(values) if name != 'inertia'], float),
        )
        for label, values in found.items()
    }
