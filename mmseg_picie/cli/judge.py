"""Judge a checkpoint without labels, to choose between runs.

Prints figures of its clusters on 100 training images: how far two augmented views agree, the
silhouette of pixels, the entropy of cluster sizes, and the share of borders that lie on colour
edges. docs/recipes.md says which of them go along with mIoU.
"""

from __future__ import annotations

import argparse

from . import common, outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('config', help='config of the training: a file, or name of a ready one')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--json', metavar='FILE', help='JSON file for the figures')
    parser.add_argument(
        '--clusters', metavar='FILE', help='.npy file for the clusters of the images (n, h, w)'
    )
    common.add_common_arguments(parser, launcher=False)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse files that are not there or cannot be written."""
    common.check_config(parser, args)
    args.checkpoint = common.find_checkpoint(parser, 'checkpoint', args.checkpoint)
    outputs.check_file(parser, '--json', args.json)
    outputs.check_file(parser, '--clusters', args.clusters)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict[str, float]:
    """Judge.

    Returns:
        The figures by name.
    """
    import numpy as np

    from ..apis.json_files import write_json
    from ..apis.judgement import judge
    from ..whole_files import open_whole

    cfg = common.load_config(parser, args)
    common.require(parser, args, cfg, 'model', 'train')
    found = judge(cfg, args.checkpoint, args.verbose)
    for name, value in found.figures.items():
        print(f'{name}: {value:.3f}')
    if args.clusters:
        with open_whole(args.clusters) as file:
            np.save(file, found.clusters)
    if args.json:
        write_json(args.json, found.figures)
    return found.figures
