"""What an epoch costs beside the network's own passes: python benchmarks/epoch.py CONFIG.

Runs two epochs of the real training, with all hooks of the config (checkpoints, pictures,
validation), and in turn with them **the bound**: the bare encoder, as the toolbox builds it, on
tensors in memory, in float32, in the faster of two memory layouts, with the same batch sizes and
threads, for the passes that the method needs. These are, for each view of each image: one forward
pass for clustering (of the images that it uses), one for labels, one forward and backward for
training. The ratio is that of the medians of the second epoch without its evaluation and of the
bound; `with_evaluation` is that of the whole epoch and of the bound with a forward pass over the
validation images.
"""

from __future__ import annotations

import argparse
import copy
import gc
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == '__main__':  # as a training does
    from start import restart_with_mimalloc

    restart_with_mimalloc()

import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from report import add_output, in_turn, make_header, medians, publish, seconds_of
from run_config import (
    add_sizes,
    batch_sizes,
    clustering_of,
    count_images,
    evaluated_size,
    register,
    set_run,
    set_sizes,
    set_workers,
    view_size,
)
from timers import PARTS, SHARES, EpochTimer
from torch import Tensor, nn

from mmseg_picie.engine import cli

ROW = ('view', 'workers', 'subset')
#: Columns of the printed tables: the second epoch in seconds, then the bound and the ratios.
TABLES = (
    (*ROW, 'whole', *PARTS, *SHARES),
    (
        *ROW,
        *(f'bound_{name}' for name in ('clustering', 'labelling', 'training')),
        *('bound', 'bound_evaluation', 'layout', 'ratio', 'with_evaluation', 'first_whole'),
    ),
)
LAYOUTS = {'contiguous': torch.contiguous_format, 'channels_last': torch.channels_last}


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure as the command line says.

    Args:
        argv: Words of the command line; None takes those of this process.

    Returns:
        The content of the JSON file.
    """
    args = parse_arguments(argv)
    parser, base = args.parser, cli.read_config(args.parser, args)
    if args.quick:
        args.repeats = 1
    seed = args.seed if args.seed is not None else (base.get('randomness') or {}).get('seed', 0)
    header = make_header(seed)
    register(base)
    num_images = count_images(base, 'train_dataloader'), count_images(base, 'val_dataloader')
    if clustering_of(base) is None and args.subset != [1.0]:
        parser.error('argument --subset: the config clusters nothing, so leave it out')
    rows, details = [], []
    with tempfile.TemporaryDirectory() as folder:
        for sizes in args.sizes or [None]:
            for workers in args.workers:
                for subset in args.subset:
                    config = make_config(base, sizes, workers, subset, num_images[0])
                    run = partial(run_epochs, config, Path(folder), seed)
                    passes = Bound(config, *num_images)
                    found = in_turn(dict(epochs=run, bound=passes.measure), args.repeats)
                    row = summarise(config, workers, subset, found, passes.layout)
                    rows.append(row)
                    details.append(found)
    header['images'] = dict(train=num_images[0], val=num_images[1])
    header['included'] = 'all hooks of the config: checkpoints, pictures, logs'
    return publish(header, rows, args.out, TABLES, repetitions=details)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; `parser` of the result reports later mistakes."""
    parser = argparse.ArgumentParser(description='Compare an epoch with the bare network.')
    parser.add_argument('config', help='config file of a PiCIE training')
    parser.add_argument('--repeats', type=int, default=3, help='rounds (default: %(default)s)')
    parser.add_argument('--workers', type=int, nargs='+', default=[2, 0], help='of the loaders')
    add_sizes(parser, several=True)
    parser.add_argument(
        '--subset',
        type=float,
        nargs='+',
        default=[1.0],
        metavar='FRACTION',
        help='of the images that is clustered in an epoch (default: %(default)s)',
    )
    parser.add_argument('--seed', type=int, help="(default: the config's own)")
    add_output(parser, quick='one round, to try it out')
    cli.add_cfg_options(parser)
    args = cli.parse_args(parser, argv)
    args.parser = parser
    if args.repeats < 1:
        parser.error(f'argument --repeats: must be at least 1, but got {args.repeats}')
    if not all(0 < fraction <= 1 for fraction in args.subset):
        parser.error(f'argument --subset: fractions must lie in (0, 1], but got {args.subset}')
    return args


def make_config(
    base: Config, sizes: tuple[int, int] | None, workers: int, subset: float, num_images: int
) -> Config:
    """The config of one row."""
    config = copy.deepcopy(base)
    set_sizes(config, sizes)
    set_workers(config, workers)
    if subset < 1:
        config.default_hooks.clustering.images_per_epoch = max(1, round(subset * num_images))
    return config


def run_epochs(config: Config, folder: Path, seed: int) -> list[dict[str, float]]:
    """Train two epochs and return the parts of each."""
    config = copy.deepcopy(config)
    set_run(config, folder, 2, seed)
    timer = EpochTimer()
    with timer.waiting():
        runner = cli.build_runner(config)
        timer.attach(runner)
        runner.train()
    del runner  # and its workers with it
    gc.collect()
    return timer.records


