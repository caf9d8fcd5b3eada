"""Peak resident memory of an epoch for 1x and 4x the images: python benchmarks/memory.py CONFIG.

Every figure is that of a process of its own: the *bare toolbox* (imports, the model, one image
forward), then one epoch of the real training, with validation and checkpoint, on the training
images once and several times. Scenes are drawn in greater number; files are listed several times.
The peak is that of the main process, and `clustering` that until the first clustering ends, before
anything is trained. Beside them stands what the workers of the data loaders hold for themselves,
all together, at the end of the training.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import common
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import DATASETS, MODELS


def main(argv: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = common.make_parser(__doc__, repeats=1)
    common.add_config(parser)
    parser.add_argument('--times', type=common.positive, nargs='+', default=[1, 4])
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:

        def make_ways(config: Config) -> dict[str, partial]:
            ways = {'bare toolbox': partial(common.run_child, load_bare, config)}
            for times in args.times:
                grown = grow(config, times, Path(folder))
                ways[f'epoch, {times}x the images'] = partial(common.run_child, run_epoch, grown)
            return ways

        common.compare(args, make_ways, make_rows)


def grow(config: Config, times: int, folder: Path) -> Config:
    """The config with several times the training images."""
    config = copy.deepcopy(config)
    dataset = config.train_dataloader.dataset
    if times > 1 and dataset.type == 'SyntheticScenesDataset':
        dataset.num_images = times * dataset.get('num_images', 200)
    elif times > 1:
        built = DATASETS.build(copy.deepcopy(dict(dataset)))
        root = built.data_prefix['img_path']
        paths = [built.get_data_info(index)['img_path'] for index in range(len(built))]
        listed = folder / f'{times}x.txt'
        # A list may name an image once, so each repetition calls it by another path.
        names = [os.path.relpath(path, root) for path in paths]
        repeated = ['./' * number + name for number in range(times) for name in names]
        listed.write_text('\n'.join(repeated) + '\n')
        dataset.ann_file = str(listed.resolve())
    return config


def load_bare(config: Config) -> dict[str, float]:
    """Build the model and forward one image."""
    common.register(config)
    model = MODELS.build(config.model).eval()
    with torch.no_grad():
        model.encoder(torch.zeros(1, 3, *common.size_of(config)))
    return dict(images=0, clustering=0.0, peak=common.peak_mib(), workers=0.0)


def run_epoch(config: Config) -> dict[str, float]:
    """Train one epoch."""
    watch = Watch()
    common.train(config, 1, lambda runner: runner.register_hook(watch, priority='LOWEST'))
    return dict(watch.found, peak=common.peak_mib())


class Watch(Hook):
    """Looks at this process behind the clustering, at its workers behind the training."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    def before_train_epoch(self, runner: Runner) -> None:
        """Note the images, and the peak in MiB up to the end of the clustering."""
        self.found.update(images=len(runner.train_dataloader.dataset), clustering=common.peak_mib())

    def after_train_epoch(self, runner: Runner) -> None:
        """Sum up the private memory of all workers, which live on until then."""
        workers = multiprocessing.active_children()
        kib = sum(
            common.read_kib(f'/proc/{worker.pid}/smaps_rollup', 'Private_') for worker in workers
        )
        self.found['workers'] = kib / 1024


def make_rows(found: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """One row for each way; ratios to the first number of images."""
    middle = {name: common.medians(records) for name, records in found.items()}
    bare, first, *_ = middle.values()
    rows = []
    for name, way in middle.items():
        above = way['peak'] - bare['peak']
        rows.append(
            dict(
                run=name,
                images=way['images'],
                peak_mib=way['peak'],
                above_bare_mib=above,
                clustering_above_bare_mib=max(0.0, way['clustering'] - bare['peak']),
                workers_mib=way['workers'],
                ratio=way['peak'] / first['peak'],
                ratio_above_bare=above / max(first['peak'] - bare['peak'], 1.0),
            )
        )
    return rows


if __name__ == '__main__':
    main()
