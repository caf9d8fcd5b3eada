"""Make ImageNet-S-50 from an ImageNet-1k folder and the benchmark's public label maps.

IMAGENET is ImageNet-1k, unpacked:

    IMAGENET/train/nXXXXXXXX/*.JPEG
    IMAGENET/val/*.JPEG                                 or in folders by synset

SEGMENTATION is the benchmark's unpacked archive, or the folder in it that holds

    SEGMENTATION/validation-segmentation/nXXXXXXXX/*.png    ids as red + 256 green

OUT becomes, by links or with --copy by copies:

    OUT/train/nXXXXXXXX/*.JPEG                          images of the 50 synsets
    OUT/validation/nXXXXXXXX/*.JPEG                     images that have a label map
    OUT/validation-segmentation/nXXXXXXXX/*.png
    OUT/test/*.JPEG                                     with --test-list, a file of image names

The benchmark takes some of its validation and test images from ImageNet's training images. These
are left out of OUT/train, as far as label maps and the list name them.
"""

from __future__ import annotations

import argparse

from . import convert_parts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('imagenet', metavar='IMAGENET', help='folder with train and val')
    parser.add_argument(
        'segmentation', metavar='SEGMENTATION', help='folder with validation-segmentation'
    )
    parser.add_argument('out', metavar='OUT', help='folder to make, such as data/ImageNetS50')
    parser.add_argument('--copy', action='store_true', help='copy the files, do not link them')
    parser.add_argument('--test-list', metavar='FILE', help='names of test images, one a line')


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse folders that are not there."""
    convert_parts.check_folder(parser, 'IMAGENET', args.imagenet)
    convert_parts.check_folder(parser, 'SEGMENTATION', args.segmentation)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Convert."""
    from ..apis.convert_imagenet_s50 import convert

    words = (args.imagenet, args.segmentation, args.out, args.copy, args.test_list)
    convert_parts.convert_data(parser, args.out, lambda: convert(*words))
