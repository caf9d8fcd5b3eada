"""Configs as benchmarks run them: sizes, workers, work folder; the sizes that a config says."""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.utils import import_modules_from_strings
from mmseg.registry import DATASETS

from mmseg_picie.datasets.transforms.sizes import to_size

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def add_sizes(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Declare ``--sizes``.

    Args:
        parser: Of a benchmark.
        several: Whether one may give more than one pair.
    """
    example = '160:320' if several else '320:640'
    parser.add_argument(
        '--sizes',
        type=parse_sizes,
        nargs='+' if several else None,
        metavar='RES:BASE',
        help=f"sides of views and base image, such as {example} (default: the config's own)",
    )


def parse_sizes(text: str) -> tuple[int, int]:
    """Read RES:BASE, the sides in pixels of the views and of the image that they are cut from."""
    try:
        view, base = (int(part) for part in text.split(':'))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'sizes must be RES:BASE, such as 160:320, but got {text!r}'
        ) from None
    if not 0 < view <= base:
        raise argparse.ArgumentTypeError(
            f'sizes RES:BASE must be 0 < RES <= BASE, but got {text!r}'
        )
    return view, base


def transforms_of(config: Config, kind: str) -> Iterator[dict]:
    """All transforms of one type, over the pipelines of all data sets of a config."""
    for name in LOADERS:
        loader = config.get(name)
        for transform in (loader or {}).get('dataset', {}).get('pipeline', ()):
            if transform['type'] == kind:
                yield transform


def set_sizes(config: Config, sizes: tuple[int, int] | None) -> None:
    """Set the sizes of views, base images and evaluated images; None leaves the config's own."""
    if sizes is None:
        return
    for transform in transforms_of(config, 'PairedViews'):
        transform.update(view_size=sizes[0], base_size=sizes[1])
    for transform in transforms_of(config, 'ResizeCenterCrop'):
        transform['size'] = sizes[0]


def set_workers(config: Config, workers: int | None) -> None:
    """Set the number of worker processes of every data loader; None leaves the config's own."""
    for name in LOADERS:
        loader = config.get(name)
        if loader is None:
            continue
        if workers is not None:
            loader.num_workers = workers
        loader.persistent_workers = loader.get('num_workers', 0) > 0


def set_run(config: Config, folder: Path, epochs: int, seed: int | None) -> None:
    """Let a config run quietly for some epochs below a folder, under a name of its own."""
    config.work_dir = str(folder / uuid.uuid4().hex)
    # mmengine keeps one logger and one visualiser for each name.
    config.experiment_name = config.visualizer.name = uuid.uuid4().hex
    config.train_cfg.max_epochs = epochs
    config.log_level = 'ERROR'
    config.load_from, config.resume = None, False
    if seed is not None:
        config.randomness = dict(config.get('randomness') or {}, seed=seed)


def view_size(config: Config) -> tuple[int, int]:
    """(height, width) of the views that are trained on."""
    for transform in transforms_of(config, 'PairedViews'):
        return to_size(transform.get('view_size', 320), 'view_size')
    raise SystemExit(
        'train_dataloader.dataset.pipeline must have a PairedViews transform; take a PiCIE config.'
    )


def evaluated_size(config: Config) -> tuple[int, int]:
    """(height, width) of the images that are evaluated."""
    for transform in transforms_of(config, 'ResizeCenterCrop'):
        return to_size(transform['size'], 'size')
    return view_size(config)


def clustering_of(config: Config) -> dict | None:
    """The clustering hook's settings, or None if nothing is clustered."""
    hook = config.default_hooks.get('clustering')
    return None if hook is None or 'type' not in hook else hook


def register(config: Config) -> None:
    """Make what the config names known to the registries, as mmengine's runner does."""
    if config.get('custom_imports'):
        import_modules_from_strings(**config.custom_imports)
    init_default_scope(config.get('default_scope', 'mmseg'))


def count_images(config: Config, name: str) -> int:
    """Number of images of a data set.

    Args:
        config: Of a run.
        name: Of the data loader, such as 'train_dataloader'; 0 if the config has none.
    """
    loader = config.get(name)
    if not loader:
        return 0
    register(config)
    return len(DATASETS.build(dict(loader.dataset)))


def batch_sizes(num_images: int, batch_size: int) -> list[int]:
    """Sizes of the batches of one pass; the last may be smaller."""
    whole, rest = divmod(num_images, batch_size)
    return [batch_size] * whole + ([rest] if rest else [])
