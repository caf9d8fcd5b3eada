"""Score a checkpoint on the test data of a config."""

from __future__ import annotations

import argparse

from . import common, outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('config', help='config file, or name of a ready config')
    parser.add_argument('checkpoint', help='checkpoint file, or its address')
    parser.add_argument('--out', metavar='DIR', help='also write the predictions, for other tools')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', metavar='DIR', help='draw the predictions into this folder')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='with --show: seconds per image (default: 2)'
    )
    parser.add_argument('--tta', action='store_true', help='use test-time augmentation')
    common.add_common_arguments(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse files that are not there."""
    common.check_config(parser, args)
    args.checkpoint = common.find_checkpoint(parser, 'checkpoint', args.checkpoint)
    outputs.check_folder(parser, '--out', args.out)
    outputs.check_folder(parser, '--show-dir', args.show_dir)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict[str, float]:
    """Test.

    Returns:
        The metrics.
    """
    from ..apis import run_options, runs
    from ..apis.launchers import prepare_launcher

    cfg = common.load_config(parser, args)
    if not cfg.get('test_cfg'):
        parser.error(
            f'argument config: {args.config} has no test, as its images have no labels; give a '
            'config with test_dataloader, test_evaluator and test_cfg, or segment the images by '
            '`picie predict`'
        )
    common.require(parser, args, cfg, 'model')
    cfg.load_from = args.checkpoint
    cfg.resume = False  # a config that is set to resume its training is tested all the same
    if args.show or args.show_dir:
        with common.refuse(parser, '--show or --show-dir'):
            run_options.show_predictions(cfg, args.show_dir, args.show, args.wait_time)
    if args.tta:
        with common.refuse(parser, '--tta'):
            run_options.use_tta(cfg)
    if args.out is not None:
        with common.refuse(parser, '--out'):
            run_options.write_predictions(cfg, args.out)
    with common.refuse(parser, '--launcher'):
        prepare_launcher(cfg)
    done = runs.test(cfg, args.verbose)
    if done.is_main:
        for name, value in done.metrics.items():
            print(f'{name}: {value:.2f}')
        results = {'Predicted': args.out, 'Drawn': args.show_dir, 'By class': done.log}
        common.print_facts(results)
    return done.metrics
