"""Segment a folder of photographs: no labels and no config are needed.

Looks at the folder, trains on it, and segments all images. DIR then holds label maps, overlays, a
legend, a report to look at in a browser, and model.pth, the model in one file, which segments other
folders: picie segment --model DIR/model.pth OTHER_FOLDER. The same command goes on where it was
stopped. With --share none it trains alone; calls with other shares then segment the images
together.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from . import common, outputs

#: Options that say how to train.
_OF_TRAINING = ('clusters', 'recipe', 'epochs', 'minutes', 'seed', 'labels', 'weights')


def _number_or_auto(word: str) -> int | str:
    try:
        return word if word == 'auto' else int(word)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'must be a whole number of at least 2, or auto, but is {word!r}'
        ) from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('folder', metavar='FOLDER', help='folder of images, nested or flat')
    parser.add_argument(
        '--out', metavar='DIR', help='folder for the results (default: FOLDER_segments)'
    )
    parser.add_argument(
        '--clusters',
        type=_number_or_auto,
        metavar='K',
        help='number of segments, or auto to have it suggested (default: 12)',
    )
    parser.add_argument(
        '--recipe',
        choices=('quick', 'picie', 'picie-m', 'best'),
        help="quick: no training, a first look; picie: the paper's; picie-m: a better one; best: "
        'picie-m on DINOv2 if its weights can be had (default: best)',
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument('--epochs', type=int, metavar='N', help='how long to train')
    group.add_argument('--minutes', type=float, metavar='M', help='how long to train, about')
    parser.add_argument('--seed', type=int, help='of every random choice (default: 0)')
    parser.add_argument(
        '--labels',
        metavar='FOLDER',
        help='label maps of some images, NAME.png for NAME.jpg: class ids from 0, 255 for none; '
        'classes.txt in it names the classes. Scores and names come from them',
    )
    parser.add_argument('--weights', metavar='FILE', help="DINOv2's weights, for the recipe best")
    parser.add_argument(
        '--model',
        metavar='MODEL',
        help='model.pth of an earlier call, or name of a released model (see `picie models`); '
        'nothing is trained then',
    )
    parser.add_argument(
        '--scale',
        help='size at which the network sees an image: train (that of the training), full (every '
        'pixel), a factor such as 0.5, a shorter side such as 640px, or auto: train, but finer for '
        'large images (default: auto)',
    )
    parser.add_argument(
        '--stretch',
        choices=('none', 'full', 'percentile'),
        help='which levels of more than 8 bits become black and white: none (grey is refused), the '
        'lowest and highest of the type, or of each image 2 and 98 %% (default: none)',
    )
    parser.add_argument(
        '--refine',
        choices=('crf',),
        help='move borders of segments to edges of colours (extra crf)',
    )
    common.add_share(parser, more='; none, to train alone, which comes first')
    parser.add_argument('--device', help='such as cpu, cuda:0 (default: the GPU if there is one)')
    parser.add_argument(
        '--show-config', action='store_true', help='print the config of the recipe, and end'
    )
    common.add_verbose(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse values out of range and files that are not there."""
    for name in ('folder', 'labels'):
        path = getattr(args, name)
        if path is not None and not Path(path).is_dir():
            option = name if name == 'folder' else f'--{name}'
            parser.error(f'argument {option}: there is no folder {path}; check the path')
    if args.weights is not None and not Path(args.weights).is_file():
        parser.error(f'argument --weights: there is no file {args.weights}; check the path')
    if args.model is not None:
        for name in _OF_TRAINING:
            if getattr(args, name) is not None:
                parser.error(
                    f'argument --{name}: a model is taken as it is, so leave --{name} or --model '
                    'out'
                )
    outputs.check_folder(parser, '--out', args.out)
    if args.model is not None:  # last, as it may be downloaded
        args.model = common.find_checkpoint(parser, '--model', args.model)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Any:
    """Segment.

    Returns:
        What is in the folder of the results; None for `--show-config`, and for a share that is not
        the last.
    """
    from ..apis import prediction
    from ..apis import segment as segmenting
    from ..apis.segment_request import default_out

    names = (*_OF_TRAINING, 'model', 'scale', 'stretch', 'refine')
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    out = args.out or str(default_out(args.folder))
    with common.refuse(parser, errors=(ValueError,)):
        request = segmenting.Request(args.folder, out, **given)
    if args.show_config:
        with contextlib.redirect_stdout(sys.stderr):  # the config alone, so that it makes a file
            text = segmenting.show_config(request)
        print(text)
        return None
    device = args.device or prediction.default_device()
    with common.refuse(parser, '--device'):
        prediction.check_device(device)
    result = segmenting.segment_folder(request, device, args.verbose, args.share)
    if result is None:
        return None
    common.print_facts(
        {
            'Report': result.report(),
            'Labels': result.out / 'labels',
            'Overlays': result.out / 'overlays',
            'Legend': result.out / 'legend.json',
            'Model': result.model if result.model.is_file() else args.model,
        }
    )
    return result