class Bound:
    """The passes that the method needs of a config's encoder.

    Args:
        config: Of the run.
        num_train: Training images.
        num_val: Validation images.
    """

    def __init__(self, config: Config, num_train: int, num_val: int) -> None:
        register(config)
        model = MODELS.build(copy.deepcopy(config.model))
        self.device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
        # The toolbox's own, as PiCIE changes some of its layers.
        parts = [config.model.backbone, config.model.get('neck')]
        encoder = nn.Sequential(*(MODELS.build(copy.deepcopy(part)) for part in parts if part))
        self.encoder = encoder.to(self.device)
        self.num_views = model.num_views
        self.view, self.evaluated = view_size(config), evaluated_size(config)
        self.train = batch_sizes(num_train, config.train_dataloader.batch_size)
        self.label = self.train if model.needs_centroids else []
        self.cluster: list[int] = []
        hook = clustering_of(config)
        if hook is not None and model.needs_centroids:
            used = min(num_train, hook.get('images_per_epoch') or num_train)
            size = hook.get('forward_batch_size') or hook.get('batch_size', 128)
            self.cluster = batch_sizes(used, min(size, hook.get('batch_size', 128)))
        self.val = batch_sizes(num_val, config.val_dataloader.batch_size) if num_val else []
        self._images: dict[tuple, Tensor] = {}
        self._gradients: dict[tuple, list[Tensor]] = {}
        self.layout = self._choose_layout()

    def measure(self) -> dict[str, float]:
        """Seconds of each kind of pass over the images, once."""
        return dict(
            clustering=self._seconds(self.cluster * self.num_views, self.view),
            labelling=self._seconds(self.label * self.num_views, self.view),
            training=self._seconds(self.train * self.num_views, self.view, training=True),
            evaluation=self._seconds(self.val, self.evaluated),
        )

    def _choose_layout(self) -> str:
        """The layout in which a batch is trained and labelled faster; both are warmed up first."""
        sizes = [max(self.train)]
        times: dict[str, list[float]] = {name: [] for name in LAYOUTS}
        for turn in range(3):
            for name in LAYOUTS:
                self.layout = name
                # Trained first, so that the running statistics have seen data before use.
                seconds = self._seconds(sizes, self.view, training=True)
                seconds += self._seconds(sizes, self.view)
                if turn:
                    times[name].append(seconds)
        return min(times, key=lambda name: min(times[name]))

    def _seconds(
        self, sizes: Sequence[int], shape: tuple[int, int], training: bool = False
    ) -> float:
        """Time of passes over batches of these sizes."""
        self._prepare(sizes, shape, training)
        run = partial(self._train, sizes) if training else partial(self._forward, sizes, shape)
        return seconds_of(run)

    @torch.no_grad()
    def _forward(self, sizes: Sequence[int], shape: tuple[int, int]) -> None:
        for size in sizes:
            self.encoder(self._images[self.layout, size, shape])
        self._wait()

    def _train(self, sizes: Sequence[int]) -> None:
        for size in sizes:
            maps = list(self.encoder(self._images[self.layout, size, self.view]))
            torch.autograd.backward(maps, self._gradients[self.layout, size])
            self.encoder.zero_grad(set_to_none=True)
        self._wait()

    def _prepare(self, sizes: Sequence[int], shape: tuple[int, int], training: bool) -> None:
        """Bring the encoder into its mode and layout, and make what is not to be timed."""
        self.encoder.to(memory_format=LAYOUTS[self.layout]).train(training)
        for size in set(sizes):
            if (self.layout, size, shape) not in self._images:
                images = torch.randn(size, 3, *shape, generator=torch.Generator().manual_seed(0))
                self._images[self.layout, size, shape] = images.to(self.device).contiguous(
                    memory_format=LAYOUTS[self.layout]
                )
            if training and (self.layout, size) not in self._gradients:
                maps = self.encoder(self._images[self.layout, size, shape])
                self._gradients[self.layout, size] = [torch.randn_like(level) for level in maps]

    def _wait(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize()


def summarise(
    config: Config, workers: int, subset: float, found: dict[str, list], layout: str
) -> dict[str, Any]:
    """Medians of one row: the second epoch, the bound, and their ratios; the first for comparison.

    Args:
        config: Of the run.
        workers: Of the data loaders.
        subset: Fraction of the images that was clustered.
        found: ``epochs`` (records of two epochs each) and ``bound``, by repetition.
        layout: The bound's.
    """
    first, second = (medians([epochs[i] for epochs in found['epochs']]) for i in (0, 1))
    bound = medians(found['bound'])
    needed = sum(bound[name] for name in ('clustering', 'labelling', 'training'))
    height, width = view_size(config)
    return dict(
        view=f'{height}x{width}',
        workers=workers,
        subset=subset,
        **second,
        **{f'bound_{name}': value for name, value in bound.items()},
        bound=needed,
        layout=layout,
        ratio=(second['whole'] - second['evaluation']) / needed,
        with_evaluation=second['whole'] / (needed + bound['evaluation']),
        first_whole=first['whole'],
        first_epoch=first,
    )


if __name__ == '__main__':
    main()
