"""Whole commands against each other, from start to exit: python benchmarks/commands.py 'A' 'B'.

Instead of commands, `--checkouts A B --config CONFIG` trains with `tools/train.py` of two or more
checkouts of this project, each with its own config and the Python of its `.venv` if it has one.
Commands take turns. Ratios are to the first: that of the medians, and that of each round.
`tree_mib` is the largest sum of resident memory over all processes of a command, looked at ten
times a second, in which pages that processes share count for each. `main_mib` is the largest peak
(VmHWM) of one of these processes; a peak between two looks counts for `tree_mib`, too.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import common

INTERVAL = 0.1


def main(argv: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = common.make_parser(__doc__)
    parser.add_argument('commands', nargs='*', help='two or more, each in quotes')
    parser.add_argument('--checkouts', type=Path, nargs='+', help='folders, instead of commands')
    common.add_config(parser, '--config')
    parser.add_argument('--data-folder', default='.', help='where they run, and data/ lies')
    args = parser.parse_args(argv)
    given = args.checkouts or args.commands
    if len(given) < 2 or (args.checkouts and args.commands):
        parser.error('give two or more commands, or two or more --checkouts')
    if bool(args.config) != bool(args.checkouts):
        parser.error('argument --config: goes with --checkouts')
    if args.quick:
        args.repeats = 1
    header = common.make_header(args.seed)
    rows, details = [], {}
    with tempfile.TemporaryDirectory() as folder:
        cases = make_cases(args, Path(folder)) if args.checkouts else {'': args.commands}
        for view, commands in cases.items():
            names = [f'{index} {name}' for index, name in enumerate(given, 1)]
            ways = {
                name: partial(run, command, args.data_folder)
                for name, command in zip(names, commands, strict=True)
            }
            details[view] = found = common.in_turn(ways, args.repeats)
            rows += make_rows(view, found)
    common.publish(header, args.out, rows, rounds=details)


def make_cases(args: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    """By size of the views, the command that trains with each checkout."""
    cases: dict[str, list[str]] = {}
    for index, checkout in enumerate(args.checkouts):
        root = checkout.resolve()
        own = root / '.venv' / 'bin' / 'python'
        python = str(own) if own.is_file() else sys.executable
        for config in common.read_configs(args, root / args.config):
            work = folder / f'{index}_{common.view_name(config)}'
            config.dump(str(work.with_suffix('.py')))
            train = [python, root / 'tools' / 'train.py', work.with_suffix('.py')]
            words = ['env', f'PYTHONPATH={root}', *train, '--work-dir', work]
            cases.setdefault(common.view_name(config), []).append(shlex.join(map(str, words)))
    return cases


def run(command: str, folder: str) -> dict[str, float]:
    """Run a shell command; its seconds and MiB."""
    with tempfile.TemporaryFile('w+') as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, shell=True, cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
        watch = Watch(process.pid)
        code = process.wait()
        seconds = time.perf_counter() - started
        watch.stop()
        if code:
            log.seek(0)
            raise SystemExit(f'{command}\nended with exit code {code}:\n{log.read()[-4000:]}')
    return dict(seconds=seconds, main_mib=watch.main_mib, tree_mib=watch.tree_mib)


class Watch:
    """Looks at the memory of a process and its descendants until it is stopped.

    Args:
        pid: Of the process.
    """

    def __init__(self, pid: int) -> None:
        self.main_mib = self.tree_mib = 0.0
        self._pid, self._ended = pid, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def stop(self) -> None:
        """Look no longer."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(INTERVAL):
            files = [f'/proc/{pid}/status' for pid in find_tree(self._pid, read_parents())]
            main = max((common.read_kib(file, 'VmHWM') for file in files), default=0)
            tree = sum(common.read_kib(file, 'VmRSS') for file in files)
            self.main_mib = max(self.main_mib, main / 1024)
            self.tree_mib = max(self.tree_mib, tree / 1024, self.main_mib)


def read_parents() -> dict[int, int]:
    """The parent of every process of this machine."""
    parents = {}
    for name in filter(str.isdecimal, os.listdir('/proc')):
        try:
            stat = Path('/proc', name, 'stat').read_text()
        except OSError:  # it is gone
            continue
        parents[int(name)] = int(stat.rpartition(')')[2].split()[1])
    return parents


def find_tree(root: int, parents: dict[int, int]) -> set[int]:
    """A process and its descendants."""
    tree = {root} & parents.keys()
    while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return tree


def make_rows(view: str, found: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """One row for each command, compared with the first."""
    first = next(iter(found.values()))
    rows = []
    for name, rounds in found.items():
        row: dict[str, Any] = dict(view=view, command=name, **common.medians(rounds))
        for key in ('seconds', 'tree_mib'):
            values, references = ([record[key] for record in way] for way in (rounds, first))
            row[f'{key}_ratio'] = statistics.median(values) / statistics.median(references)
            row[f'{key}_ratios'] = common.round_ratios(values, references)
        rows.append(row)
    return rows


if __name__ == '__main__':
    main()
