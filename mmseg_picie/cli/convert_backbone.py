"""Write the backbone of a checkpoint as a plain file.

OUT, by default CHECKPOINT with `_backbone` added to its name, holds the tensors of the backbone
alone. Any config of mmseg takes it, with or without this package:

    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='OUT'))

The form `torchvision` is for torchvision.models.resnetXX(), whose names are those of mmseg's
ResNet; backbones that torchvision does not name alike are refused. With --config, the backbone of
that config is built and the tensors that fit it are counted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import common, outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='checkpoint of a segmentor')
    parser.add_argument('out', metavar='OUT', nargs='?', help='file to write')
    parser.add_argument('--form', choices=['mmseg', 'torchvision'], default='mmseg')
    parser.add_argument('--config', help='count the tensors that fit the backbone of this config')


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse a checkpoint that is not there, and one that would be written over."""
    args.checkpoint = common.find_checkpoint(parser, 'CHECKPOINT', args.checkpoint)
    source = Path(args.checkpoint)
    args.out = Path(args.out or source.with_name(f'{source.stem}_backbone.pth'))
    if args.out.resolve() == source.resolve():
        parser.error(f'argument OUT: {args.out} is the checkpoint itself; give another name')
    outputs.check_file(parser, 'OUT', args.out)
    if args.config:
        common.find_config(parser, args.config, '--config')


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Extract."""
    from ..apis.backbone_weights import extract_backbone, match_config

    match = match_config(args.checkpoint, args.config) if args.config else None
    count = extract_backbone(args.checkpoint, args.out, args.form)
    print(f'{count} tensors of the backbone written to {args.out}')
    if match is not None:
        print(f'backbone of {args.config}: {match}')
