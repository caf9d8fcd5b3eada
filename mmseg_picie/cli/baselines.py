"""Score k-means without any training.

Prints pixel accuracy and mIoU of k-means on raw colours and on the untrained encoder's features,
with the config's number of clusters, images and evaluator.
"""

from __future__ import annotations

import argparse

from . import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('config', help='config file')
    parser.add_argument('--out', metavar='FILE', help='JSON file for the scores')
    common.add_common_arguments(parser, launcher=False)


check = common.check_config


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Score.

    Returns:
        The metrics of each baseline.
    """
    from ..apis.baselines import score_baselines
    from ..apis.json_files import write_json

    cfg = common.load_config(parser, args)
    with common.refuse(parser, errors=(ValueError,)):  # a head without centroids
        scores = score_baselines(cfg, args.verbose)
    for name, metrics in scores.items():
        print(f'{name}: aAcc {metrics["aAcc"]:.2f}, mIoU {metrics["mIoU"]:.2f}')
    if args.out:
        write_json(args.out, scores)
    return scores
