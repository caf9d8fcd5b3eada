"""Score k-means without training: python tools/baselines.py CONFIG [--out FILE].

Prints pixel accuracy and mIoU of k-means on raw colours and on the untrained encoder's features,
with the config's number of clusters, images and evaluator.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmseg_picie.engine import cli
from mmseg_picie.engine.baselines import score_raw_colours, score_untrained_features
from mmseg_picie.engine.fresh_centroids import without_augmentation
from mmseg_picie.engine.json_files import write_json


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Score as the command line says.

    Args:
        argv: Words of the command line; None takes those of this process.

    Returns:
        The metrics of each baseline.
    """
    parser = argparse.ArgumentParser(description='Score k-means without training.')
    parser.add_argument('config', help='config file')
    parser.add_argument('--out', help='JSON file for the scores')
    cli.add_common_arguments(parser, launcher=False)
    args = cli.parse_args(parser, argv)
    cfg = without_augmentation(cli.load_config(parser, args))
    cfg.load_from, cfg.resume = None, False
    runner = cli.build_runner(cfg)
    scores = {'k-means on raw colours': score_raw_colours(runner)}
    try:
        scores['k-means on untrained features'] = score_untrained_features(runner)
    except ValueError as error:  # a head without centroids
        parser.error(str(error))
    for name, metrics in scores.items():
        print(f'{name}: aAcc {metrics["aAcc"]:.2f}, mIoU {metrics["mIoU"]:.2f}')
    if args.out:
        write_json(args.out, scores)
    return scores


if __name__ == '__main__':
    main()
