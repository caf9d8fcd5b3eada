"""Plots of scores: curves, IoU per class, clusters against classes.

Lines differ by their dashes and markers, and bars by their hatches, so that plots can be read in
grey as well.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..clustering import UNMATCHED
from .figures import Paths, open_figure

#: Of a row of runs: for each score the values of its seeds, (seeds, epochs), NaN where there is
#: none.
Curves = Mapping[str, NDArray]

_DASHES = ('-', '--', '-.', ':')
_MARKERS = ('o', 's', '^', 'D', 'v', 'x', 'P')
_HATCHES = ('', '///', '...', 'xx')


class Line(NamedTuple):
    """A curve.

    Attributes:
        x (ArrayLike): (n,).
        y (ArrayLike): (n,), masked where there is no value.
        low (ArrayLike, optional): (n,) lower end of a band around it.
        high (ArrayLike, optional): upper end.
    """

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


class Panel(NamedTuple):
    """A plot of curves beside others.

    Attributes:
        title (str): above it.
        xlabel (str): what goes to the right, with its unit.
        ylabel (str): what goes up, with its unit.
        lines (Mapping[str, Line]): by label.
    """

    title: str
    xlabel: str
    ylabel: str
    lines: Mapping[str, Line]


def draw_panels(paths: Paths, panels: Sequence[Panel], title: str = '') -> None:
    """Draw plots of curves, side by side, three a row.

    Args:
        paths (Paths): files to write.
        panels (Sequence[Panel]): at least one.
        title (str): above all.
    """
    width = min(3, len(panels))
    height = -(-len(panels) // width)
    with open_figure(paths, (5.5 * width, 4.2 * height), title) as figure:
        plots = figure.subplots(height, width, squeeze=False).flatten()
        for plot in plots[len(panels) :]:
            plot.set_axis_off()
        for plot, panel in zip(plots, panels, strict=False):
            for number, (label, line) in enumerate(panel.lines.items()):
                _draw_line(plot, number, label, line)
            plot.set(xlabel=panel.xlabel, ylabel=panel.ylabel)
            plot.set_title(panel.title, fontsize='medium')
            plot.xaxis.get_major_locator().set_params(integer=True)
            plot.grid(alpha=0.3)
            plot.legend(fontsize='small')


def _draw_line(plot: Any, number: int, label: str, line: Line) -> None:
    """A line that differs from the others of its plot in grey as well."""
    x = np.asarray(line.x)
    (drawn,) = plot.plot(
        x,
        line.y,
        linestyle=_DASHES[number % len(_DASHES)],
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=4,
        markevery=max(1, len(x) // 20),
        label=label,
    )
    if line.low is not None:
        plot.fill_between(x, line.low, line.high, color=drawn.get_color(), alpha=0.15)


def draw_curves(
    path: Paths, epochs: Mapping[str, Sequence[int]], rows: Mapping[str, Curves]
) -> None:
    """Draw scores over epochs: means over seeds, in a band from the lowest seed to the highest.

    Args:
        path (Paths): files to write.
        epochs (Mapping[str, Sequence[int]]): by row, the epochs that were scored.
        rows (Mapping[str, Curves]): by row, percent.
    """
    panels = []
    for name in dict.fromkeys(name for curves in rows.values() for name in curves):
        lines = {}
        for label, curves in rows.items():
            if name in curves:
                values = np.ma.masked_invalid(curves[name])
                lines[label] = Line(epochs[label], values.mean(0), values.min(0), values.max(0))
        panels.append(Panel(f'{name} of the validation', 'epoch', f'{name} in %', lines))
    draw_panels(path, panels)


def draw_class_bars(
    paths: Paths, classes: Sequence[str], scores: Mapping[str, NDArray], title: str
) -> None:
    """Draw scores of classes as bars, a group a class.

    Args:
        paths (Paths): files to write.
        classes (Sequence[str]): names of C classes.
        scores (Mapping[str, NDArray]): by name (C,) fractions, NaN for a class that does not occur.
        title (str): above the plot.
    """
    places = np.arange(len(classes))
    thick = 0.8 / len(scores)
    with open_figure(paths, (7, 1.6 + 0.34 * len(classes)), title) as figure:
        plot = figure.subplots()
        for number, (name, values) in enumerate(scores.items()):
            bars = plot.barh(
                places + (number - (len(scores) - 1) / 2) * thick,
                np.nan_to_num(100 * values),
                thick,
                label=name,
                color=f'C{number}',
                alpha=0.75,
                edgecolor='black',
                linewidth=0.6,
                hatch=_HATCHES[number % len(_HATCHES)],
            )
            numbers = ['none' if np.isnan(value) else f'{100 * value:.0f}' for value in values]
            plot.bar_label(bars, numbers, padding=2, fontsize=7)
        plot.set_yticks(places, classes, fontsize=8)
        plot.invert_yaxis()  # the first class is on top
        plot.set(xlim=(0, 108), xlabel=f'{" and ".join(scores)} in %', ylabel='class')
        plot.grid(axis='x', alpha=0.3)
        figure.legend(loc='outside lower center', ncols=len(scores), fontsize='small')


def draw_class_scores(path: Paths, classes: Sequence[str], rows: Mapping[str, NDArray]) -> None:
    """Draw a table of IoU: a line a row, a column a class.

    Args:
        path (Paths): files to write.
        classes (Sequence[str]): names of C classes.
        rows (Mapping[str, NDArray]): by row (C,) fractions, NaN for a class that does not occur.
    """
    values = 100 * np.stack(list(rows.values()))
    _draw_table(path, values, list(rows), classes, 'IoU in %', top=max(1.0, np.nanmax(values)))


def draw_confusion(
    path: Paths,
    classes: Sequence[str],
    confusion: NDArray,
    cluster_to_class: NDArray,
    title: str,
) -> None:
    """Draw what each class is made of: a line a class, a column a cluster.

    Clusters are in the order of the classes that they are matched to, so what is right lies on the
    diagonal; those without a class come last.

    Args:
        path (Paths): files to write.
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
    axes = dict(xlabel='cluster: the class that it is matched to', ylabel='class')
    _draw_table(path, shares[:, order], classes, columns, label, 100, title, axes)


def _draw_table(
    path: Paths,
    values: NDArray,
    lines: Sequence[str],
    columns: Sequence[str],
    label: str,
    top: float,
    title: str = '',
    axes: Mapping[str, str] | None = None,
) -> None:
    """Numbers in cells whose colour tells how large they are."""
    height, width = values.shape
    with open_figure(path, (3 + 0.45 * width, 1.8 + 0.32 * height)) as figure:
        plot = figure.subplots()
        image = plot.imshow(values, cmap='viridis', vmin=0, vmax=top, aspect='auto')
        for (y, x), value in np.ndenumerate(values):
            if value >= 0.5:
                colour = 'white' if value < top / 2 else 'black'
                plot.text(x, y, f'{value:.0f}', ha='center', va='center', color=colour, fontsize=7)
        plot.set_xticks(range(width), columns, rotation=90, fontsize=7)
        plot.set_yticks(range(height), lines, fontsize=7)
        plot.set_title(title, fontsize='medium')
        plot.set(**axes or {})
        figure.colorbar(image, label=label)
