"""What a training has left in its work folder: config, checkpoint, curves, scores, time."""

import datetime
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray

from ..checkpoint_loading import read_checkpoint
from ..engine.checkpoint_files import POINTER, find_numbered
from ..engine.hooks.cluster_to_class_hook import COUNTS_FILE
from ..models.parts import describe_backbone
from ..version import __version__
from ..visualization.report import Curve, Line
from .comparison_plots import read_counts
from .json_files import read_json
from .model_file import is_model_file
from .ready_configs import find_config
from .score_logs import list_logs, read_curves
from .segment_request import MODEL_FILE, TRAINING
from .training_logs import TrainingLog, read_training

# How mmengine begins a line of its log.
_STAMP = re.compile(rb'(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - mmengine', re.MULTILINE)
# Scores that are drawn, and what they are called for people.
_SCORES = dict(aAcc='pixel accuracy', mIoU='mIoU')


#: Names of C classes, (C, K) pixels, and (K,) matched classes.
Counts = tuple[list[str], NDArray[np.int64], NDArray[np.int64]]


class Run(NamedTuple):
    """A training.

    Attributes:
        config (Path, optional): file of its config; None if the checkpoint is a model file, which
            holds its settings.
        checkpoint (Path): file of its weights.
        work_dir (Path, optional): where it has left its logs, if that is known.
    """

    config: Path | None
    checkpoint: Path
    work_dir: Path | None


class History(NamedTuple):
    """How a training went.

    Attributes:
        curves (list[Curve]): loss, inertia, scores; those that there are.
        scores (dict[str, float]): percent, of the last validation.
        seconds (float): from the first to the last line of its logs, breaks left out.
        counts (tuple, optional): what the last validation counted, as of
            :func:`.comparison_plots.read_counts`.
        epoch (int): after which that was; 0 if there was none.
    """

    curves: list[Curve]
    scores: dict[str, float]
    seconds: float
    counts: Counts | None
    epoch: int


