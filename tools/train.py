"""Train a segmentor: python tools/train.py CONFIG [options]."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

if __name__ == '__main__':  # before anything large is imported
    from allocator import restart_with_mimalloc

    restart_with_mimalloc()

from mmseg_picie.engine import cli


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(description='Train a segmentor.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='continue from the latest checkpoint in the work folder, or from load_from if the '
        'config names one',
    )
    parser.add_argument('--amp', action='store_true', help='train with automatic mixed precision')
    cli.add_common_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Train as the command line says.

    Args:
        argv: Words of the command line; None takes those of this process.
    """
    parser = build_parser()
    args = cli.parse_args(parser, argv)
    cfg = cli.load_config(parser, args)
    if args.resume:
        cfg.resume = True
    if cfg.get('load_from'):
        cli.require_checkpoint(parser, 'load_from', cfg.load_from)
    if args.amp:
        cli.enable_amp(parser, cfg)
    cli.require_device_for_amp(parser, cfg)
    cli.prepare_launcher(parser, cfg)
    cli.build_runner(cfg).train()
    cli.leave_process_group()


if __name__ == '__main__':
    main()
