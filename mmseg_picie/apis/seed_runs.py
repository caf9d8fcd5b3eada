"""Train one config under several seeds, restartably, and sum up the scores."""

import hashlib
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from prettytable import PrettyTable, TableStyle

from ..engine.checkpoint_files import POINTER
from ..models import PiCIE
from ..whole_files import write_whole
from .child_commands import MISTAKE, read_mistake, run_child
from .json_files import read_json, write_json
from .score_logs import RunError, only_scores, read_curves, read_last_scores

#: Clusters that a judgement has found, in the work folder of a seed.
CLUSTERS_FILE = 'clusters.npy'


#: Begins the names of scores of the epoch that the labels of the validation choose.
BEST = 'best-by-labels/'


class SeedRun(NamedTuple):
    """What to run under one seed.

    Attributes:
        config (Config): as the commands read it, without the seed.
        config_path (str): its file.
        overrides (tuple[str, ...]): KEY=VALUE words for ``--cfg-options``.
        seed (int): ``randomness.seed``.
        folder (Path): work folder of this seed.
    """

    config: Config
    config_path: str
    overrides: tuple[str, ...]
    seed: int
    folder: Path


def run_once(
    run: SeedRun,
    fresh: bool,
    baselines: bool,
    judgement: bool = False,
    fresh_on_val: bool = False,
) -> dict[str, dict]:
    """Train and score under one seed, or take the result of an earlier call.

    Args:
        run (SeedRun): what to run.
        fresh (bool): also score centroids fitted afresh with the last checkpoint, if the method
            has centroids.
        baselines (bool): also score k-means without training.
        judgement (bool): also judge the last checkpoint without labels.
        fresh_on_val (bool): like ``fresh``, with centroids fitted on the images of the validation.

    Returns:
        dict[str, dict]: by row ('trained', and the names of baselines): ``metrics`` in percent,
            ``seconds`` of wall time, None where the run was interrupted and resumed, and perhaps
            the figures of the ``judgement``.

    Raises:
        RunError: If a command fails.
        ValueError: If the folder holds another config's result.
    """
    path = run.folder / 'result.json'
    result = _read_result(path, run)
    rows = result['rows']
    if not path.is_file():  # so that a run that is interrupted is not resumed by another config
        write_json(path, result)
    if 'trained' not in rows:
        rows['trained'] = _train(run)
        write_json(path, result)
    wanted = {'fresh': (fresh, []), 'fresh-on-val': (fresh_on_val, ['--on-val'])}
    for name, (is_wanted, words) in wanted.items():
        done = any(key.startswith(f'{name}/') for key in rows['trained']['metrics'])
        if is_wanted and not done and has_centroids(run.config):
            scores = _call_for_scores(run, 'fit-centroids', [str(_last_checkpoint(run)), *words])
            found = {f'{name}/{key}': value for key, value in only_scores(scores).items()}
            rows['trained']['metrics'] |= found
            write_json(path, result)
    judged = 'judgement' in rows['trained'] and (run.folder / CLUSTERS_FILE).is_file()
    if judgement and not judged and is_picie(run.config):
        words = [str(_last_checkpoint(run)), '--clusters', str(run.folder / CLUSTERS_FILE)]
        rows['trained']['judgement'] = _call_for_scores(run, 'judge', words)
        write_json(path, result)
    if baselines and len(rows) == 1:
        started = time.perf_counter()
        scores = _call_for_scores(run, 'baselines', [], '--out')
        seconds = time.perf_counter() - started
        for name, found in scores.items():
            rows[name] = dict(metrics=only_scores(found), seconds=seconds)
        write_json(path, result)
    return rows


def read_best(folder: Path) -> dict[str, float]:
    """Scores of the epoch with the highest mIoU, which looks at labels; later work reports it.

    Args:
        folder (Path): work folder of a finished run.

    Returns:
        dict[str, float]: accuracy and mIoU, their names beginning with :data:`BEST`.
    """
    best = max(read_curves(folder).values(), key=lambda scores: scores['mIoU'], default={})
    return {BEST + key: best[key] for key in ('aAcc', 'mIoU') if key in best}


def has_centroids(config: Config) -> bool:
    """Whether the head that predicts clusters.

    Args:
        config (Config): of a training.

    Returns:
        bool: True for PiCIE and MDC, False for IIC and supervised heads.
    """
    return bool(getattr(find_head(config), 'needs_centroids', False))


def is_picie(config: Config) -> bool:
    """Whether its model is a PiCIE, which can be judged without labels.

    Args:
        config (Config): of a training.

    Returns:
        bool: False for a supervised model.
    """
    return issubclass(MODELS.get(config.model.type) or object, PiCIE)


def find_head(config: Config) -> type | None:
    """Find the kind of the head that predicts.

    Args:
        config (Config): of a training.

    Returns:
        type | None: its class; None if no registry knows it.
    """
    head = config.model.get('decode_head') or {}
    head = head[-1] if isinstance(head, list | tuple) else head  # of a cascade the last one
    return MODELS.get(head['type']) if head.get('type') else None


