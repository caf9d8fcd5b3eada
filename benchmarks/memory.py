"""Peak resident memory of an epoch for 1x and 4x the images: python benchmarks/memory.py CONFIG.

Every figure is that of a process of its own: the *bare toolbox* (imports, the model, one image
forward), then one epoch of the real training, with validation and checkpoint, on the training
images once and several times. Scenes are drawn in greater number; files are listed several times.
The peak is that of the main process (VmHWM of Linux, elsewhere ru_maxrss), and `clustering` that
until the first clustering ends, before anything is trained. Beside them stands what the workers of
the data loaders hold for themselves, all together, at the end of the training. The bare toolbox
uses the allocator of the system, and an epoch the one that tools/train.py starts itself with.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import DATASETS, MODELS
from report import add_output, make_header, publish
from run_config import add_sizes, register, set_run, set_sizes, set_workers, view_size
from start import choose_environment
from torch import nn

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
        run_child(args.child, Config.fromfile(args.config), args.out)
        return None
    config = cli.read_config(args.parser, args)
    register(config)
    set_sizes(config, args.sizes)
    set_workers(config, args.workers)
    header = make_header((config.get('randomness') or {}).get('seed', 0))
    library = choose_environment().get('LD_PRELOAD') or os.environ.get('LD_PRELOAD')
    header['allocator of an epoch'] = os.path.basename(library) if library else "the system's"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        found: dict[str, list[dict]] = {'bare': []}
        for _ in range(args.repeats):
            found['bare'].append(call_child('bare', config, folder))
            for times in args.times:
                grown = grow(config, times, folder)
                set_run(grown, folder, 1, None)
                found.setdefault(f'{times}x', []).append(call_child('epoch', grown, folder))
    return publish(header, make_rows(found), args.out, repetitions=found)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; `parser` of the result reports later mistakes."""
    parser = argparse.ArgumentParser(description='Measure the memory of an epoch.')
    parser.add_argument('config', help='config file of a PiCIE training')
    parser.add_argument('--times', type=int, nargs='+', default=[1, 4], help='of the images')
    parser.add_argument('--repeats', type=int, default=1, help='(default: %(default)s)')
    parser.add_argument('--workers', type=int, help="of the loaders (default: the config's own)")
    add_sizes(parser)
    add_output(parser, quick='no workers, to try it out')
    parser.add_argument('--child', choices=['bare', 'epoch'], help=argparse.SUPPRESS)
    cli.add_cfg_options(parser)
    args = cli.parse_args(parser, argv)
    args.parser = parser
    if args.quick:
        args.repeats, args.workers = 1, 0
    for name, value in (('times', min(args.times)), ('repeats', args.repeats)):
        if value < 1:
            parser.error(f'argument --{name}: must be at least 1, but got {value}')
    return args


def grow(config: Config, times: int, folder: Path) -> Config:
    """The config with several times the training images."""
    config = copy.deepcopy(config)
    dataset = config.train_dataloader.dataset
    if times == 1:
        return config
    if dataset.type == 'SyntheticScenesDataset':
        dataset.num_images = times * dataset.get('num_images', 200)
        return config
    built = DATASETS.build(copy.deepcopy(dict(dataset)))
    root = built.data_prefix['img_path']
    names = [
        os.path.relpath(built.get_data_info(index)['img_path'], root) for index in range(len(built))
    ]
    listed = folder / f'{times}x.txt'
    listed.write_text('\n'.join(names * times) + '\n')
    dataset.ann_file = str(listed.resolve())
    return config


def call_child(what: str, config: Config, folder: Path) -> dict[str, Any]:
    """Run one measurement in a process of its own."""
    path, out = folder / 'config.py', folder / 'found.json'
    config.dump(str(path))
    command = [sys.executable, __file__, str(path), '--child', what, '--out', str(out)]
    # What the toolbox is bare of.
    environment = os.environ | (choose_environment() if what == 'epoch' else {})
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        raise SystemExit(f'the measured process failed:\n{result.stderr[-4000:]}')
    return json.loads(out.read_text())


def run_child(what: str, config: Config, out: str) -> None:
    """Do what is to be measured, and write down the peaks."""
    register(config)
    if what == 'bare':
        model = MODELS.build(config.model).eval()
        encoder = nn.Sequential(model.backbone, model.neck) if model.with_neck else model.backbone
        with torch.no_grad():
            encoder(torch.zeros(1, 3, *view_size(config)))
        images, clustering, workers = 0, None, None
    else:
        runner = cli.build_runner(config)
        watch = Watch()
        runner.register_hook(watch, priority='LOWEST')
        runner.train()
        images, clustering, workers = len(runner.train_dataloader.dataset), *watch.found
    found = dict(images=images, clustering=clustering, peak=peak_mib(), workers=workers)
    write_json(out, found)


class Watch(Hook):
    """Looks at this process behind the clustering, at its workers behind the training.

    Attributes:
        found: Peak of this process so far in MiB, and what the workers hold.
    """

    found: tuple[float | None, float | None] = (None, None)

    def before_train_epoch(self, runner: Runner) -> None:
        """Note the peak up to the end of the clustering."""
        self.found = peak_mib(), None

    def after_train_epoch(self, runner: Runner) -> None:
        """Sum up the private memory of all workers, which live on until then."""
        files = [
            Path(f'/proc/{worker.pid}/smaps_rollup') for worker in multiprocessing.active_children()
        ]
        if files and all(file.is_file() for file in files):
            self.found = self.found[0], sum(_kib(file, 'Private_') for file in files) / 1024


def peak_mib() -> float:
    """Peak resident memory of this process in MiB."""
    # ru_maxrss may be that of the process that started this one, so it is the second choice.
    status = Path('/proc/self/status')
    if status.is_file():
        return _kib(status, 'VmHWM') / 1024
    unit = 1 if sys.platform == 'darwin' else 1024  # of ru_maxrss, in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _kib(file: Path, prefix: str) -> int:
    """Sum of the entries of a file of /proc whose name starts so."""
    lines = (line.split() for line in file.read_text().splitlines())
    return sum(int(words[1]) for words in lines if words and words[0].startswith(prefix))


def _median(values: list[float | None]) -> float | None:
    """Median of what was measured, if anything was."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def make_rows(found: dict[str, list[dict]]) -> list[dict[str, Any]]:
    """One row for each measurement; ratios to the first number of images."""
    peak, clustering, workers = (
        {name: _median([record[key] for record in records]) for name, records in found.items()}
        for key in ('peak', 'clustering', 'workers')
    )
    bare = peak['bare']
    first = next(name for name in peak if name != 'bare')
    rows = []
    for name, records in found.items():
        is_bare = name == 'bare'
        rows.append(
            dict(
                run='bare toolbox' if is_bare else f'epoch, {name} the images',
                images=records[0]['images'],
                peak_mib=peak[name],
                above_bare_mib=None if is_bare else peak[name] - bare,
                clustering_above_bare_mib=None if is_bare else clustering[name] - bare,
                workers_mib=workers[name],
                ratio=None if is_bare else peak[name] / peak[first],
                ratio_above_bare=(
                    None if is_bare else (peak[name] - bare) / max(peak[first] - bare, 1.0)
                ),
            )
        )
    return rows


if __name__ == '__main__':
    main()
