"""Segment a folder of made-up scenes.

Writes scenes as image files, segments the folder as a user would, scores k-means on raw colours and
on untrained features with the same images, clusters and match, and puts some scenes, their labels
and their segments side by side. No label is used in training.
"""

from __future__ import annotations

import argparse

from . import outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('--seed', type=int, default=0, help='seed of everything (default: 0)')
    parser.add_argument('--work-dir', default='work_dirs/demo', help='folder for all results')


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse values out of range."""
    if args.seed < 0:
        parser.error(f'argument --seed: a seed must be at least 0, but got {args.seed}')
    outputs.check_folder(parser, '--work-dir', args.work_dir)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Run the demo."""
    from ..apis.demo import run_demo

    run_demo(args.seed, args.work_dir)
