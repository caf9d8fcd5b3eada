"""One process and several ranks (gloo or nccl) on the same data: python benchmarks/ddp.py CONFIG.

Every number of ranks runs in turn, with the same global batches and the same number of threads in
total, or on each rank with --threads-per-rank. Compared are the centroids of the first clustering
and the scores that they give before any training, when all weights are still the same, and the wall
time of the epochs and of their clustering. The bytes are what a rank hands over in the first
clustering: points for the initial fit, gathered on rank 0, and sums and centroids of the updates,
which all ranks get. After training, the weights differ with the batches that the norms of a rank
see; the last columns say by how much the scores do, and whether all ranks hold the same state.
"""

from __future__ import annotations

import copy
import json
import os
import socket
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import common
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import all_gather
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmseg_picie.acceleration.loading import count_cores
from mmseg_picie.apis.json_files import write_json
from mmseg_picie.engine import distributed


def main(argv: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = common.make_parser(__doc__, repeats=1)
    common.add_config(parser)
    parser.add_argument('--ranks', type=common.positive, nargs='+', default=[1, 2])
    parser.add_argument('--epochs', type=common.positive, default=2, help='the last is timed')
    group = parser.add_mutually_exclusive_group()
    group.add_argument('--threads', type=common.positive, help='of all ranks (default: cores)')
    group.add_argument('--threads-per-rank', type=common.positive)
    args = parser.parse_args(argv)
    epochs, threads = 1 if args.quick else args.epochs, args.threads or count_cores()

    def make_ways(config: Config) -> dict[str, partial]:
        size = config.train_dataloader.batch_size
        if any(size % ranks for ranks in args.ranks):
            parser.error(
                'argument --ranks: must divide train_dataloader.batch_size, but got '
                f'{args.ranks} for {size}'
            )
        return {
            str(ranks): partial(
                run_ranks, config, ranks, epochs, args.threads_per_rank or threads // ranks
            )
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
    watch = Watch(Traffic())
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


class Traffic:
    """Counts the bytes that this rank hands over while clusters are found, by the collective."""

    def __init__(self) -> None:
        self.bytes: dict[str, int] = Counter()
        for name in ('all_reduce', 'broadcast', 'gather'):
            setattr(distributed, name, partial(self._count, name, getattr(distributed, name)))

    def _count(self, name: str, function: Callable[..., Any], tensor: Tensor) -> Any:
        if dist.is_initialized():
            self.bytes[name] += tensor.numel() * tensor.element_size()
        return function(tensor)


class Watch(Hook):
    """Keeps the first centroids and their scores, the last scores, and how far ranks are apart.

    Args:
        traffic: Since the start of the run.
    """

    def __init__(self, traffic: Traffic) -> None:
        self.found: dict[str, Any] = {}
        self._traffic = traffic

    def before_train_epoch(self, runner: Runner) -> None:
        """Keep the centroids and validate, once; the time counts as evaluation."""
        if 'centroids' in self.found:
            return
        self.found['bytes'] = dict(self._traffic.bytes)
        self.found['centroids'] = distributed.unwrap_model(runner).decode_head.centroids.tolist()
        if runner.val_loop is not None:
            runner.val_loop.run()
        self.found['first_scores'] = self.found.get('last_scores')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Keep the scores."""
        self.found['last_scores'] = dict(metrics or {})

    def after_train(self, runner: Runner) -> None:
        """Find the largest difference between ranks of any parameter and of any buffer."""
        model = distributed.unwrap_model(runner)
        for kind, tensors in (('parameters', model.parameters()), ('buffers', model.buffers())):
            copies = (torch.stack(all_gather(tensor.detach().double())) for tensor in tensors)
            apart = [(stack - stack[0]).abs().max().item() for stack in copies if stack.numel()]
            self.found[kind] = max(apart, default=0.0)


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
                clustering_seconds=statistics.median(
                    each['epochs'][-1]['clustering'] for each in found[name]
                ),
                bytes_for_initial_fit=run['bytes'].get('gather', 0),
                bytes_for_updates=sum(
                    run['bytes'].get(key, 0) for key in ('all_reduce', 'broadcast')
                ),
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
