"""Plots of a training, from what it has written into its work folder."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..clustering import class_scores, to_class_confusion
from ..engine.hooks.cluster_to_class_hook import COUNTS_FILE
from ..visualization.score_plots import (
    Line,
    Panel,
    draw_class_bars,
    draw_confusion,
    draw_panels,
)
from .comparison_plots import DRAWN, read_counts
from .json_files import read_json
from .score_logs import list_logs, read_curves
from .segment_request import TRAINING
from .training_logs import Clustered, TrainingLog, read_training

#: Formats of pictures.
FORMATS = ('png', 'svg')
#: Quantiles of cluster sizes that are drawn.
_SIZES = {'largest': 1.0, 'upper quartile': 0.75, 'median': 0.5, 'lower quartile': 0.25}
_VIEW = re.compile(r'view\d+/')


class Plotted(NamedTuple):
    """What was drawn of a training.

    Attributes:
        files (list[Path]): pictures.
        missing (list[str]): a sentence for each plot that the training left nothing for.
    """

    files: list[Path]
    missing: list[str]


def plot_training(folder: Path, out: Path, formats: Sequence[str] = FORMATS) -> Plotted:
    """Draw a training: ``curves``, ``cluster_sizes``, ``class_scores`` and ``confusion``.

    Curves are the losses, the inertia of the clusterings and the scores of the validations. The
    scores of classes and the confusion are those of the last validation, for the first view that
    predicts.

    Args:
        folder (Path): its work folder, or one of the results of `picie segment`.
        out (Path): folder to write to.
        formats (Sequence[str]): some of :data:`FORMATS`.

    Returns:
        Plotted: files, and what there was nothing for.

    Raises:
        FileNotFoundError: If the folder holds no log of a training.
        ValueError: If a file of the training is broken.
    """
    if not list_logs(folder) and list_logs(folder / TRAINING):
        folder = folder / TRAINING
    log, scores = read_training(folder), read_curves(folder)
    parts = folder.resolve().parts
    # `picie compare` has a folder for each seed of a config.
    name = '/'.join(parts[-2:] if parts[-1].startswith('seed_') else parts[-1:])
    files: list[Path] = []
    missing = []

    def paths(stem: str) -> list[Path]:
        files.extend(found := [out / f'{stem}.{suffix}' for suffix in formats])
        return found

    panels = [*_loss_panels(log), *_inertia_panels(log), *_score_panels(scores)]
    if panels:
        draw_panels(paths('curves'), panels, f'Training {name}')
    if log.clusterings:
        sizes = [_size_panel(label, found) for label, found in log.clusterings.items()]
        draw_panels(paths('cluster_sizes'), sizes, f'Cluster sizes of {name}')
    else:
        missing.append('no clustering was logged, so there are no cluster sizes')
    counts = folder / COUNTS_FILE
    if counts.is_file():
        _plot_validation(counts, name, paths('class_scores'), paths('confusion'))
    else:
        missing.append(
            f'no {COUNTS_FILE}, as the training was not validated, so there are neither scores of '
            'classes nor a confusion'
        )
    return Plotted(files, missing)


def _plot_validation(
    path: Path, name: str, bars: Sequence[Path], confusion: Sequence[Path]
) -> None:
    """Draw what the last validation counted."""
    classes, counts, match = read_counts(path)
    scores = class_scores(to_class_confusion(counts, match))
    epoch = read_json(path).get('epoch')
    when = f'{name}, epoch {epoch}'
    title = f'Scores of classes, {when}: mIoU {100 * scores.mean_iou:.1f} %'
    draw_class_bars(bars, classes, {'IoU': scores.iou, 'recall': scores.class_accuracy}, title)
    draw_confusion(confusion, classes, counts, match, f'Clusters of each class, {when}')


def _loss_panels(log: TrainingLog) -> list[Panel]:
    """The loss and its parts; parts alone are left out where they are all of it."""
    lines = {
        name: Line(sorted(values), [values[i] for i in sorted(values)])
        for name, values in log.losses.items()
    }
    if len(lines) == 2:
        lines = {'loss': lines['loss']}
    return [Panel('loss of the training', 'iteration', 'loss in nats', lines)] if lines else []


def _inertia_panels(log: TrainingLog) -> list[Panel]:
    """Inertia by epoch, for each head and view."""
    lines = {
        label: Line(sorted(found), [found[epoch].inertia for epoch in sorted(found)])
        for label, found in log.clusterings.items()
    }
    title = 'inertia of the clusterings'
    return [Panel(title, 'epoch', 'mean squared distance', lines)] if lines else []


def _score_panels(scores: dict[int, dict[str, float]]) -> list[Panel]:
    """Scores by epoch, for each view that predicts."""
    lines = {}
    names = {name for of_epoch in scores.values() for name in of_epoch}
    for prefix in ['', *sorted({match[0] for match in map(_VIEW.match, names) if match})]:
        for name in DRAWN:
            epochs = [epoch for epoch in sorted(scores) if prefix + name in scores[epoch]]
            if epochs:
                values = [scores[epoch][prefix + name] for epoch in epochs]
                lines[f'{prefix}{name}'] = Line(epochs, values)
    return [Panel('scores of the validation', 'epoch', '%', lines)] if lines else []


def _size_panel(label: str, found: dict[int, Clustered]) -> Panel:
    """Quantiles of cluster sizes by epoch, as clusters of two epochs are not the same ones."""
    epochs = sorted(found)
    shares = [100 * found[epoch].shares for epoch in epochs]
    lines = {
        name: Line(epochs, [np.quantile(values, level) for values in shares])
        for name, level in _SIZES.items()
    }
    lines['smallest'] = Line(epochs, [values.min() for values in shares])
    empty = int((shares[-1] == 0).sum())
    title = f'{label}: {len(shares[-1])} centroids, {empty} empty in epoch {epochs[-1]}'
    return Panel(title, 'epoch', 'share of all pixels in %', lines)
