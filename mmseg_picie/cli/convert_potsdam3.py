"""Cut the ISPRS Potsdam scenes into the tiles that this project's config reads.

SRC holds, in any folders, the scenes of the public benchmark (6000 x 6000 pixels):

    top_potsdam_R_C_RGB.tif      or top_potsdam_R_C_RGBIR.tif, whose first three channels count
    top_potsdam_R_C_label.tif    colour-coded, with boundaries

The 24 scenes that the benchmark labels for training are used; others are passed over. OUT becomes:

    OUT/images/{train,test}/R_C_ROW_COLUMN.png
    OUT/annotations/{train,test}/R_C_ROW_COLUMN.png    ids 0-5: road, building, low vegetation,
                                                       tree, car, clutter

A scene at half its resolution gives 15 x 15 tiles of 200 x 200, 5,400 in all. Of these, 855 drawn
from a fixed seed are for testing, or those named by --test-list.

SRC may also hold the tiles that later papers share, which are in the published split:

    labelled_train.txt, labelled_test.txt      numbers, one a line
    imgs/N.mat, gt/N.mat                       arrays img and gt
"""

from __future__ import annotations

import argparse

from . import convert_parts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('src', metavar='SRC', help='folder with the scenes and their labels')
    parser.add_argument('out', metavar='OUT', help='folder to make, such as data/potsdam3')
    parser.add_argument(
        '--factor', type=float, default=0.5, help='scale of the scenes (default: %(default)s)'
    )
    parser.add_argument(
        '--tile', type=int, default=200, help='side of a tile in pixels (default: %(default)s)'
    )
    parser.add_argument(
        '--tolerance',
        type=int,
        default=0,
        help="largest difference of a label's colour from its class's, per channel (default: 0)",
    )
    parser.add_argument('--test-list', metavar='FILE', help='names of the test tiles, one a line')


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse values out of range and folders that are not there."""
    for name, valid, rule in (
        ('factor', 0 < args.factor <= 1, 'in (0, 1]'),
        ('tile', args.tile > 0, 'positive'),
        ('tolerance', 0 <= args.tolerance <= 127, 'from 0 to 127'),
    ):
        if not valid:
            parser.error(f'argument --{name}: must be {rule}, but got {getattr(args, name)}')
    convert_parts.check_folder(parser, 'SRC', args.src)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Convert."""
    from ..apis.convert_potsdam3 import Options, convert

    options = Options(args.factor, args.tile, args.tolerance)
    convert_parts.convert_data(
        parser, args.out, lambda: convert(args.src, args.out, options, args.test_list)
    )
