"""Scores in the logs of mmengine's ``LocalVisBackend``."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Entries of a validation's log line that are no scores.
_NOT_SCORES = ('data_time', 'time', 'step')


class RunError(Exception):
    """A run failed; the message says which, and where its log is.

    Args:
        message (str): the words.
        is_mistake (bool): whether a user can mend it.
    """

    def __init__(self, message: str, is_mistake: bool = False) -> None:
        super().__init__(message)
        self.is_mistake = is_mistake


def read_last_scores(folder: Path) -> dict[str, float]:
    """Scores of the last validation in a work folder.

    Args:
        folder (Path): work folder of a training with mmengine's ``LocalVisBackend``.

    Returns:
        dict[str, float]: scores by name.

    Raises:
        RunError: If there are none.
    """
    for path in sorted(folder.glob('*/vis_data/scalars.json'), reverse=True):
        for entry in reversed(read_records(path)):
            if 'mIoU' in entry:
                return only_scores(entry)
    raise RunError(
        f'{folder} holds no scores of a validation; the config needs val_dataloader, '
        'HungarianIoUMetric and LocalVisBackend.'
    )


def read_curves(folder: Path) -> dict[int, dict[str, float]]:
    """Scores of all validations in a work folder.

    Args:
        folder (Path): as of :func:`read_last_scores`.

    Returns:
        dict[int, dict[str, float]]: scores by epoch; of an epoch that was scored twice, the later
            ones.
    """
    found = {}
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        for entry in read_records(path):
            if 'mIoU' in entry:
                found[int(entry['step'])] = only_scores(entry)
    return found


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read a log of mmengine's ``LocalVisBackend``, one JSON object a line.

    Args:
        path (Path): the file.

    Returns:
        list[dict]: its records; one that a killed run left unfinished at the end is left out.

    Raises:
        ValueError: If another line is no record.
    """
    lines = path.read_bytes().splitlines()
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            records.append(dict(json.loads(line)))
        except (TypeError, ValueError) as error:
            if number == len(lines):
                break
            raise ValueError(
                f'{path} must hold a JSON object a line, but line {number} is none; remove that '
                'line.'
            ) from error
    return records


def only_scores(entry: Mapping[str, float | None]) -> dict[str, float]:
    """Leave out what is no score, and scores of nothing.

    Args:
        entry (Mapping): of a validation's log.

    Returns:
        dict[str, float]: scores by name.
    """
    return {
        key: value
        for key, value in entry.items()
        if key not in _NOT_SCORES and value is not None and not math.isnan(value)
    }
