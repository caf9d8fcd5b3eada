"""Test a segmentor: python tools/test.py CONFIG CHECKPOINT [options]."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmengine.config import Config

from mmseg_picie.engine import cli


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(description='Test a segmentor.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file, or its address')
    parser.add_argument('--out', metavar='DIR', help='also write the predictions, for other tools')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', metavar='DIR', help='draw the predictions into this folder')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='with --show: seconds per image (default: 2)'
    )
    parser.add_argument('--tta', action='store_true', help='use test-time augmentation')
    cli.add_common_arguments(parser)
    return parser


def show_predictions(
    parser: argparse.ArgumentParser, cfg: Config, args: argparse.Namespace
) -> None:
    """Have the visualisation hook draw every prediction, into a window or a folder.

    Args:
        parser: Reports a config without that hook or without a visualiser.
        cfg: The config, changed in place.
        args: Parsed arguments with `show`, `show_dir` and `wait_time`.
    """
    hook = (cfg.get('default_hooks') or {}).get('visualization')
    if not hook or not cfg.get('visualizer'):
        parser.error(
            'arguments --show and --show-dir: the config must have visualizer and '
            "default_hooks.visualization=dict(type='SegVisualizationHook')"
        )
    hook.draw = True
    if args.show:
        hook.show = True
        hook.wait_time = args.wait_time
    if args.show_dir:
        cfg.visualizer.save_dir = args.show_dir


def use_tta(parser: argparse.ArgumentParser, cfg: Config) -> None:
    """Put the test-time augmentation's pipeline and model in place of the plain ones.

    Args:
        parser: Reports a config that lacks them.
        cfg: The config, changed in place.
    """
    missing = [key for key in ('tta_pipeline', 'tta_model') if not cfg.get(key)]
    if missing:
        parser.error(f'argument --tta: the config has no {" and no ".join(missing)}; add it')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def write_predictions(cfg: Config, folder: str) -> None:
    """Have the metrics keep the predictions as files.

    Args:
        cfg: The config, changed in place.
        folder: Where they go.
    """
    evaluators = cfg.test_evaluator
    for evaluator in [evaluators] if isinstance(evaluators, dict) else evaluators:
        evaluator.output_dir = folder
        if evaluator.type == 'CityscapesMetric':  # deletes its folder at the end otherwise
            evaluator.keep_results = True


def main(argv: Sequence[str] | None = None) -> None:
    """Test as the command line says.

    Args:
        argv: Words of the command line; None takes those of this process.
    """
    parser = build_parser()
    args = cli.parse_args(parser, argv)
    cfg = cli.load_config(parser, args)
    cli.require_checkpoint(parser, 'checkpoint', args.checkpoint)
    if not cfg.get('test_cfg'):
        parser.error(
            f'argument config: {args.config} has no test, as its images have no labels; give a '
            'config with test_dataloader, test_evaluator and test_cfg, or segment the images by '
            'tools/predict.py'
        )
    cfg.load_from = args.checkpoint
    cfg.resume = False  # a config that is set to resume its training is tested all the same
    if args.show or args.show_dir:
        show_predictions(parser, cfg, args)
    if args.tta:
        use_tta(parser, cfg)
    if args.out is not None:
        write_predictions(cfg, args.out)
    cli.prepare_launcher(parser, cfg)
    cli.build_runner(cfg).test()
    cli.leave_process_group()


if __name__ == '__main__':
    main()