def find_run(path: str | Path, config: str | Path | None = None) -> Run:
    """Find config and checkpoint of a training.

    Args:
        path (str or Path): its work folder, a folder of `picie segment`, a checkpoint, or a model
            file.
        config (str or Path, optional): file of the config, or its name; by default the
            one that mmengine has written into the folder.

    Returns:
        Run: with the last checkpoint of a folder.

    Raises:
        FileNotFoundError: If the path, a checkpoint or a config is missing.
        ValueError: If there are several configs.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f'{path} does not exist; give the work folder of a training, or a checkpoint.'
        )
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and (path / MODEL_FILE).is_file():
        path = path / MODEL_FILE
    checkpoint = _last_checkpoint(path) if path.is_dir() else path
    if config is None and is_model_file(checkpoint):
        return Run(None, checkpoint, _with_logs(folder / TRAINING))
    found = find_config(config) if config is not None else _find_config(folder, path)
    return Run(found, checkpoint, _with_logs(folder))


def _with_logs(folder: Path) -> Path | None:
    return folder if list_logs(folder) else None


def _last_checkpoint(folder: Path) -> Path:
    """The one that the folder names, or else the one of the highest number."""
    pointer = folder / POINTER
    if pointer.is_file():
        named = Path(pointer.read_bytes().decode(errors='replace').strip())
        # The folder may have been moved since.
        for place in (named, folder / named.name):
            if place.is_file():
                return place
    for template in ('epoch_{}.pth', 'iter_{}.pth'):
        numbered = find_numbered(str(folder), template)
        if numbered:
            return Path(numbered[max(numbered)])
    raise FileNotFoundError(
        f'{folder} holds no checkpoint; give the work folder of a training after its first epoch, '
        'a checkpoint, or a model file.'
    )


def _find_config(folder: Path, path: Path) -> Path:
    found = sorted(folder.glob('*.py'))
    if not found:
        raise FileNotFoundError(
            f'{folder} holds no config beside {path.name}; give the config of the training by '
            '--config.'
        )
    if len(found) > 1:
        names = ', '.join(file.name for file in found)
        raise ValueError(f'{folder} holds several configs ({names}); choose one by --config.')
    return found[0]


def read_history(work_dir: str | Path) -> History:
    """Read the logs of a training, of all its starts.

    Args:
        work_dir (str or Path): its work folder.

    Returns:
        History: what there is; nothing where there is no log.

    Raises:
        ValueError: If a log is broken.
    """
    folder = Path(work_dir)
    logged = read_training(folder) if list_logs(folder) else TrainingLog({}, {})
    scores = read_curves(folder)
    curves = [
        Curve('Loss', 'iteration', [_line('loss', logged.losses.get('loss', {}))]),
        Curve('Inertia of k-means (mean squared distance)', 'epoch', _inertia(logged)),
        Curve(
            'Scores by labels in %',
            'epoch',
            [
                _line(title, {epoch: s[name] for epoch, s in scores.items() if name in s})
                for name, title in _SCORES.items()
            ],
        ),
    ]
    seconds = sum(_duration(path) for path in folder.glob('*/*.log'))
    last = scores[max(scores)] if scores else {}
    counts = folder / COUNTS_FILE
    return History(
        [shown for curve in curves if (shown := _without_empty(curve)).lines],
        {title: last[name] for name, title in _SCORES.items() if name in last},
        seconds,
        read_counts(counts) if counts.is_file() else None,
        int(read_json(counts).get('epoch', 0)) if counts.is_file() else 0,
    )


def read_history_of(run: Run) -> History | None:
    """The history of a training as it belongs to one of its checkpoints.

    Args:
        run (Run): of :func:`find_run`.

    Returns:
        History: without what the last validation counted, if that was of another epoch; None if
            there are no logs.
    """
    if run.work_dir is None:
        return None
    history = read_history(run.work_dir)
    if run.config is None:  # of the last epoch
        return history
    meta = read_checkpoint(str(run.checkpoint)).get('meta') or {}
    if meta.get('epoch') == history.epoch:
        return history
    return history._replace(counts=None, scores={})


def describe_settings(run: Run, config: Config) -> dict[str, str]:
    """What a report says of how a model was made.

    Args:
        run (Run): of :func:`find_run`.
        config (Config): of the training.

    Returns:
        dict[str, str]: by subject.
    """
    backbone = config.model.get('backbone') or {}
    train = config.get('train_cfg') or {}
    found = {
        'Checkpoint': str(run.checkpoint),
        'Config': '' if run.config is None else str(run.config),
        'Backbone': describe_backbone(backbone),
        'Epochs': train.get('max_epochs'),
        'Batch size of a process': (config.get('train_dataloader') or {}).get('batch_size'),
        'Learning rate': ((config.get('optim_wrapper') or {}).get('optimizer') or {}).get('lr'),
        'Seed': (config.get('randomness') or {}).get('seed'),
        'mmseg_picie': __version__,
        'PyTorch': torch.__version__,
    }
    return {name: str(value) for name, value in found.items() if value not in (None, '')}


def _inertia(logged: TrainingLog) -> list[Line]:
    """A line for each head and view; their names are short where there is one head."""
    heads = {label.partition(' ')[0] for label in logged.clusterings}
    return [
        _line(
            label.replace(' ', ', ', 1) if len(heads) > 1 else label.partition(' ')[2],
            {epoch: clustered.inertia for epoch, clustered in sets.items()},
        )
        for label, sets in logged.clusterings.items()
    ][:4]


def _line(name: str, points: Mapping[int, float]) -> Line:
    return Line(name, sorted(points), [points[step] for step in sorted(points)])


def _without_empty(curve: Curve) -> Curve:
    return curve._replace(lines=[line for line in curve.lines if line.xs])


def _duration(log: Path) -> float:
    """Seconds between the first and the last stamp of a log."""
    stamps = _STAMP.findall(log.read_bytes())
    if not stamps:
        return 0.0
    first, last = (
        datetime.datetime.strptime(stamp.decode(), '%Y/%m/%d %H:%M:%S')
        for stamp in (stamps[0], stamps[-1])
    )
    return max(0.0, (last - first).total_seconds())
