"""Fit the centroids of a checkpoint, or of pretrained weights, afresh and score them.

Clusters the features of the un-augmented training images with the checkpoint's weights, and
validates with these centroids instead of the checkpoint's own: the "fresh" score. Without a
checkpoint the weights are those that a training starts from: k-means on frozen features. With --out
the new centroids, and their map to classes, become a checkpoint for `picie test` and `picie
predict`.
"""

from __future__ import annotations

import argparse

from . import common, outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('config', help='config file, or name of a ready config')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint file whose weights are used; without it the weights that a training '
        'starts from',
    )
    parser.add_argument('--out', metavar='FILE', help='checkpoint to write, with the new centroids')
    parser.add_argument(
        '--on-val',
        action='store_true',
        help='cluster the images of the validation, which are then scored, as some papers do',
    )
    parser.add_argument('--json', metavar='FILE', help='JSON file for the scores')
    common.add_common_arguments(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse files that are not there."""
    common.check_config(parser, args)
    if args.checkpoint is not None:
        args.checkpoint = common.find_checkpoint(parser, 'checkpoint', args.checkpoint)
    outputs.check_file(parser, '--out', args.out)
    outputs.check_file(parser, '--json', args.json)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict[str, float]:
    """Fit and score.

    Returns:
        The metrics of the validation; empty if the config has none.
    """
    from ..apis.fresh_centroids import score_fresh_centroids
    from ..apis.json_files import write_json
    from ..apis.launchers import prepare_launcher

    cfg = common.load_config(parser, args)
    common.require(parser, args, cfg, 'model', 'train', *(['val'] if args.on_val else []))
    with common.refuse(parser, '--launcher'):
        prepare_launcher(cfg)
    done = score_fresh_centroids(cfg, args.checkpoint, args.out, args.verbose, args.on_val)
    if done.is_main:
        for name, value in done.metrics.items():
            print(f'fresh {name}: {value:.2f}')
        common.print_facts({'Checkpoint': args.out, 'Full log': done.log})
        if args.json:
            write_json(args.json, done.metrics)
    return done.metrics
