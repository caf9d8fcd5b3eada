"""What all benchmarks share: options, configs, turns, children, times of epochs, tables, files."""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import os
import platform
import shlex
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings
from prettytable import PrettyTable, TableStyle

from mmseg_picie.acceleration.allocator import choose_environment
from mmseg_picie.apis.devices import peak_mib as peak_mib  # which scripts take from here
from mmseg_picie.apis.devices import read_kib as read_kib
from mmseg_picie.apis.epoch_timer import EpochTimer
from mmseg_picie.apis.json_files import write_json
from mmseg_picie.apis.ready_configs import find_config
from mmseg_picie.models.efficientnet_lite0 import SCHEME
from mmseg_picie.models.parts import list_pretrained

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
#: Distributions whose versions are told, where they are installed.
DISTRIBUTIONS = (
    *('mmseg_picie', 'torch', 'faiss-cpu', 'faiss-gpu', 'scikit-learn', 'pillow'),
    *('opencv-python', 'opencv-python-headless'),
    *('onedl-mmsegmentation', 'mmsegmentation', 'onedl-mmengine', 'mmengine'),
)
#: Variables of the environment that change times begin so.
VARIABLES = ('OMP_', 'LD_PRELOAD', 'MALLOC_', 'GLIBC_TUNABLES')


def make_parser(doc: str, repeats: int = 3) -> argparse.ArgumentParser:
    """Declare what all benchmarks have: ``--repeats``, ``--seed``, ``--out``, ``--quick``.

    Args:
        doc: The script's docstring, whose first line describes it.
        repeats: Default number of rounds.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument(
        '--repeats', type=positive, default=repeats, help='rounds (default: %(default)s)'
    )
    parser.add_argument('--seed', type=int, help="(default: the config's own, else 0)")
    parser.add_argument('--out', help='JSON file to write')
    parser.add_argument('--quick', action='store_true', help='as little as can be, to try it out')
    return parser


def add_config(parser: argparse.ArgumentParser, name: str = 'config', **settings: Any) -> None:
    """Declare the config and what changes it: ``--sizes``, ``--workers``, ``--cfg-options``."""
    parser.add_argument(name, help='config file of a PiCIE training', **settings)
    parser.add_argument(
        '--sizes',
        type=parse_sizes,
        nargs='+',
        metavar='RES:BASE',
        help="sides of views and base image, such as 160:320 (default: the config's own)",
    )
    parser.add_argument('--workers', type=int, help="of the loaders (default: the config's own)")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE')


def positive(text: str) -> int:
    """Read an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'must be an integer of at least 1, but got {text!r}')
    return int(text)


def parse_sizes(text: str) -> tuple[int, int]:
    """Read RES:BASE, the sides in pixels of the views and of the image that they are cut from."""
    view, _, base = text.partition(':')
    if not (view.isdecimal() and base.isdecimal() and 0 < int(view) <= int(base)):
        raise argparse.ArgumentTypeError(
            f'must be RES:BASE with 0 < RES <= BASE, such as 160:320, but got {text!r}'
        )
    return int(view), int(base)


def read_configs(args: argparse.Namespace, path: str | Path | None = None) -> list[Config]:
    """Read the config, once for each of ``--sizes``, and change it as the options say.

    Weights of the backbone that would be downloaded are left out.

    Args:
        args: Parsed options of :func:`make_parser` and :func:`add_config`.
        path: Instead of the config of ``args``.
    """
    configs = []
    for sizes in args.sizes or [None]:
        config = Config.fromfile(find_config(path or args.config), import_custom_modules=False)
        config.merge_from_dict(args.cfg_options or {})
        if sizes is not None:
            for transform in transforms_of(config, 'PairedViews'):
                transform.update(view_size=sizes[0], base_size=sizes[1])
            for transform in transforms_of(config, 'ResizeCenterCrop'):
                transform['size'] = sizes[0]
        for loader in filter(None, map(config.get, LOADERS)):
            loader.num_workers = loader.num_workers if args.workers is None else args.workers
            loader.persistent_workers = loader.num_workers > 0
        if args.seed is not None:
            config.merge_from_dict(dict(randomness=dict(seed=args.seed)))
        sources = list_pretrained(config.model.backbone.get('init_cfg'))
        addresses = [source['checkpoint'] for source in sources if '://' in source['checkpoint']]
        if not all(address.startswith(SCHEME) for address in addresses):  # that one is installed
            config.model.backbone.init_cfg = None
        configs.append(config)
    return configs


def transforms_of(config: Config, kind: str) -> Iterator[dict]:
    """All transforms of one type, over the pipelines of all data sets of a config."""
    for loader in filter(None, map(config.get, LOADERS)):
        for transform in loader['dataset'].get('pipeline', ()):
            if transform['type'] == kind:
                yield transform


def size_of(
    config: Config, kind: str = 'PairedViews', key: str = 'view_size', default: Any = 320
) -> tuple[int, int]:
    """(height, width) that a transform of a config makes; by default of the views."""
    size = next(transforms_of(config, kind), {}).get(key, default)
    return (size, size) if isinstance(size, int) else tuple(size)


def view_name(config: Config) -> str:
    """Size of the views in a table."""
    return 'x'.join(map(str, size_of(config)))


def register(config: Config) -> None:
    """Make what the config names known to the registries."""
    if config.get('custom_imports'):
        import_modules_from_strings(**config.custom_imports)
    init_default_scope(config.get('default_scope', 'mmseg'))


