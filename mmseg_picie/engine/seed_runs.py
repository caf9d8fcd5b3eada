"""Train one config under several seeds, restartably, and sum up the scores."""

import hashlib
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmseg.registry import MODELS

from .json_files import write_json

#: Entries of a validation's log line that are no scores.
_NOT_SCORES = ('data_time', 'time', 'step')


class SeedRun(NamedTuple):
    """What to run under one seed.

    Attributes:
        config (Config): as the tools read it, without the seed.
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


class RunError(Exception):
    """A run failed; the message says which, and where its log is."""


def run_once(run: SeedRun, tools: Path, fresh: bool, baselines: bool) -> dict[str, dict]:
    """Train and score under one seed, or take the result of an earlier call.

    Args:
        run (SeedRun): what to run.
        tools (Path): folder of train.py, fit_centroids.py and baselines.py.
        fresh (bool): also score centroids fitted afresh with the last checkpoint, if the method
            has centroids.
        baselines (bool): also score k-means without training.

    Returns:
        dict[str, dict]: by row ('trained', and the names of baselines): ``metrics`` in percent and
            ``seconds`` of wall time, None where the run was interrupted and resumed.

    Raises:
        RunError: If a tool fails.
        ValueError: If the folder holds another config's result.
    """
    path = run.folder / 'result.json'
    result = _read_result(path, run)
    rows = result['rows']
    if not path.is_file():  # so that a run that is interrupted is not resumed by another config
        write_json(path, result)
    if 'trained' not in rows:
        rows['trained'] = _train(run, tools)
        write_json(path, result)
    done = any(key.startswith('fresh/') for key in rows['trained']['metrics'])
    if fresh and not done and has_centroids(run.config):
        scores = _call_for_scores(run, tools / 'fit_centroids.py', [str(_last_checkpoint(run))])
        fresh_scores = _only_scores(scores)
        rows['trained']['metrics'] |= {f'fresh/{key}': fresh_scores[key] for key in fresh_scores}
        write_json(path, result)
    if baselines and len(rows) == 1:
        started = time.perf_counter()
        scores = _call_for_scores(run, tools / 'baselines.py', [], '--out')
        seconds = time.perf_counter() - started
        for name, found in scores.items():
            rows[name] = dict(metrics=_only_scores(found), seconds=seconds)
        write_json(path, result)
    return rows


def has_centroids(config: Config) -> bool:
    """Whether the head that predicts clusters.

    Args:
        config (Config): of a training.

    Returns:
        bool: True for PiCIE and MDC, False for IIC and supervised heads.
    """
    head = MODELS.get(config.model.decode_head.type)
    return bool(getattr(head, 'needs_centroids', False))


def _read_result(path: Path, run: SeedRun) -> dict[str, Any]:
    """An earlier result of the same config, or an empty one."""
    digest = hashlib.sha256(run.config.pretty_text.encode()).hexdigest()
    if not path.is_file():
        return dict(config_sha256=digest, seed=run.seed, rows={})
    result = json.loads(path.read_text())
    if result['config_sha256'] != digest:
        raise ValueError(
            f'{path} is the result of another config than {run.config_path} is now; choose another '
            '--work-dir or remove that folder.'
        )
    return result


def _train(run: SeedRun, tools: Path) -> dict[str, Any]:
    """Train to the end, from the latest checkpoint if there is one."""
    resumed = (run.folder / 'last_checkpoint').is_file()
    started = time.perf_counter()
    _call(run, tools / 'train.py', ['--work-dir', str(run.folder), '--resume'])
    seconds = None if resumed else time.perf_counter() - started
    return dict(metrics=read_last_scores(run.folder), seconds=seconds)


def read_last_scores(folder: Path) -> dict[str, float]:
    """Scores of the last validation in a work folder.

    Args:
        folder (Path): work folder of a training with mmengine's ``LocalVisBackend``.

    Returns:
        dict[str, float]: scores by name.

    Raises:
        RunError: If there are none.
    """
    for path in sorted(folder.glob('*/vis_data/scalars.json'), reverse=True):
        entries = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        for entry in reversed(entries):
            if 'mIoU' in entry:
                return _only_scores(entry)
    raise RunError(
        f'{folder} holds no scores of a validation; the config needs val_dataloader, '
        'HungarianIoUMetric and LocalVisBackend.'
    )


def _only_scores(entry: dict[str, float | None]) -> dict[str, float]:
    """Leave out what is no score, and scores of nothing."""
    return {
        key: value
        for key, value in entry.items()
        if key not in _NOT_SCORES and value is not None and not math.isnan(value)
    }


def _last_checkpoint(run: SeedRun) -> Path:
    return Path((run.folder / 'last_checkpoint').read_text().strip())


def _call_for_scores(run: SeedRun, tool: Path, words: list[str], option: str = '--json') -> dict:
    """Scores that a tool writes."""
    path = run.folder / f'{tool.stem}.json'
    _call(run, tool, [*words, option, str(path), '--work-dir', str(run.folder / tool.stem)])
    return json.loads(path.read_text())


def _call(run: SeedRun, tool: Path, words: list[str]) -> None:
    """Run a tool under the seed; its output goes to a file."""
    run.folder.mkdir(parents=True, exist_ok=True)
    log = run.folder / f'{tool.stem}.log'
    options = ['--cfg-options', *run.overrides, f'randomness.seed={run.seed}']
    with open(log, 'a') as file:
        command = [sys.executable, str(tool), run.config_path, *words, *options]
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    if code:
        raise RunError(f'{tool.name} failed for seed {run.seed} with exit code {code}; see {log}.')


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
