"""mIoU over the share of images whose labels were used."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..printing import printable
from .figures import open_figure


def draw_label_study(path: str | Path, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Draw mIoU against the fraction of labels, a line an initialisation.

    Args:
        path (str or Path): PNG to write.
        rows (Sequence[Mapping]): of :func:`...apis.label_study.summarise`.
        title (str): what was studied.
    """
    with open_figure(path, (6, 4), title, dpi=150) as figure:
        axes = figure.subplots()
        for init in dict.fromkeys(row['init'] for row in rows):
            own = sorted((r for r in rows if r['init'] == init), key=lambda row: row['fraction'])
            percent = [100 * row['fraction'] for row in own]
            means, spread = [r['mean'] for r in own], [row['std'] or 0 for row in own]
            label = printable(init)
            axes.errorbar(percent, means, spread, marker='o', capsize=3, label=label)
        ticks = sorted({100 * row['fraction'] for row in rows})
        axes.set_xscale('log')
        axes.set_xticks(ticks, [f'{tick:g}' for tick in ticks])
        axes.minorticks_off()
        axes.set(xlabel='labelled images (%)', ylabel='mIoU (%), mean and std')
        axes.grid(alpha=0.3)
        axes.legend(title='start')
