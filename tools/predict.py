"""Segment images: python tools/predict.py CONFIG CHECKPOINT INPUT [INPUT ...] [options].

Writes label maps, overlays and a legend. Clusters carry the names of classes if the checkpoint was
validated on labels.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmseg_picie.engine import cli, prediction


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(description='Segment images.')
    parser.add_argument('config', help='config file of the training')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('input', nargs='+', help='image files, or folders of images')
    parser.add_argument('--out-dir', default='outputs', help='folder for the results')
    parser.add_argument('--device', default=prediction.default_device(), help='such as cpu, cuda:0')
    parser.add_argument('--opacity', type=float, default=0.6, help='of the segments, in (0, 1]')
    parser.add_argument(
        '--ids',
        choices=prediction.ID_KINDS,
        default='auto',
        help='what the label maps hold: classes (255 for clusters without one), clusters, or '
        'classes if the checkpoint knows them',
    )
    cli.add_cfg_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Segment as the command line says.

    Args:
        argv: Words of the command line; None takes those of this process.
    """
    parser = build_parser()
    args = cli.parse_args(parser, argv)
    if not 0 < args.opacity <= 1:
        parser.error(f'argument --opacity: must be in (0, 1], but got {args.opacity}')
    cli.require_checkpoint(parser, 'checkpoint', args.checkpoint)
    cfg = cli.read_config(parser, args)
    try:
        sources = prediction.find_sources(args.input, args.out_dir)
        model = prediction.load_model(cfg, args.checkpoint, args.device)
        legend = prediction.predict_files(model, sources, args.out_dir, args.ids, args.opacity)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    print(
        f'{len(sources)} images segmented; label maps, overlays and {legend.name} are in '
        f'{args.out_dir}'
    )


if __name__ == '__main__':
    main()
