"""Check the data that a config reads.

Reads every file of the training, validation and test data as a run does. Reports the number of
images beside the published one (`published_images` of the config), their sizes, duplicates, the
share of each class, and all files that cannot be used, by name. Ends with exit code 2 if a run
would fail.
"""

from __future__ import annotations

import argparse
import sys

from . import common

# So many sentences of a kind are printed for each split.
SENTENCES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('config', help='config file, or name of a ready config')
    parser.add_argument('--workers', type=int, help='threads (default: all cores)')
    parser.add_argument(
        '--fast', action='store_true', help='look at 200 images of each split instead of all'
    )
    common.add_cfg_options(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse values out of range and files that are not there."""
    common.check_config(parser, args)
    if args.workers is not None and args.workers < 1:
        parser.error(f'argument --workers: must be positive, but got {args.workers}')


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check."""
    from ..acceleration.loading import count_cores
    from ..apis.check_data import check_split, compare_splits

    cfg = common.read_config(parser, args)
    loaders = {split: cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test')}
    if loaders['test'] and loaders['val'] and loaders['test'].dataset == loaders['val'].dataset:
        loaders['test'] = None  # the same data again
    splits = [split for split, loader in loaders.items() if loader]
    if not splits:
        parser.error(
            f'argument config: {args.config} has no train_dataloader, val_dataloader or '
            'test_dataloader, so there are no data to check; give a config of a training'
        )
    workers = args.workers or count_cores()
    reports = {}
    for split in splits:
        reports[split] = report = check_split(cfg, split, workers, args.fast)
        print(f'{split}: ' + '\n  '.join(report.facts), flush=True)
        for text in shorten(report.warnings):
            print(f'WARNING: {text}', file=sys.stderr)
    for line in compare_splits(reports):
        print(line)
    problems = [text for report in reports.values() for text in report.problems]
    if len(problems) > 1:
        for text in shorten(problems):
            print(f'PROBLEM: {text}')
        sys.stdout.flush()
    if problems:
        more = f' There are {len(problems) - 1:,} more.' if len(problems) > 1 else ''
        raise ValueError(problems[0] + more)


def shorten(texts: list[str]) -> list[str]:
    """The first of them, and a word about the others."""
    more = len(texts) - SENTENCES
    return texts[:SENTENCES] + ([f'and {more:,} more of this kind.'] if more > 0 else [])
