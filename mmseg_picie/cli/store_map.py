"""Name a model's clusters by labelled images.

Matches the clusters with the classes on the config's validation images, prints the scores, and
writes the checkpoint again with that map: `picie predict` then names classes, and `picie test`
reports stored/aAcc and stored/mIoU under it, a score without any look at the test labels. Other
labelled images, such as those for training, are given by

  --cfg-options val_dataloader.dataset.data_prefix.img_path=...
  val_dataloader.dataset.data_prefix.seg_map_path=...
"""

from __future__ import annotations

import argparse
import shlex

from . import common, outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('config', help='config file, or name of a ready config')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('out', metavar='OUT', help='checkpoint to write')
    common.add_common_arguments(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse files that are not there."""
    common.check_config(parser, args)
    args.checkpoint = common.find_checkpoint(parser, 'checkpoint', args.checkpoint)
    outputs.check_file(parser, 'OUT', args.out)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict[str, float]:
    """Match and write.

    Returns:
        The metrics of the validation.
    """
    from ..apis.checkpoints import store_map
    from ..apis.launchers import prepare_launcher

    cfg = common.load_config(parser, args)
    if not cfg.get('val_cfg'):
        parser.error(
            f'argument config: {args.config} has no validation, and names need labelled images; '
            'give a config with val_dataloader, val_evaluator and val_cfg'
        )
    common.require(parser, args, cfg, 'model', 'val')
    with common.refuse(parser, '--launcher'):
        prepare_launcher(cfg)
    done = store_map(cfg, args.checkpoint, args.out, args.verbose)
    if done.is_main:
        for name, value in done.metrics.items():
            print(f'{name}: {value:.2f}')
        command = shlex.join(['picie', 'predict', args.config, args.out, 'FOLDER'])
        common.print_facts({'Checkpoint': args.out, 'Full log': done.log, 'Next': command})
    return done.metrics
