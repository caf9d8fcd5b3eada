"""Plots of runs that were compared, from what the runs have written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..clustering import class_scores, to_class_confusion
from ..engine.hooks.cluster_to_class_hook import COUNTS_FILE
from ..visualization.score_plots import draw_class_scores, draw_confusion, draw_curves
from .json_files import read_json
from .score_logs import read_curves

#: Scores that are drawn over epochs.
DRAWN = ('aAcc', 'mIoU')


def plot_runs(out: Path, folders: Mapping[str, Mapping[int, Path]]) -> list[Path]:
    """Draw curves over epochs, IoU per class, and clusters against classes.

    Args:
        out (Path): folder to write to.
        folders (Mapping): work folders of finished runs, by the stem of the config and by seed.

    Returns:
        list[Path]: files that were written: ``curves.png``; for each list of classes
            ``class_iou.png`` (a second list has ``class_iou_2.png``); for each row the confusion of
            its first seed, ``confusion_ROW.png``.

    Raises:
        ValueError: If a file of a run is broken.
    """
    curves = {
        name: {seed: read_curves(folder) for seed, folder in by_seed.items()}
        for name, by_seed in folders.items()
    }
    epochs = {
        name: sorted({epoch for of_seed in by_seed.values() for epoch in of_seed})
        for name, by_seed in curves.items()
    }
    written = [out / 'curves.png']
    tables = {
        name: {score: _tabulate(by_seed, epochs[name], score) for score in DRAWN}
        for name, by_seed in curves.items()
    }
    draw_curves(written[0], epochs, tables)
    by_classes: dict[tuple[str, ...], dict[str, NDArray]] = {}
    for name, by_seed in folders.items():
        found = {
            seed: read_counts(path)
            for seed, folder in by_seed.items()
            if (path := folder / COUNTS_FILE).is_file()
        }
        if not found:  # runs of an earlier version
            continue
        first = next(iter(found))
        path = out / f'confusion_{name}.png'
        draw_confusion(path, *found[first], title=f'{name}, seed {first}')
        written.append(path)
        ious = [
            class_scores(to_class_confusion(counts, match)).iou
            for _, counts, match in found.values()
        ]
        by_classes.setdefault(tuple(found[first][0]), {})[name] = _mean(np.stack(ious))
    for number, (classes, rows) in enumerate(by_classes.items(), 1):
        path = out / ('class_iou.png' if number == 1 else f'class_iou_{number}.png')
        draw_class_scores(path, classes, rows)
        written.append(path)
    return written


def read_counts(path: Path) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """What the last validation of a run counted, for the first view that predicts.

    Args:
        path (Path): ``last_validation.json`` of its work folder.

    Returns:
        tuple: names of C classes, (C, K) pixels, and (K,) matched classes.

    Raises:
        ValueError: If the file holds something else.
    """
    content = read_json(path)
    try:
        classes = [str(name) for name in content['classes']]
        counts = np.array(content['confusions'], np.int64)[0]
        match = np.array(content['cluster_to_class'], np.int64)[0]
        fits = counts.shape == (len(classes), len(match)) and match.max() < len(classes)
    except (IndexError, KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(
            f'{path} must hold the counts of a validation, but does not; remove the folder of this '
            'run, and it is made again.'
        )
    return classes, counts, match


def _tabulate(by_seed: Mapping[int, dict[int, dict]], epochs: list[int], score: str) -> NDArray:
    """(seeds, epochs) values of a score, NaN where there is none."""
    rows: list[list[Any]] = [
        [of_seed.get(epoch, {}).get(score, np.nan) for epoch in epochs]
        for of_seed in by_seed.values()
    ]
    return np.array(rows, float).reshape(len(rows), len(epochs))


def _mean(values: NDArray) -> NDArray:
    """Mean over seeds, of classes that occur."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(0)
    return np.where(known.any(0), total / known.sum(0).clip(1), np.nan)
