"""One process and several ranks (gloo or nccl) on the same data: python benchmarks/ddp.py CONFIG.

Every number of ranks runs in turn, with the same global batches and the same number of threads in
total, as torchrun would start it. Compared are the centroids of the first clustering and the scores
that they give before any training, when all weights are still the same, and the wall time of the
epochs. After training, the weights differ with the batches that the norms of a rank see; the last
columns say by how much the scores do, and whether all ranks hold the same state.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_gather, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from report import add_output, make_header, publish
from run_config import add_sizes, set_run, set_sizes, set_workers
from start import choose_environment
from timers import EpochTimer

from mmseg_picie.engine import cli
from mmseg_picie.engine.json_files import write_json


def main(argv: Sequence[str] | None = None) -> dict[str, Any] | None:
    """Measure as the command line says.

    Args:
        argv: Words of the command line; None takes those of this process.

    Returns:
        The content of the JSON file.
    """
    args = parse_arguments(argv)
    if args.child:
        run_child(args.parser, Config.fromfile(args.config), args.child)
        return None
    config = cli.read_config(args.parser, args)
    set_sizes(config, args.sizes)
    set_workers(config, args.workers)
    size = config.train_dataloader.batch_size
    if any(size % ranks for ranks in args.ranks):
        args.parser.error(
            f'argument --ranks: must divide train_dataloader.batch_size, but got {args.ranks} for '
            f'{size}'
        )
    header = make_header((config.get('randomness') or {}).get('seed', 0))
    found: dict[int, list[dict]] = {ranks: [] for ranks in args.ranks}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.repeats):
            for ranks in args.ranks:
                found[ranks].append(call_children(config, ranks, args, Path(folder)))
    return publish(header, make_rows(found), args.out, repetitions=found)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; `parser` of the result reports later mistakes."""
    parser = argparse.ArgumentParser(description='Compare several ranks with one process.')
    parser.add_argument('config', help='config file of a PiCIE training')
    parser.add_argument('--ranks', type=int, nargs='+', default=[1, 2], help='(default: 1 2)')
    parser.add_argument(
        '--epochs', type=int, default=2, help='of which the last is timed (default: 2)'
    )
    parser.add_argument('--repeats', type=int, default=1, help='(default: %(default)s)')
    parser.add_argument(
        '--threads', type=int, help='of all ranks together (default: as many as cores)'
    )
    parser.add_argument('--workers', type=int, help="of the loaders (default: the config's own)")
    add_sizes(parser)
    add_output(parser, quick='one epoch, to try it out')
    parser.add_argument('--child', help=argparse.SUPPRESS)
    cli.add_cfg_options(parser)
    args = cli.parse_args(parser, argv)
    args.parser = parser
    if args.quick:
        args.epochs, args.repeats, args.workers = 1, 1, 0
    for name, value in (
        ('ranks', min(args.ranks)),
        ('epochs', args.epochs),
        ('repeats', args.repeats),
    ):
        if value < 1:
            parser.error(f'argument --{name}: must be at least 1, but got {value}')
    args.threads = args.threads or os.cpu_count() or 1
    return args


def call_children(
    config: Config, ranks: int, args: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """Train on some ranks; what rank 0 wrote down."""
    config = copy.deepcopy(config)
    set_run(config, folder, args.epochs, None)
    config.train_dataloader.batch_size //= ranks
    config.launcher = 'none' if ranks == 1 else 'pytorch'
    path, out = folder / 'config.py', folder / 'found.json'
    config.dump(str(path))
    command = [sys.executable]
    if ranks > 1:
        command += ['-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={ranks}']
    command += [__file__, str(path), '--child', str(out)]
    threads = {'OMP_NUM_THREADS': str(max(1, args.threads // ranks))}
    environment = os.environ | choose_environment() | threads
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        raise SystemExit(f'the run on {ranks} ranks failed:\n{result.stderr[-6000:]}')
    return json.loads(out.read_text())


def run_child(parser: argparse.ArgumentParser, config: Config, out: str) -> None:
    """One rank of a run."""
    cli.prepare_launcher(parser, config)
    timer = EpochTimer()
    check = FirstClustering(timer)
    with timer.waiting():
        runner = cli.build_runner(config)
        timer.attach(runner)
        runner.register_hook(check, priority=100)
        runner.train()
    spread = rank_spread(runner)
    if get_rank() == 0:
        content = dict(
            threads=torch.get_num_threads(),
            world_size=get_world_size(),
            epochs=timer.records,
            centroids=check.centroids,
            first_scores=check.first_scores,
            last_scores=check.last_scores,
            rank_spread=spread,
        )
        write_json(out, content)
    cli.leave_process_group()


class FirstClustering(Hook):
    """Keeps the first centroids and the scores that they give before any training.

    Args:
        timer: Which does not count the validation that this takes.
    """

    def __init__(self, timer: EpochTimer) -> None:
        self._timer = timer
        self.centroids: list | None = None
        self.first_scores: dict[str, float] | None = None
        self.last_scores: dict[str, float] | None = None

    def before_train_epoch(self, runner: Runner) -> None:
        """Keep the centroids and validate, once."""
        if self.centroids is not None:
            return
        self._timer.pause()
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.centroids = model.decode_head.centroids.tolist()
        if runner.val_loop is not None:
            runner.val_loop.run()
            self.first_scores = self.last_scores
        self._timer.go_on('training')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Keep the scores."""
        self.last_scores = dict(metrics or {})


def rank_spread(runner: Runner) -> dict[str, float]:
    """Largest difference between ranks of any parameter and of any buffer."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    spread = {}
    for kind, tensors in (('parameters', model.parameters()), ('buffers', model.buffers())):
        worst = 0.0
        for tensor in tensors:
            copies = torch.stack(all_gather(tensor.detach().double().contiguous()))
            worst = max(worst, float((copies - copies[0]).abs().max()) if copies.numel() else 0.0)
        spread[kind] = worst
    return spread


def make_rows(found: dict[int, list[dict]]) -> list[dict[str, Any]]:
    """One row for each number of ranks, compared with the first."""
    reference = next(iter(found.values()))[0]
    rows = []
    for ranks, runs in found.items():
        seconds = [run['epochs'][-1]['whole'] for run in runs]
        first = runs[0]
        rows.append(
            dict(
                ranks=ranks,
                threads_per_rank=first['threads'],
                epoch_seconds=statistics.median(seconds),
                clustering_seconds=statistics.median(
                    [run['epochs'][-1]['clustering'] for run in runs]
                ),
                training_seconds=statistics.median([run['epochs'][-1]['training'] for run in runs]),
                centroid_difference=_difference(first['centroids'], reference['centroids']),
                score_difference=_score_difference(first, reference, 'first_scores'),
                trained_score_difference=_score_difference(first, reference, 'last_scores'),
                parameters_between_ranks=first['rank_spread']['parameters'],
                buffers_between_ranks=first['rank_spread']['buffers'],
            )
        )
    times = [row['epoch_seconds'] for row in rows]
    for row, seconds in zip(rows, times, strict=True):
        row['times_faster'] = times[0] / seconds
    return rows


def _difference(first: list, second: list) -> float:
    return float((torch.tensor(first) - torch.tensor(second)).abs().max())


def _score_difference(run: dict, reference: dict, name: str) -> float | None:
    """Largest difference of a score in points; None without validation."""
    scores, others = run[name], reference[name]
    if not scores or not others:
        return None
    return max(
        abs(scores[key] - others[key])
        for key in scores
        if scores[key] is not None and others[key] is not None
    )


if __name__ == '__main__':
    main()
