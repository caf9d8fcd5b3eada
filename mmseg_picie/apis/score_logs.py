"""Scores in the logs of mmengine's ``LocalVisBackend``."""

import json
import math
from collections.abc import Mapping, MutableMapping, Sequence
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
    curve = read_curves(folder)
    if curve:
        return curve[max(curve)]
    raise RunError(
        f'{folder} holds no scores of a validation; the config needs val_dataloader, '
        'HungarianIoUMetric and LocalVisBackend.'
    )


def list_logs(folder: Path) -> list[Path]:
    """The logs of a training, one for each of its starts.

    Args:
        folder (Path): its work folder.

    Returns:
        list[Path]: in the order of the starts; none where nothing was logged.
    """
    return sorted(folder.glob('*/vis_data/scalars.json'))


def read_curves(folder: Path) -> dict[int, dict[str, float]]:
    """Scores of all validations of a training.

    Args:
        folder (Path): as of :func:`read_last_scores`.

    Returns:
        dict[int, dict[str, float]]: scores by epoch. Of an epoch that was run twice the later start
            counts, and what an earlier start has scored beyond the beginning of a later one is
            left out. So are scores of commands that train nothing.
    """
    validations = [record for record in read_all_starts(folder) if 'mIoU' in record]
    return {int(record['step']): only_scores(record) for record in validations}


def read_all_starts(folder: Path) -> list[dict[str, Any]]:
    """Records of a training, over all its starts.

    Args:
        folder (Path): its work folder.

    Returns:
        list[dict]: in the order of the starts. What an earlier start has logged beyond the
            beginning of a later one is left out. So are scores of commands that train nothing.

    Raises:
        ValueError: As of :func:`read_records`.
    """
    found: list[dict[str, Any]] = []
    for path in list_logs(folder):
        records = read_records(path)
        unit = 'epoch' if any('epoch' in record for record in records) else 'iter'
        start = find_start(records, unit)
        if start is not None:
            found = [record for record in found if _find_number(record, unit) < start]
        # The step is 0 of a validation without a training.
        found += [record for record in records if 'mIoU' not in record or record.get('step')]
    return found


def _find_number(record: Mapping[str, Any], unit: str) -> int:
    """The epoch or iteration of a record; that of a validation is its step, 0 of an unknown one."""
    return int(record.get('step' if 'mIoU' in record else unit, 0))


def find_start(records: Sequence[Mapping[str, Any]], unit: str) -> int | None:
    """The first epoch or iteration that was logged.

    Args:
        records (Sequence[Mapping]): of a log.
        unit (str): 'epoch' or 'iter'.

    Returns:
        int or None: None if nothing was trained.
    """
    return min((int(r[unit]) for r in records if 'iter' in r and unit in r), default=None)


def forget_from(values: MutableMapping[int, Any], start: int | None) -> None:
    """Forget what belongs to an epoch or iteration from one on.

    Args:
        values (MutableMapping): by epoch or iteration.
        start (int, optional): the first to forget; None forgets nothing.
    """
    for number in [number for number in values if start is not None and number >= start]:
        del values[number]


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