def _read_result(path: Path, run: SeedRun) -> dict[str, Any]:
    """An earlier result of the same config, or an empty one."""
    digest = hashlib.sha256(run.config.pretty_text.encode()).hexdigest()
    if not path.is_file():
        return dict(config_sha256=digest, seed=run.seed, rows={})
    result = read_json(path)
    rows = result.get('rows')
    if not isinstance(rows, dict) or not all(_is_row(row) for row in rows.values()):
        raise ValueError(
            f'{path} must hold rows with metrics and seconds, but does not; remove it, and it is '
            'made again.'
        )
    if result.get('config_sha256') != digest:
        raise ValueError(
            f'{path} is the result of another config than {run.config_path} is now; choose another '
            '--work-dir or remove that folder.'
        )
    return result


def _is_row(row: Any) -> bool:
    """Whether it is a row of a result."""
    metrics = row.get('metrics') if isinstance(row, dict) else None
    values = [*metrics.values(), row.get('seconds')] if isinstance(metrics, dict) else ['']
    judgement = row.get('judgement', {}) if isinstance(row, dict) else {}
    values += judgement.values() if isinstance(judgement, dict) else ['']
    return all(value is None or isinstance(value, int | float) for value in values)


def _train(run: SeedRun) -> dict[str, Any]:
    """Train to the end, from the latest checkpoint if there is one."""
    resumed = (run.folder / POINTER).is_file()
    started = time.perf_counter()
    _call(run, 'train', ['--work-dir', str(run.folder), '--resume'])
    seconds = None if resumed else time.perf_counter() - started
    return dict(metrics=read_last_scores(run.folder), seconds=seconds)


def _last_checkpoint(run: SeedRun) -> Path:
    return Path((run.folder / POINTER).read_text().strip())


def _call_for_scores(
    run: SeedRun, command: str, words: list[str], option: str = '--json'
) -> dict[str, Any]:
    """Scores that a command writes."""
    path = run.folder / f'{command}.json'
    _call(run, command, [*words, option, str(path), '--work-dir', str(run.folder / command)])
    return read_json(path)


def _call(run: SeedRun, command: str, words: list[str]) -> None:
    """Run a command under the seed; its output goes to a file."""
    run.folder.mkdir(parents=True, exist_ok=True)
    log = run.folder / f'{command}.log'
    options = ['--verbose', '--cfg-options', *run.overrides, f'randomness.seed={run.seed}']
    code = run_child([command, run.config_path, *words, *options], log)
    if code:
        mistake = read_mistake(log) if code == MISTAKE else ''
        raise RunError(
            f'picie {command} failed for seed {run.seed} with exit code {code}; see {log}'
            + (f': {mistake}' if mistake else '.'),
            bool(mistake),
        )


def summarise(by_seed: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation of one row over seeds.

    Args:
        by_seed (Sequence[dict]): ``metrics`` and ``seconds`` of each seed.

    Returns:
        dict: ``metrics``: by name ``mean`` and ``std`` (sample standard deviation, None for one
            seed), of those that all seeds have; ``seconds``: mean, None if no seed has it.
    """
    names = [key for key in by_seed[0]['metrics'] if all(key in s['metrics'] for s in by_seed)]
    metrics = {}
    for name in names:
        values = [seed['metrics'][name] for seed in by_seed]
        std = float(np.std(values, ddof=1)) if len(values) > 1 else None
        metrics[name] = dict(mean=float(np.mean(values)), std=std)
    seconds = [seed['seconds'] for seed in by_seed if seed['seconds'] is not None]
    return dict(metrics=metrics, seconds=float(np.mean(seconds)) if seconds else None)


def make_report(seeds: Sequence[int], rows: dict[str, dict[int, dict]]) -> dict[str, Any]:
    """Sum up all rows, with what the figures depend on.

    Args:
        seeds (Sequence[int]): that were asked for.
        rows (dict[str, dict[int, dict]]): by name and seed, as of :func:`run_once`.

    Returns:
        dict: ``seeds``, ``machine``, and of each row its summary and its runs ``by_seed``.
    """
    return dict(
        seeds=seeds,
        machine=f'{platform.machine()}, {torch.get_num_threads()} threads, torch '
        f'{torch.__version__}',
        rows={
            name: dict(summarise(list(by_seed.values())), by_seed=by_seed)
            for name, by_seed in rows.items()
        },
    )


def write_report(folder: Path, report: dict[str, Any]) -> str:
    """Write a report as seeds.json and, a table of accuracy and mIoU, as seeds.md.

    Args:
        folder (Path): where to.
        report (dict): of :func:`make_report`.

    Returns:
        str: the table.
    """
    text = _make_table(report)
    write_json(folder / 'seeds.json', report)
    write_whole(folder / 'seeds.md', text + '\n')
    return text


def _make_table(report: dict[str, Any]) -> str:
    """Mean and standard deviation of accuracy and mIoU of every row, in Markdown."""
    kept = ('aAcc', 'mIoU')
    names: list[str] = []
    for row in report['rows'].values():
        for name in row['metrics']:
            if name.rsplit('/', 1)[-1] in kept and name not in names:
                names.append(name)
    table = PrettyTable(['run', 'seeds', *names, 'minutes'])
    table.set_style(TableStyle.MARKDOWN)
    table.align = 'l'
    for label, row in report['rows'].items():
        cells = []
        for name in names:
            found = row['metrics'].get(name)
            spread = '' if not found or found['std'] is None else f' ± {found["std"]:.2f}'
            cells.append(f'{found["mean"]:.2f}{spread}' if found else '')
        minutes = '' if row['seconds'] is None else f'{row["seconds"] / 60:.1f}'
        table.add_row([label, ' '.join(map(str, row['by_seed'])), *cells, minutes])
    return table.get_string()
