"""Convert a checkpoint in the layout of PiCIE's released implementation to this project's.

SRC holds, next to the optimiser's state, which is left out:

    epoch, args                a number; an argparse namespace
    state_dict                 backbone.* and decoder.layer1-4.*, with or without 'module.' before
    classifier1_state_dict,    weight (K, D, 1, 1): the centroids of a view;
    classifier2_state_dict     perhaps a bias (K,)

The depth of the ResNet is recognised from the names, D and K from the classifiers. Every name and
shape must be that of the model which mmseg builds; anything missing, unknown or of another shape is
refused. DST is read by `picie test` and `picie predict`.

SRC does not hold the pixels per cluster. The head takes counts of zero for 'not clustered yet', so
all counts are written as 1; only the class weights of a training would use them, and a training
clusters anew first. Nor does SRC hold names, so clusters are called 'cluster 0' to 'cluster K-1'.

Nothing in SRC is run: it is read as plain data.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('src', metavar='SRC', help='checkpoint of the released implementation')
    parser.add_argument('dst', metavar='DST', help='checkpoint to write')
    parser.add_argument('--force', action='store_true', help='replace DST if it exists')


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse a file that is not there."""
    if not Path(args.src).is_file():
        parser.error(f'SRC must be a checkpoint, and there is no file {args.src}')
    outputs.check_file(parser, 'DST', args.dst)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Convert."""
    from ..apis.convert_released import convert, describe

    found = convert(args.src, args.dst, args.force)
    print(describe(found, args.dst))
