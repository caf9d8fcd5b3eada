"""Check the data that a config reads.

Looks at every file of the training and validation data, counts the images against those published
(`published_images` of the config), and reads every label map as the evaluation does. Whatever would
stop a run is reported at once, by the name of the file.
"""

from __future__ import annotations

import argparse
import logging
import os

from . import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--workers', type=int, default=os.cpu_count() or 1, help='threads (default: all cores)'
    )
    common.add_cfg_options(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse values out of range and files that are not there."""
    common.check_config(parser, args)
    if args.workers < 1:
        parser.error(f'argument --workers: must be positive, but got {args.workers}')


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check."""
    from ..apis.check_data import check_split

    cfg = common.read_config(parser, args)
    logging.basicConfig(format='%(levelname)s: %(message)s')
    splits = [split for split in ('train', 'val') if cfg.get(f'{split}_dataloader')]
    if not splits:
        parser.error(
            f'argument config: {args.config} has no train_dataloader and no val_dataloader, so '
            'there are no data to check; give a config of a training'
        )
    for split in splits:
        print(check_split(cfg, split, args.workers))
