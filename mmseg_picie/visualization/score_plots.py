"""Plots of scores: curves over epochs, IoU per class, clusters against classes."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..clustering import UNMATCHED
from ..whole_files import write_whole

#: Of a row of runs: for each score the values of its seeds, (seeds, epochs), NaN where there is
#: none.
Curves = Mapping[str, NDArray]


def draw_curves(
    path: str | Path, epochs: Mapping[str, Sequence[int]], rows: Mapping[str, Curves]
) -> None:
    """Draw scores over epochs: means over seeds, in a band from the lowest seed to the highest.

    Args:
        path (str or Path): PNG to write.
        epochs (Mapping[str, Sequence[int]]): by row, the epochs that were scored.
        rows (Mapping[str, Curves]): by row, percent.
    """
    from matplotlib.figure import Figure  # takes half a second

    names = list(dict.fromkeys(name for curves in rows.values() for name in curves))
    figure = Figure(figsize=(5.5 * len(names), 4.2), layout='constrained')
    plots = figure.subplots(1, len(names), squeeze=False)[0]
    for plot, name in zip(plots, names, strict=True):
        for label, curves in rows.items():
            if name not in curves:
                continue
            values = np.ma.masked_invalid(curves[name])
            (line,) = plot.plot(epochs[label], values.mean(0), marker='o', label=label)
            plot.fill_between(
                epochs[label], values.min(0), values.max(0), color=line.get_color(), alpha=0.15
            )
        plot.set(xlabel='epoch', ylabel=f'{name} in %')
        plot.xaxis.get_major_locator().set_params(integer=True)
        plot.grid(alpha=0.3)
    plots[0].legend(fontsize='small')
    _save(path, figure)


def draw_class_scores(
    path: str | Path, classes: Sequence[str], rows: Mapping[str, NDArray]
) -> None:
    """Draw a table of IoU: a line a row, a column a class.

    Args:
        path (str or Path): PNG to write.
        classes (Sequence[str]): names of C classes.
        rows (Mapping[str, NDArray]): by row (C,) fractions, NaN for a class that does not occur.
    """
    values = 100 * np.stack(list(rows.values()))
    _draw_table(path, values, list(rows), classes, 'IoU in %', top=max(1.0, np.nanmax(values)))


def draw_confusion(
    path: str | Path,
    classes: Sequence[str],
    confusion: NDArray,
    cluster_to_class: NDArray,
    title: str,
) -> None:
    """Draw what each class is made of: a line a class, a column a cluster.

    Clusters are in the order of the classes that they are matched to, so what is right lies on the
    diagonal; those without a class come last.

    Args:
        path (str or Path): PNG to write.
        classes (Sequence[str]): names of C classes.
        confusion (NDArray): (C, K) pixels.
        cluster_to_class (NDArray): (K,) matched class, -1 for none.
        title (str): above the plot.
    """
    matched = np.where(cluster_to_class == UNMATCHED, len(classes), cluster_to_class)
    order = np.argsort(matched, kind='stable')
    shares = 100 * confusion / confusion.sum(1, keepdims=True).clip(1)
    columns = [
        f'{k}' if cluster_to_class[k] == UNMATCHED else f'{k}: {classes[cluster_to_class[k]]}'
        for k in order
    ]
    label = 'share of the class in %'
    _draw_table(path, shares[:, order], classes, columns, label, top=100, title=title)


def _draw_table(
    path: str | Path,
    values: NDArray,
    lines: Sequence[str],
    columns: Sequence[str],
    label: str,
    top: float,
    title: str = '',
) -> None:
    """Numbers in cells whose colour tells how large they are."""
    from matplotlib.figure import Figure

    height, width = values.shape
    figure = Figure(figsize=(3 + 0.45 * width, 1.8 + 0.32 * height), layout='constrained')
    plot = figure.subplots()
    image = plot.imshow(values, cmap='viridis', vmin=0, vmax=top, aspect='auto')
    for (y, x), value in np.ndenumerate(values):
        if value >= 0.5:
            colour = 'white' if value < top / 2 else 'black'
            plot.text(x, y, f'{value:.0f}', ha='center', va='center', color=colour, fontsize=7)
    plot.set_xticks(range(width), columns, rotation=90, fontsize=7)
    plot.set_yticks(range(height), lines, fontsize=7)
    plot.set_title(title, fontsize='medium')
    figure.colorbar(image, label=label)
    _save(path, figure)


def _save(path: str | Path, figure: Any) -> None:
    """Write a PNG, complete or not at all."""
    content = io.BytesIO()
    figure.savefig(content, format='png', dpi=110)
    write_whole(path, content.getvalue())
