"""What all benchmarks share: the header, turns, medians, the table and the JSON file."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from prettytable import PrettyTable, TableStyle

from mmseg_picie.engine.json_files import write_json

#: Name in the header -> distributions of which one provides it.
DISTRIBUTIONS = {
    'mmseg_picie': ('mmseg_picie',),
    'torch': ('torch',),
    'faiss': ('faiss-cpu', 'faiss-gpu'),
    'opencv': ('opencv-python', 'opencv-python-headless'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'mmengine': ('onedl-mmengine', 'mmengine'),
    'pillow': ('pillow',),
    'scikit-learn': ('scikit-learn',),
}
#: What changes times from outside.
VARIABLES = ('OMP_NUM_THREADS', 'OMP_WAIT_POLICY', 'LD_PRELOAD')


def add_output(parser: argparse.ArgumentParser, quick: str) -> None:
    """Declare ``--out`` and ``--quick``; ``quick`` says what the latter makes smaller."""
    parser.add_argument('--out', help='JSON file to write')
    parser.add_argument('--quick', action='store_true', help=quick)


def make_header(seed: int) -> dict[str, Any]:
    """Say what the figures depend on.

    Args:
        seed: Seed of every random choice.

    Returns:
        Command line, machine, versions, threads, seed and load.
    """
    load = os.getloadavg()[0] if hasattr(os, 'getloadavg') else None
    return dict(
        command=shlex.join([os.path.basename(sys.executable), *sys.argv]),
        seed=seed,
        cpu=_cpu_model(),
        cores=os.cpu_count(),
        usable_cores=len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else None,
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        torch_threads=torch.get_num_threads(),
        load_at_start=load,
        python=platform.python_version(),
        system=platform.platform(),
        versions={name: _version(names) for name, names in DISTRIBUTIONS.items()},
        environment={
            name: value
            for name, value in sorted(os.environ.items())
            if name in VARIABLES or name.startswith(('MALLOC_', 'MIMALLOC_'))
        },
    )


def _cpu_model() -> str:
    """The CPU's name, as Linux or else Python gives it."""
    path = Path('/proc/cpuinfo')
    if path.is_file():
        for line in path.read_text().splitlines():
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.processor() or platform.machine()


def _version(names: Sequence[str]) -> str | None:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def seconds_of(function: Callable[[], Any]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def in_turn(functions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[Any]]:
    """Call each function once, in turn, and all that again: A B A B, so that both drift alike.

    Args:
        functions: By name.
        repeats: Number of rounds.

    Returns:
        By name, what each call returned.
    """
    results: dict[str, list[Any]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            results[name].append(function())
    return results


def medians(records: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of every entry over repetitions."""
    return {name: statistics.median([record[name] for record in records]) for name in records[0]}


def make_table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a Markdown table; the keys of the first are the headings.

    Args:
        rows: At least one; numbers are rounded to three digits behind the point, or to four
            that count if they are small.
    """
    table = PrettyTable(list(rows[0]))
    table.set_style(TableStyle.MARKDOWN)
    table.align = 'r'
    for row in rows:
        table.add_row([_cell(row.get(name)) for name in rows[0]])
    return table.get_string()


def _cell(value: Any) -> str:
    if value is None:
        return ''
    if isinstance(value, float):
        return f'{value:.3f}' if abs(value) >= 0.1 or value == 0 else f'{value:.3g}'
    return str(value)


def publish(
    header: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    out: str | None,
    tables: Sequence[Sequence[str]] | None = None,
    **details: Any,
) -> dict[str, Any]:
    """Print header and table, and write the JSON file.

    Args:
        header: Of :func:`make_header`, made before anything was measured.
        rows: Results.
        out: JSON file; None for no file.
        tables: Columns of each table to print; by default one table of all.
        details: Further entries of the file, such as every single repetition.

    Returns:
        The content of the file.
    """
    for name, value in header.items():
        if isinstance(value, dict):
            value = ', '.join(f'{key} {entry}' for key, entry in value.items()) or 'nothing set'
        print(f'{name}: {value}')
    for columns in tables or [list(rows[0])]:
        print('\n' + make_table([{name: row[name] for name in columns} for row in rows]))
    content = dict(header=header, rows=list(rows), **details)
    if out is not None:
        write_json(out, content)
        print(f'\nwritten to {out}')
    return content
