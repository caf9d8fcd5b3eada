"""One process and several ranks (gloo or nccl) on the same data: python benchmarks/ddp.py CONFIG.

Every number of ranks runs in turn, with the same global batches and the same number of threads in
total. Compared are the centroids of the first clustering and the scores that they give before any
training, when all weights are still the same, and the wall time of the epochs. After training, the
weights differ with the batches that the norms of a rank see; the last columns say by how much the
scores do, and whether all ranks hold the same state.
"""

from __future__ import annotations

import copy
import json
import os
import socket
import statistics
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import common
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import all_gather
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmseg_picie.apis.json_files import write_json


def main(argv: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = common.make_parser(__doc__, repeats=1)
    common.add_config(parser)
    parser.add_argument('--ranks', type=common.positive, nargs='+', default=[1, 2])
    parser.add_argument('--epochs', type=common.positive, default=2, help='the last is timed')
    parser.add_argument('--threads', type=common.positive, help='of all ranks (default: cores)')
    args = parser.parse_args(argv)
    epochs, threads = 1 if args.quick else args.epochs, args.threads or os.cpu_count() or 1

    def make_ways(config: Config) -> dict[str, partial]:
        size = config.train_dataloader.batch_size
        if any(size % ranks for ranks in args.ranks):
            parser.error(
                'argument --ranks: must divide train_dataloader.batch_size, but got '
                f'{args.ranks} for {size}'
            )
        return {
            str(ranks): partial(run_ranks, config, ranks, epochs, threads // ranks)
            for ranks in args.ranks
        }

    common.compare(args, make_ways, make_rows)


def run_ranks(config: Config, ranks: int, epochs: int, threads: int) -> dict[str, Any]:
    """Train on some ranks; what rank 0 wrote down."""
    config = copy.deepcopy(config)
    config.train_dataloader.batch_size //= ranks
    os.environ['OMP_NUM_THREADS'] = str(max(1, threads))  # which the ranks inherit
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, 'found.json')
        torch.multiprocessing.spawn(run_rank, (ranks, config, epochs, port, out), nprocs=ranks)
        return json.loads(out.read_text())


def run_rank(rank: int, ranks: int, config: Config, epochs: int, port: int, out: Path) -> None:
    """One rank of a run."""
    common.silence()
    if ranks > 1:
        config.launcher = 'pytorch'
        join(rank, ranks, config, port)
    watch = Watch()
    times = common.train(config, epochs, lambda runner: runner.register_hook(watch, priority=100))
    if rank == 0:
        write_json(out, dict(watch.found, threads=torch.get_num_threads(), epochs=times))
    if ranks > 1:
        dist.barrier()
        dist.destroy_process_group()


def join(rank: int, ranks: int, config: Config, port: int) -> None:
    """Say what mmengine needs to start the process group; on a CPU, start it."""
    address = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), LOCAL_RANK=str(rank))
    os.environ.update(address, RANK=str(rank), WORLD_SIZE=str(ranks))
    if not torch.cuda.is_available():  # mmengine's own start would call CUDA
        dist.init_process_group('gloo')
        config.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=config.get('find_unused_parameters', False),
        )


class Watch(Hook):
    """Keeps the first centroids and their scores, the last scores, and how far ranks are apart."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def before_train_epoch(self, runner: Runner) -> None:
        """Keep the centroids and validate, once; the time counts as evaluation."""
        if 'centroids' in self.found:
            return
        self.found['centroids'] = _unwrap(runner).decode_head.centroids.tolist()
        if runner.val_loop is not None:
            runner.val_loop.run()
        self.found['first_scores'] = self.found.get('last_scores')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Keep the scores."""
        self.found['last_scores'] = dict(metrics or {})

    def after_train(self, runner: Runner) -> None:
        """Find the largest difference between ranks of any parameter and of any buffer."""
        model = _unwrap(runner)
        for kind, tensors in (('parameters', model.parameters()), ('buffers', model.buffers())):
            copies = (torch.stack(all_gather(tensor.detach().double())) for tensor in tensors)
            apart = [(stack - stack[0]).abs().max().item() for stack in copies if stack.numel()]
            self.found[kind] = max(apart, default=0.0)


def _unwrap(runner: Runner) -> torch.nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def make_rows(found: dict[str, list[dict]]) -> list[dict[str, Any]]:
    """One row for each number of ranks, compared with the first."""
    seconds = {
        name: [sum(run['epochs'][-1].values()) for run in runs] for name, runs in found.items()
    }
    first = next(iter(found))
    reference = found[first][0]
    rows = []
    for name, (run, *_) in found.items():
        centroids = torch.tensor(run['centroids']) - torch.tensor(reference['centroids'])
        rows.append(
            dict(
                ranks=int(name),
                threads_per_rank=run['threads'],
                epoch_seconds=statistics.median(seconds[name]),
                times_faster=statistics.median(common.round_ratios(seconds[first], seconds[name])),
                centroid_difference=centroids.abs().max().item(),
                score_difference=_difference(run['first_scores'], reference['first_scores']),
                trained_score_difference=_difference(run['last_scores'], reference['last_scores']),
                parameters_between_ranks=run['parameters'],
                buffers_between_ranks=run['buffers'],
            )
        )
    return rows


def _difference(scores: dict | None, others: dict | None) -> float | None:
    """Largest difference of a score in points; None without validation."""
    if not scores or not others:
        return None
    known = [key for key in scores if None not in (scores[key], others[key])]
    return max(abs(scores[key] - others[key]) for key in known)


if __name__ == '__main__':
    main()
