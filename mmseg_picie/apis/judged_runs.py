"""Runs that were judged without labels: agreement of seeds, rank correlations, and a choice."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prettytable import PrettyTable, TableStyle

from ..whole_files import write_whole
from .json_files import write_json
from .judgement import rand_index
from .seed_runs import CLUSTERS_FILE

#: The figure that chooses a seed. docs/recipes.md says what it is worth.
CHOOSING = 'silhouette'


def judge_rows(
    rows: Mapping[str, Mapping[int, Mapping]], folders: Mapping[str, Mapping[int, Path]]
) -> dict[str, dict[int, dict[str, float]]]:
    """Figures of all judged runs, and how far the seeds of a row agree.

    Args:
        rows (Mapping): by the name of a row and seed, as of :func:`.seed_runs.run_once`.
        folders (Mapping): their work folders.

    Returns:
        dict: by row and seed the figures of :func:`.judgement.judge`; ``seed agreement``, the mean
            adjusted Rand index of a run's clusters and those of the row's other seeds; and
            ``mIoU`` in percent, if that is known.
    """
    judged = {}
    for name, by_seed in folders.items():
        runs = {
            seed: rows[name][seed] for seed in by_seed if 'judgement' in rows[name].get(seed, {})
        }
        clusters = {seed: _read_clusters(by_seed[seed] / CLUSTERS_FILE) for seed in runs}
        judged[name] = {
            seed: {
                key: float('nan') if value is None else value
                for key, value in run['judgement'].items()
            }
            | {'seed agreement': _agree(seed, clusters)}
            | {key: run['metrics'][key] for key in ('mIoU',) if key in run['metrics']}
            for seed, run in runs.items()
        }
    return judged


def _read_clusters(path: Path) -> NDArray:
    """Clusters that `picie judge` has written.

    Raises:
        ValueError: If the file is broken.
    """
    try:
        return np.load(path)
    except (EOFError, ValueError) as error:
        raise ValueError(
            f'{path} must hold the clusters of a judgement, but cannot be read ({error}); remove '
            'it, and it is made again.'
        ) from error


def _agree(seed: int, clusters: Mapping[int, Any]) -> float:
    """Mean agreement of a seed with the others; NaN if it is alone."""
    found = [rand_index(clusters[seed], other) for key, other in clusters.items() if key != seed]
    return float(np.mean(found)) if found else float('nan')


def correlate(
    judged: Mapping[str, Mapping[int, Mapping[str, float]]],
) -> dict[str, dict[str, float]]:
    """Spearman's rank correlation of each figure with mIoU.

    Args:
        judged (Mapping): of :func:`judge_rows`.

    Returns:
        dict[str, dict[str, float]]: by figure ``all``, over all runs, and ``within``, the mean over
            rows of those over their seeds: what a choice among seeds can go by. NaN where there
            are fewer than three runs or nothing differs.
    """
    figures = _figures(judged)
    everything = [run for by_seed in judged.values() for run in by_seed.values()]
    found = {}
    for figure in figures:
        within = [_spearman(list(by_seed.values()), figure) for by_seed in judged.values()]
        known = [value for value in within if not np.isnan(value)]
        found[figure] = dict(
            all=_spearman(everything, figure),
            within=float(np.mean(known)) if known else float('nan'),
        )
    return found


def _spearman(runs: Sequence[Mapping[str, float]], figure: str) -> float:
    from scipy.stats import spearmanr

    pairs = [(run[figure], run['mIoU']) for run in runs if figure in run and 'mIoU' in run]
    pairs = [pair for pair in pairs if not np.isnan(pair).any()]
    first, second = zip(*pairs, strict=True) if pairs else ((), ())
    if len(set(first)) < 2 or len(set(second)) < 2 or len(pairs) < 3:
        return float('nan')
    return float(spearmanr(first, second).statistic)


def pick(judged: Mapping[str, Mapping[int, Mapping[str, float]]], figure: str = CHOOSING) -> dict:
    """Choose of each row the seed with the largest figure.

    Args:
        judged (Mapping): of :func:`judge_rows`.
        figure (str): which one.

    Returns:
        dict: by row ``seed``, and, if mIoU is known, ``mIoU`` of it, its ``gain`` over the mean
            seed and its ``loss`` to the best one. Rows without the figure, or with the same one
            of all seeds, are left out.
    """
    chosen: dict[str, dict[str, Any]] = {}
    for name, by_seed in judged.items():
        known = {s: run for s, run in by_seed.items() if not np.isnan(run.get(figure, np.nan))}
        found = [run[figure] for run in known.values()]
        if not found or (len(found) > 1 and np.ptp(found) == 0):  # it prefers none
            continue
        seed = max(known, key=lambda key: known[key][figure])
        chosen[name] = dict(seed=seed)
        scores = [run['mIoU'] for run in by_seed.values() if 'mIoU' in run]
        if 'mIoU' in known[seed] and scores:
            mine = known[seed]['mIoU']
            chosen[name] |= dict(
                mIoU=mine, gain=mine - float(np.mean(scores)), loss=max(scores) - mine
            )
    return chosen


def write_judgement(
    folder: Path, judged: Mapping[str, Mapping[int, Mapping[str, float]]]
) -> tuple[str, dict[str, dict]]:
    """Write all figures, their correlations with mIoU and the choice, as judgement.json and .md.

    Args:
        folder (Path): where to.
        judged (Mapping): of :func:`judge_rows`.

    Returns:
        tuple[str, dict]: the tables, and the choice of :func:`pick`.
    """
    correlations = correlate(judged)
    choices = {figure: pick(judged, figure) for figure in _figures(judged)}
    content = dict(runs=judged, correlations=correlations, choices=choices)
    write_json(folder / 'judgement.json', content)
    text = '\n\n'.join([_runs_table(judged), _figures_table(correlations, choices)])
    write_whole(folder / 'judgement.md', text + '\n')
    return text, choices.get(CHOOSING, {})


def _figures(judged: Mapping[str, Mapping[int, Mapping[str, float]]]) -> list[str]:
    names = [key for by_seed in judged.values() for run in by_seed.values() for key in run]
    return [name for name in dict.fromkeys(names) if name != 'mIoU']


def _runs_table(judged: Mapping[str, Mapping[int, Mapping[str, float]]]) -> str:
    """A line a run."""
    figures = _figures(judged)
    table = _table(['run', 'seed', *figures, 'mIoU'])
    for name, by_seed in judged.items():
        for seed, run in by_seed.items():
            cells = [_cell(run.get(figure), 3) for figure in figures]
            table.add_row([name, seed, *cells, _cell(run.get('mIoU'), 2)])
    return table.get_string()


def _figures_table(
    correlations: Mapping[str, Mapping[str, float]], choices: Mapping[str, Mapping[str, Mapping]]
) -> str:
    """A line a figure: what it is worth."""
    names = ['rank correlation with mIoU, all runs', 'within rows', 'gain on the mean seed']
    table = _table(['figure', *names, 'loss to the best seed'])
    for figure, found in correlations.items():
        rows = [row for row in choices[figure].values() if 'gain' in row]
        means = [
            float(np.mean([row[key] for row in rows])) if rows else None for key in ('gain', 'loss')
        ]
        cells = [_cell(found[key], 2) for key in ('all', 'within')]
        table.add_row([figure, *cells, *(_cell(value, 2) for value in means)])
    return table.get_string()


def _table(names: list[str]) -> PrettyTable:
    table = PrettyTable(names)
    table.set_style(TableStyle.MARKDOWN)
    table.align = 'l'
    return table


def _cell(value: float | None, digits: int) -> str:
    return '' if value is None or np.isnan(value) else f'{value:.{digits}f}'
