"""Name a model's clusters by labelled images: python tools/store_map.py CONFIG CHECKPOINT OUT.

Matches the clusters with the classes on the config's validation images, prints the scores, and
writes the checkpoint again with that map: tools/predict.py then names classes, and tools/test.py
reports stored/aAcc and stored/mIoU under it, a score without any look at the test labels. Other
labelled images, such as those for training, are given by

  --cfg-options val_dataloader.dataset.data_prefix.img_path=...
  val_dataloader.dataset.data_prefix.seg_map_path=...
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from mmengine.dist import is_main_process

from mmseg_picie.engine import cli
from mmseg_picie.engine.class_map_hook import save_for_prediction


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Match and write as the command line says.

    Args:
        argv: Words of the command line; None takes those of this process.

    Returns:
        The metrics of the validation.
    """
    parser = argparse.ArgumentParser(description="Name a model's clusters by labelled images.")
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('out', metavar='OUT', help='checkpoint to write')
    cli.add_common_arguments(parser)
    args = cli.parse_args(parser, argv)
    cfg = cli.load_config(parser, args)
    cli.require_checkpoint(parser, 'checkpoint', args.checkpoint)
    if not cfg.get('val_cfg'):
        parser.error(
            f'argument config: {args.config} has no validation, and names need labelled images; '
            'give a config with val_dataloader, val_evaluator and val_cfg'
        )
    cfg.load_from, cfg.resume = args.checkpoint, False
    cli.prepare_launcher(parser, cfg)
    runner = cli.build_runner(cfg)
    metrics = runner.val()
    if math.isnan(metrics.get('mIoU', 0.0)):
        parser.error(
            f'argument config: no pixel of the validation images of {args.config} is labelled, and '
            'names need labels; check val_dataloader.dataset'
        )
    for name, value in metrics.items():
        print(f'{name}: {value:.2f}')
    if is_main_process():
        save_for_prediction(runner, args.checkpoint, args.out)
    cli.leave_process_group()
    return metrics


if __name__ == '__main__':
    main()
