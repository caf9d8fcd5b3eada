"""Fit centroids afresh and score them: python tools/fit_centroids.py CONFIG CHECKPOINT [options].

Clusters the features of the un-augmented training images with the checkpoint's weights, and
validates with these centroids instead of the checkpoint's own: the "fresh" score. With --out the
new centroids, and their map to classes, become a checkpoint for tools/test.py and predict.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

if __name__ == '__main__':  # before anything large is imported
    from allocator import restart_with_mimalloc

    restart_with_mimalloc()

from mmengine.dist import is_main_process

from mmseg_picie.engine import cli
from mmseg_picie.engine.class_map_hook import save_for_prediction
from mmseg_picie.engine.fresh_centroids import fit_fresh_centroids, without_augmentation
from mmseg_picie.engine.json_files import write_json


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Fit and score as the command line says.

    Args:
        argv: Words of the command line; None takes those of this process.

    Returns:
        The metrics of the validation; empty if the config has none.
    """
    parser = argparse.ArgumentParser(description='Fit centroids afresh and score them.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file whose weights are used')
    parser.add_argument('--out', metavar='FILE', help='checkpoint to write, with the new centroids')
    parser.add_argument('--json', metavar='FILE', help='JSON file for the scores')
    cli.add_common_arguments(parser)
    args = cli.parse_args(parser, argv)
    cfg = without_augmentation(cli.load_config(parser, args))
    cli.require_checkpoint(parser, 'checkpoint', args.checkpoint)
    cfg.load_from, cfg.resume = args.checkpoint, False
    cli.prepare_launcher(parser, cfg)
    runner = cli.build_runner(cfg)
    runner.load_or_resume()
    try:
        fit_fresh_centroids(runner)
    except ValueError as error:
        parser.error(str(error))
    metrics = runner.val() if cfg.get('val_cfg') else {}
    for name, value in metrics.items():
        print(f'fresh {name}: {value:.2f}')
    if args.out and is_main_process():
        save_for_prediction(runner, args.checkpoint, args.out)
    if args.json and is_main_process():
        write_json(args.json, metrics)
    cli.leave_process_group()
    return metrics


if __name__ == '__main__':
    main()