def train(
    config: Config, epochs: int, prepare: Callable[[Runner], None] | None = None
) -> list[dict[str, float]]:
    """Train quietly for some epochs, in a folder that is removed afterwards.

    Args:
        config: Of a training; not changed.
        epochs: At least 1.
        prepare: Called with the runner before it trains.

    Returns:
        Seconds of the parts of each epoch.
    """
    config = copy.deepcopy(config)
    register(config)
    with tempfile.TemporaryDirectory() as folder:
        config.work_dir = folder
        # mmengine keeps one logger and one visualiser for each name.
        config.experiment_name = config.visualizer.name = uuid.uuid4().hex
        config.train_cfg.max_epochs = epochs
        config.log_level, config.load_from, config.resume = 'ERROR', None, False
        runner = Runner.from_cfg(config)
        if prepare is not None:
            prepare(runner)
        timer = EpochTimer(runner)
        runner.train()
    return timer.epochs


def seconds_of(function: Callable[[], Any]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def run_child(function: Callable[..., Any], *args: Any, mimalloc: bool = True) -> Any:
    """Call a function of a script in a process of its own, which prints nothing.

    With ``mimalloc`` it has the allocator that a training starts itself again with.
    """
    variables = choose_environment() if mimalloc else {}
    context = multiprocessing.get_context('spawn')
    with (
        patch.dict(os.environ, variables),
        ProcessPoolExecutor(1, context, initializer=silence) as pool,
    ):
        return pool.submit(function, *args).result()


def silence() -> None:
    """Drop what this process prints, but for errors."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def in_turn(functions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[Any]]:
    """Call each function once, and all that again: A B A B, so that both drift alike.

    Args:
        functions: By name.
        repeats: Number of rounds.

    Returns:
        By name, what the calls returned.
    """
    rounds = [{name: function() for name, function in functions.items()} for _ in range(repeats)]
    return {name: [found[name] for found in rounds] for name in functions}


def medians(records: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of every entry over rounds."""
    return {name: statistics.median([record[name] for record in records]) for name in records[0]}


def round_ratios(values: Sequence[float], references: Sequence[float]) -> list[float]:
    """Ratio of the values of each round."""
    return [value / reference for value, reference in zip(values, references, strict=True)]


def make_header(seed: int | None) -> dict[str, Any]:
    """Say what the figures depend on: command, machine, threads, load, versions, seed."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    installed = {each.metadata['Name']: each.version for each in metadata.distributions()}
    return dict(
        command=shlex.join([os.path.basename(sys.executable), *sys.argv]),
        seed=seed or 0,
        cpu=names[0] if names else platform.processor() or platform.machine(),
        cores=os.cpu_count(),
        usable_cores=len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else None,
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        torch_threads=torch.get_num_threads(),
        load_at_start=os.getloadavg()[0] if hasattr(os, 'getloadavg') else None,
        python=platform.python_version(),
        system=platform.platform(),
        versions={name: installed[name] for name in DISTRIBUTIONS if name in installed},
        environment={k: v for k, v in sorted(os.environ.items()) if k.startswith(VARIABLES)},
    )


def make_table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a Markdown table; the keys of the first are the headings.

    Args:
        rows: At least one; numbers are rounded to three digits behind the point, or to three that
            count if they are small.
    """
    table = PrettyTable(list(rows[0]))
    table.set_style(TableStyle.MARKDOWN)
    table.align = 'r'
    table.add_rows([[_cell(row.get(name)) for name in rows[0]] for row in rows])
    return table.get_string()


def _cell(value: Any) -> str:
    if value is None:
        return ''
    if isinstance(value, list):
        return ' '.join(map(_cell, value))
    if isinstance(value, float):
        return f'{value:.3f}' if abs(value) >= 0.1 or value == 0 else f'{value:.3g}'
    return str(value)


def compare(
    args: argparse.Namespace,
    make_ways: Callable[[Config], dict[str, Callable[[], Any]]],
    make_rows: Callable[[dict[str, list[Any]]], list[dict[str, Any]]],
) -> None:
    """Measure ways in turn, for each of ``--sizes``, and publish.

    Args:
        args: Parsed options.
        make_ways: Of a config, makes what to call, by name.
        make_rows: Of what the calls returned, makes the rows of one size.
    """
    configs = read_configs(args)
    header = make_header((configs[0].get('randomness') or {}).get('seed'))
    rows: list[dict[str, Any]] = []
    rounds: dict[str, Any] = {}
    for config in configs:
        register(config)
        view = view_name(config)
        rounds[view] = in_turn(make_ways(config), 1 if args.quick else args.repeats)
        rows += [dict(view=view, **row) for row in make_rows(rounds[view])]
    publish(header, args.out, rows, rounds=rounds)


def publish(header: dict, out: str | None, *tables: list[dict], **details: Any) -> None:
    """Print header and tables, and write the JSON file.

    Args:
        header: Of :func:`make_header`, made before anything was measured.
        out: JSON file; None for no file.
        tables: Rows of each; the file has them all as ``rows``.
        details: Further entries of the file, such as every single round.
    """
    for name, value in header.items():
        if isinstance(value, dict):
            value = ', '.join(f'{key} {entry}' for key, entry in value.items()) or 'nothing set'
        print(f'{name}: {value}')
    for rows in filter(None, tables):
        print('\n' + make_table(rows))
    if out is not None:
        write_json(out, dict(header=header, rows=sum(tables, []), **details))
        print(f'\nwritten to {out}')
