"""Score k-means without any training.

Prints pixel accuracy and mIoU of k-means on raw colours and on the untrained encoder's features,
with the config's number of clusters, images and evaluator.
"""

from __future__ import annotations

import argparse

from . import common, outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('config', help='config file, or name of a ready config')
    parser.add_argument('--out', metavar='FILE', help='JSON file for the scores')
    common.add_common_arguments(parser, launcher=False)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse files that are not there or cannot be written."""
    common.check_config(parser, args)
    outputs.check_file(parser, '--out', args.out)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Score.

    Returns:
        The metrics of each baseline.
    """
    from ..apis.baselines import score_baselines
    from ..apis.json_files import write_json

    cfg = common.load_config(parser, args)
    common.require(parser, args, cfg, 'model', 'train', 'val')
    scores = score_baselines(cfg, args.verbose)
    for name, metrics in scores.items():
        print(f'{name}: aAcc {metrics["aAcc"]:.2f}, mIoU {metrics["mIoU"]:.2f}')
    if args.out:
        write_json(args.out, scores)
    return scores
