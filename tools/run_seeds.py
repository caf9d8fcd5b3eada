"""Train configs under several seeds: python tools/run_seeds.py CONFIG [CONFIG ...] --seeds 1 2 3.

Prints mean and standard deviation of the last validation's scores as a table, and writes it, with
the scores of each seed, to WORK_DIR/seeds.json and WORK_DIR/seeds.md. Call it again after an
interruption: finished seeds are not repeated, an unfinished one goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import copy
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from prettytable import PrettyTable, TableStyle

from mmseg_picie.engine import cli
from mmseg_picie.engine.json_files import write_json
from mmseg_picie.engine.seed_runs import RunError, SeedRun, run_once, summarise

TOOLS = Path(__file__).resolve().parent


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run as the command line says.

    Args:
        argv: Words of the command line; None takes those of this process.

    Returns:
        The content of seeds.json.
    """
    parser = argparse.ArgumentParser(description='Train configs under several seeds.')
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files, one row each')
    parser.add_argument('--seeds', nargs='+', type=int, required=True, help='such as 1 2 3')
    parser.add_argument('--work-dir', default='work_dirs/seeds', help='(default: %(default)s)')
    parser.add_argument(
        '--fresh', action='store_true', help='also score centroids fitted afresh at the end'
    )
    parser.add_argument(
        '--baselines',
        action='store_true',
        help='also score k-means on raw colours and on untrained features, for the first config',
    )
    cli.add_cfg_options(parser)
    words = list(sys.argv[1:] if argv is None else argv)
    args = cli.parse_args(parser, words)
    check_arguments(parser, args)
    rows: dict[str, dict[int, dict]] = {}
    failures = []
    for index, path in enumerate(args.configs):
        for seed in args.seeds:
            run = make_run(parser, args, path, seed, words)
            try:
                found = run_once(run, TOOLS, args.fresh, args.baselines and index == 0)
            except ValueError as error:
                parser.error(str(error))
            except RunError as error:
                failures.append(str(error))
                print(error, file=sys.stderr)
                continue
            for name, row in found.items():
                label = Path(path).stem if name == 'trained' else name
                rows.setdefault(label, {})[seed] = row
                print(f'{label}, seed {seed}: {describe(row["metrics"])}', flush=True)
    report = make_report(args, rows)
    if rows:
        write(Path(args.work_dir), report)
    if failures:
        parser.exit(1, f'{len(failures)} of the runs failed, the last: {failures[-1]}\n')
    return report


def check_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse repeated seeds and configs, which would overwrite each other."""
    stems = [Path(path).stem for path in args.configs]
    for name, values in (('--seeds', args.seeds), ('CONFIG', stems)):
        if len(set(values)) < len(values):
            parser.error(f'argument {name}: each must be given once, but got {values}')
    if min(args.seeds) < 0:
        parser.error(f'argument --seeds: a seed must be at least 0, but got {min(args.seeds)}')


def make_run(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    path: str,
    seed: int,
    words: Sequence[str],
) -> SeedRun:
    """Describe the run of one config under one seed.

    Args:
        parser: Reports a config that cannot be read.
        args: Parsed arguments.
        path: Config file.
        seed: The seed.
        words: The command line, of which the words behind --cfg-options are handed on.
    """
    one = copy.copy(args)
    one.config = path
    config = cli.read_config(parser, one)
    overrides: list[str] = []
    if '--cfg-options' in words:
        for word in words[words.index('--cfg-options') + 1 :]:
            if word.startswith('--'):
                break
            overrides.append(word)
    folder = Path(args.work_dir, Path(path).stem, f'seed_{seed}')
    return SeedRun(config, path, tuple(overrides), seed, folder)


def make_report(args: argparse.Namespace, rows: dict[str, dict[int, dict]]) -> dict[str, Any]:
    """Sum up all rows, with what the figures depend on."""
    return dict(
        seeds=args.seeds,
        machine=f'{platform.machine()}, {torch.get_num_threads()} threads, torch '
        f'{torch.__version__}',
        rows={
            name: dict(summarise(list(seeds.values())), by_seed=seeds)
            for name, seeds in rows.items()
        },
    )


def describe(metrics: dict[str, float]) -> str:
    """The scores in a line."""
    return ', '.join(f'{name} {value:.2f}' for name, value in metrics.items())


def make_table(report: dict[str, Any]) -> str:
    """Mean and standard deviation of accuracy and mIoU of every row, in Markdown."""
    kept = ('aAcc', 'mIoU')
    names: list[str] = []
    for row in report['rows'].values():
        for name in row['metrics']:
            if name.rsplit('/', 1)[-1] in kept and name not in names:
                names.append(name)
    table = PrettyTable(['run', 'seeds', *names, 'minutes'])
    table.set_style(TableStyle.MARKDOWN)
    table.align = 'l'
    for label, row in report['rows'].items():
        cells = []
        for name in names:
            found = row['metrics'].get(name)
            spread = '' if not found or found['std'] is None else f' ± {found["std"]:.2f}'
            cells.append(f'{found["mean"]:.2f}{spread}' if found else '')
        minutes = '' if row['seconds'] is None else f'{row["seconds"] / 60:.1f}'
        table.add_row([label, ' '.join(map(str, row['by_seed'])), *cells, minutes])
    return table.get_string()


def write(folder: Path, report: dict[str, Any]) -> None:
    """Print the table and write both files."""
    text = make_table(report)
    print(text)
    write_json(folder / 'seeds.json', report)
    temporary = folder / 'seeds.md.tmp'
    temporary.write_text(text + '\n')
    temporary.replace(folder / 'seeds.md')


if __name__ == '__main__':
    main()
