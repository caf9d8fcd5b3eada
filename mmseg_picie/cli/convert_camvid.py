"""Convert CamVid from its common public layout to the one that this project's configs read.

SRC is the release that came with SegNet's tutorial, 480 x 360 pixels:

    SRC/{train,val,test}/*.png                 images
    SRC/{trainannot,valannot,testannot}/*.png  class ids 0-10, and 11 where there is none

OUT becomes:

    OUT/images/{train,val,test}/*.png          the same files, or links to them with --link
    OUT/annotations/{train,val,test}/*.png     class ids 0-10, and 255 where there is none

The ids 0-10 are sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist.
"""

from __future__ import annotations

import argparse

from . import convert_parts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('src', metavar='SRC', help='folder with train, trainannot, val, ...')
    parser.add_argument('out', metavar='OUT', help='folder to make, such as data/camvid')
    parser.add_argument('--link', action='store_true', help='link the images, do not copy them')


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse folders that are not there."""
    convert_parts.check_folder(parser, 'SRC', args.src)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Convert."""
    from ..apis.convert_camvid import convert

    convert_parts.convert_data(parser, args.out, lambda: convert(args.src, args.out, args.link))
