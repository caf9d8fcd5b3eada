"""Write the backbone of a checkpoint as a plain file.

    python tools/model_converters/extract_backbone.py CHECKPOINT [OUT] [--form FORM]
        [--config CONFIG]

OUT, by default CHECKPOINT with `_backbone` added to its name, holds the tensors of the backbone
alone. Any config of mmseg takes it, with or without this package:

    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='OUT'))

The form `torchvision` is for torchvision.models.resnetXX(), whose names are those of mmseg's
ResNet; backbones that torchvision does not name alike are refused. With --config, the backbone of
that config is built and the tensors that fit it are counted.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config

from mmseg_picie.engine import cli
from mmseg_picie.engine.backbone_weights import (
    Match,
    build_backbone,
    match_weights,
    read_backbone,
    to_torchvision,
)


def extract(checkpoint: str | Path, out: str | Path, form: str = 'mmseg') -> int:
    """Write the backbone of a checkpoint.

    Args:
        checkpoint: File of a segmentor.
        out: File to write; it is replaced whole or not at all.
        form: 'mmseg' or 'torchvision'.

    Returns:
        How many tensors were written.

    Raises:
        ValueError: If the checkpoint holds no backbone, or none of this form.
    """
    weights = read_backbone(str(checkpoint))
    if form == 'torchvision':
        weights = to_torchvision(weights)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f'.{out.name}.partial-{os.getpid()}')
    try:
        torch.save(weights, temporary)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return len(weights)


def match_config(checkpoint: str | Path, config: str | Path) -> Match:
    """Compare the backbone of a checkpoint with the one of a config.

    Args:
        checkpoint: File of a segmentor.
        config: Config file of a segmentor.

    Returns:
        The names that match and that do not.

    Raises:
        ValueError: If none matches.
    """
    cfg = Config.fromfile(config)
    weights = read_backbone(str(checkpoint))
    match = match_weights(build_backbone(cfg), weights)
    if not match.matched:
        raise ValueError(
            f'no tensor of {checkpoint} fits the backbone of {config}, {cfg.model.backbone.type}: '
            f'{match}; give the config that the checkpoint was trained with, or one of that '
            'backbone.'
        )
    return match


def main(argv: Sequence[str] | None = None) -> None:
    """Extract as the command line says.

    Args:
        argv: Words of the command line; None takes those of this process.
    """
    parser = argparse.ArgumentParser(description='Write the backbone of a checkpoint.')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='checkpoint of a segmentor')
    parser.add_argument('out', metavar='OUT', nargs='?', help='file to write')
    parser.add_argument('--form', choices=['mmseg', 'torchvision'], default='mmseg')
    parser.add_argument('--config', help='count the tensors that fit the backbone of this config')
    args = parser.parse_args(argv)
    cli.require_checkpoint(parser, 'CHECKPOINT', args.checkpoint)
    source = Path(args.checkpoint)
    out = Path(args.out or source.with_name(f'{source.stem}_backbone.pth'))
    if out.resolve() == source.resolve():
        parser.error(f'argument OUT: {out} is the checkpoint itself; give another name')
    try:
        match = match_config(source, args.config) if args.config else None
        count = extract(source, out, args.form)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(f'{count} tensors of the backbone written to {out}')
    if match is not None:
        print(f'backbone of {args.config}: {match}')


if __name__ == '__main__':
    main()
