"""How scores depend on the number of labels: which images, what to run, a table and curves."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

#: Of the labelled images, by default.
FRACTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)


class Run(NamedTuple):
    """One training.

    Attributes:
        init: Name of the initialisation.
        source: Where its weights come from.
        fraction: Of the labelled images, in (0, 1].
        seed: Of everything but the choice of images.
    """

    init: str
    source: str
    fraction: float
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f'{self.init}_{100 * self.fraction:g}percent_seed{self.seed}'


def choose_images(num_images: int, fraction: float, seed: int) -> list[int]:
    """Choose the images whose labels are used.

    Args:
        num_images: Images that have labels.
        fraction: How many of them, in (0, 1]; at least one.
        seed: Of the choice. With one seed, smaller fractions are parts of larger ones.

    Returns:
        Their indices, ascending.
    """
    order = np.random.default_rng(seed).permutation(num_images)
    return sorted(order[: max(1, round(fraction * num_images))].tolist())


def summarise(results: list[tuple[Run, dict]]) -> list[dict]:
    """Mean and sample standard deviation of mIoU over seeds.

    Args:
        results: Runs and their scores.

    Returns:
        A row an initialisation and fraction, with `miou` by seed, `mean` and `std` (None of one
        seed).
    """
    rows: dict[tuple[str, float], dict] = {}
    for run, result in results:
        row = rows.setdefault(
            (run.init, run.fraction), dict(init=run.init, fraction=run.fraction, miou={})
        )
        row['num_images'] = result['num_images']
        row['miou'][run.seed] = result['metrics']['mIoU']
    for row in rows.values():
        values = list(row['miou'].values())
        row['mean'] = float(np.mean(values))
        row['std'] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return list(rows.values())


def print_table(rows: list[dict], title: str) -> None:
    """Print a line an initialisation and a column a fraction."""
    cells = {(row['init'], row['fraction']): row for row in rows}
    fractions = sorted({fraction for _, fraction in cells})
    table = Table(title=title)
    table.add_column('start')
    for fraction in fractions:
        count = next(row['num_images'] for row in rows if row['fraction'] == fraction)
        table.add_column(f'{100 * fraction:g} % ({count})', justify='right')
    for init in dict.fromkeys(init for init, _ in cells):
        words = []
        for fraction in fractions:
            row = cells[init, fraction]
            words.append(f'{row["mean"]:.2f}' + (f' ± {row["std"]:.2f}' if row['std'] else ''))
        table.add_row(init, *words)
    Console().print(table)


def draw_curves(rows: list[dict], title: str, path: Path) -> None:
    """Draw mIoU against the fraction of labels, a line an initialisation."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout='constrained')
    for init in dict.fromkeys(row['init'] for row in rows):
        own = sorted((r for r in rows if r['init'] == init), key=lambda row: row['fraction'])
        percent = [100 * row['fraction'] for row in own]
        spread = [row['std'] or 0 for row in own]
        axes.errorbar(percent, [r['mean'] for r in own], spread, marker='o', capsize=3, label=init)
    ticks = sorted({100 * row['fraction'] for row in rows})
    axes.set_xscale('log')
    axes.set_xticks(ticks, [f'{tick:g}' for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel='labelled images (%)', ylabel='mIoU (%), mean and std', title=title)
    axes.grid(alpha=0.3)
    axes.legend(title='start')
    temporary = path.with_name(f'.{path.name}.partial-{os.getpid()}')
    figure.savefig(temporary, format='png', dpi=150)
    temporary.replace(path)
    pyplot.close(figure)
