"""Train configs under several seeds, and put the scores into a table.

Prints mean and standard deviation of the last validation's scores as a table, and writes it, with
the scores of each seed, to WORK_DIR/seeds.json and WORK_DIR/seeds.md. Call it again after an
interruption: finished seeds are not repeated, an unfinished one goes on from its last checkpoint.
So `--plots` can be given later.
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..printing import printable
from . import common, outputs
from .ending import tell

if TYPE_CHECKING:
    from ..apis.seed_runs import SeedRun


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='configs, one row each')
    parser.add_argument('--seeds', nargs='+', type=int, required=True, help='such as 1 2 3')
    parser.add_argument('--work-dir', default='work_dirs/seeds', help='(default: %(default)s)')
    parser.add_argument(
        '--fresh', action='store_true', help='also score centroids fitted afresh at the end'
    )
    parser.add_argument(
        '--fresh-on-val',
        action='store_true',
        help='also score centroids fitted on the images of the validation, as some papers do',
    )
    parser.add_argument(
        '--best-epoch',
        action='store_true',
        help='also show the epoch that the labels of the validation choose, as many papers do',
    )
    parser.add_argument(
        '--baselines',
        action='store_true',
        help='also score k-means on raw colours and on untrained features, for the first config',
    )
    parser.add_argument(
        '--pick',
        action='store_true',
        help='also judge each run without labels (picie judge), and choose a seed of each config',
    )
    parser.add_argument(
        '--plots',
        metavar='DIR',
        help='folder for plots: scores over epochs, IoU per class, clusters against classes',
    )
    common.add_cfg_options(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse missing files, and repeated seeds and configs, which would overwrite each other."""
    for one in _split(args):
        common.check_config(parser, one)
    stems = [common.find_config(parser, path).stem for path in args.configs]
    for name, values in (('--seeds', args.seeds), ('CONFIG', stems)):
        if len(set(values)) < len(values):
            parser.error(f'argument {name}: each must be given once, but got {values}')
    outputs.check_folder(parser, '--work-dir', args.work_dir)
    outputs.check_folder(parser, '--plots', args.plots)
    if min(args.seeds) < 0:
        parser.error(f'argument --seeds: a seed must be at least 0, but got {min(args.seeds)}')


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict[str, Any]:
    """Run what is not done yet, and sum up.

    Returns:
        The content of seeds.json.
    """
    from ..apis import seed_runs

    rows: dict[str, dict[int, dict]] = {}
    folders: dict[str, dict[int, Path]] = {}
    failures: list[seed_runs.RunError] = []
    for i, job in enumerate(_list_runs(parser, args)):
        label = job.folder.parent.name
        print(f'[{i + 1}/{len(args.configs) * len(args.seeds)}] {label}, seed {job.seed} ...')
        sys.stdout.flush()
        try:
            baselines = args.baselines and i < len(args.seeds)
            found = seed_runs.run_once(job, args.fresh, baselines, args.pick, args.fresh_on_val)
        except seed_runs.RunError as error:
            failures.append(error)
            print(printable(str(error)), flush=True)
            continue
        if args.best_epoch:
            found['trained']['metrics'] |= seed_runs.read_best(job.folder)
        folders.setdefault(label, {})[job.seed] = job.folder
        for name, row in found.items():
            name = label if name == 'trained' else name
            rows.setdefault(name, {})[job.seed] = row
            scores = ', '.join(f'{key} {value:.2f}' for key, value in row['metrics'].items())
            print(f'{name}, seed {job.seed}: {scores}', flush=True)
    report = seed_runs.make_report(args.seeds, rows)
    if rows:
        print(seed_runs.write_report(Path(args.work_dir), report))
        if args.pick:
            _pick(Path(args.work_dir), rows, folders)
        if args.plots is not None:
            _plot(Path(args.plots), folders)
    if failures:
        sentence = f'{len(failures)} of the runs failed, the last: {failures[-1]}'
        if not rows and all(failure.is_mistake for failure in failures):
            parser.error(sentence)
        tell(parser.prog, sentence)
        parser.exit(1)
    return report


def _pick(
    work_dir: Path, rows: dict[str, dict[int, dict]], folders: dict[str, dict[int, Path]]
) -> None:
    """Judge the seeds of each row, and say which one is chosen."""
    from ..apis.judged_runs import CHOOSING, judge_rows, write_judgement

    text, chosen = write_judgement(work_dir, judge_rows(rows, folders))
    print(text)
    for name, choice in chosen.items():
        said = ''
        if 'gain' in choice:
            gain, loss = choice['gain'], choice['loss']
            said = f', {gain:+.2f} mIoU to the mean seed, {loss:.2f} below the best'
        print(f'Picked      {name}: seed {choice["seed"]}, by {CHOOSING}{said}')


def _plot(out: Path, folders: dict[str, dict[int, Path]]) -> None:
    """Draw what the runs have written."""
    from ..apis.comparison_plots import plot_runs

    for path in plot_runs(out, folders):
        print(f'Plot        {printable(str(path))}')


def _split(args: argparse.Namespace) -> list[argparse.Namespace]:
    """The arguments, for each config alone."""
    parts = []
    for path in args.configs:
        parts.append(copy.copy(args))
        parts[-1].config = path
    return parts


def _list_runs(parser: argparse.ArgumentParser, args: argparse.Namespace) -> list[SeedRun]:
    """The runs of each config under each seed."""
    from ..apis.seed_runs import SeedRun

    jobs = []
    for one in _split(args):
        cfg, overrides = common.read_config(parser, one), tuple(args.cfg_options or ())
        common.require(parser, one, cfg, 'model', 'train', 'val')
        name = common.find_config(parser, one.config).stem
        for seed in args.seeds:
            folder = Path(args.work_dir, name, f'seed_{seed}')
            jobs.append(SeedRun(cfg, one.config, overrides, seed, folder))
    return jobs
