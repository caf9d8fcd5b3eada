"""A training step on a machine whose cores are busy: python benchmarks/load.py CONFIG.

Times forward and backward passes of a model on random views, alone and beside processes that
compute all the time, for several settings of how long threads spin before they sleep
(`GOMP_SPINCOUNT`): `default` is OpenMP's own, `ours` is what the commands set. `ratio` is to
`default` alone, `of_fair_share` to what the cores that are left would give: with 2 cores, 2
threads and 4 other processes each core is shared by three, so the fair share is three times as
long.
"""

from __future__ import annotations

import copy
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import common
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_picie.acceleration.loading import count_cores
from mmseg_picie.acceleration.waiting import SPIN_COUNT
from mmseg_picie.views import GeometricDraw

#: Name -> GOMP_SPINCOUNT; None leaves it unset.
SETTINGS = {'default': None, 'ours': SPIN_COUNT}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = common.make_parser(__doc__)
    common.add_config(parser)
    parser.add_argument('--busy', type=common.positive, default=4, help='processes beside it')
    parser.add_argument('--steps', type=common.positive, default=5)
    parser.add_argument('--spin-counts', nargs='*', default=[], help='further settings')
    args = parser.parse_args(argv)
    if args.quick:
        args.busy, args.steps = 1, 1
    settings = SETTINGS | {count: count for count in args.spin_counts}

    def make_ways(config: Config) -> dict[str, partial]:
        return {
            f'{name}, {place}': partial(measure, config, count, busy, args.steps)
            for name, count in settings.items()
            for place, busy in (('alone', 0), ('busy', args.busy))
        }

    common.compare(args, make_ways, partial(make_rows, busy=args.busy))


def measure(config: Config, count: str | None, busy: int, steps: int) -> float:
    """Median seconds of a step in a process of its own."""
    ours = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')  # the number of threads is the user's
    environment = {key: value for key, value in os.environ.items() if key not in ours}
    if count is not None:
        environment['GOMP_SPINCOUNT'] = count
    with patch.dict(os.environ, environment, clear=True), busy_cores(busy):
        return common.run_child(run_steps, config, steps)


@contextmanager
def busy_cores(number: int) -> Iterator[None]:
    """Within, so many processes compute all the time."""
    processes = [
        subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(number)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run_steps(config: Config, steps: int) -> float:
    """Median seconds of a training step on random views; the first does not count."""
    common.register(config)
    config = copy.deepcopy(config)
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model).train()
    for head in model.heads().values():
        if head.needs_centroids:
            counts = torch.ones_like(head.cluster_counts)
            head.set_centroids(torch.randn_like(head.centroids), counts)
    model.freeze_encoder()
    size = common.size_of(config)
    views = [torch.randn(config.train_dataloader.batch_size, 3, *size) for _ in range(2)]
    draw = GeometricDraw(0.1, 0.1, 0.8, 0.8)
    samples = [SegDataSample(metainfo=dict(geometry=draw)) for _ in views[0]]
    seconds = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        sum(model.loss(views, samples).values()).backward()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def make_rows(found: dict[str, list[float]], busy: int) -> list[dict[str, Any]]:
    """One row for each setting and place."""
    alone = statistics.median(found['default, alone'])
    share = max(1.0, (torch.get_num_threads() + busy) / count_cores())
    rows = []
    for name, values in found.items():
        seconds = statistics.median(values)
        fair = alone * (share if name.endswith('busy') else 1)
        rows.append(
            dict(
                setting=name, seconds=seconds, ratio=seconds / alone, of_fair_share=seconds / fair
            ),
        )
    return rows


if __name__ == '__main__':
    main()
