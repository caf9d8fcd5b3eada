"""Figures over the number of clusters, and the number that is advised."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from .figures import open_figure


def draw_cluster_numbers(
    path: str | Path, table: Sequence[Mapping[str, float]], advised: int, title: str
) -> None:
    """Draw each figure over the number of clusters, with a line at the advised one.

    Args:
        path (str or Path): PNG to write.
        table (Sequence[Mapping]): a row a number ``K``, with the same figures in all rows; NaN is
            left out.
        advised (int): the number to mark.
        title (str): what was looked at.
    """
    names = [name for name in table[0] if name != 'K']
    size = (3.4 * len(names), 3.6)
    with open_figure(path, size, f'How many clusters? {title}') as figure:
        plots = figure.subplots(1, len(names), squeeze=False)[0]
        numbers = [row['K'] for row in table]
        for plot, name in zip(plots, names, strict=True):
            plot.plot(numbers, [row[name] for row in table], marker='o', markersize=4)
            plot.axvline(advised, color='black', linestyle='--', label=f'advised: {advised}')
            plot.set(xlabel='number of clusters K', ylabel=name)
            plot.xaxis.get_major_locator().set_params(integer=True)
            plot.grid(alpha=0.3)
        plots[0].legend(fontsize='small')
