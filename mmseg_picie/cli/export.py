"""Export a checkpoint as one file, ONNX or torch.export, that predicts without this package.

It takes uint8 RGB images (N, H, W, 3) at the scale of the training, and returns the id of each
pixel and its confidence. Names, colours and versions are inside. The file is compared with the
model on real images before it is written. docs/export.md shows how to run it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from . import common, outputs

if TYPE_CHECKING:
    from ..apis.export_check import Checked


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'config', nargs='?', help='config file of the training; a model file needs none'
    )
    parser.add_argument('checkpoint', help='checkpoint, or model file of `picie segment`')
    parser.add_argument('out', metavar='OUT', help='file to write, .onnx or .pt2')
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        '--size',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help='height and width of the images that it will take (default: those of the validation)',
    )
    size.add_argument('--dynamic', action='store_true', help='take images of any size')
    parser.add_argument(
        '--ids',
        choices=('auto', 'class', 'cluster'),
        default='auto',
        help='what it returns: classes (255 for clusters without one), clusters, or classes if the '
        'checkpoint knows them',
    )
    parser.add_argument(
        '--images',
        nargs='+',
        default=[],
        metavar='PATH',
        help='image files or folders to check it on (default: the validation images of the config)',
    )
    parser.add_argument(
        '--num-images', type=int, default=20, help='how many of them (default: %(default)s)'
    )
    common.add_cfg_options(parser)
    common.add_verbose(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse values out of range and files that are not there or cannot be written."""
    args.checkpoint = common.find_checkpoint(parser, 'checkpoint', args.checkpoint)
    if args.config is not None:
        common.check_config(parser, args)
    elif args.cfg_options:
        parser.error(
            'argument --cfg-options: a model file holds its own settings; leave the option out, or '
            'give CONFIG'
        )
    if Path(args.out).suffix.lower() not in ('.onnx', '.pt2'):
        parser.error(f'argument OUT: must end in .onnx or .pt2, but got {args.out}')
    outputs.check_file(parser, 'OUT', args.out)
    if args.size is not None and not all(1 <= side <= 16384 for side in args.size):
        parser.error(
            f'argument --size: H and W must be from 1 to 16384 pixels, but got '
            f'{args.size[0]} {args.size[1]}'
        )
    if args.num_images < 1:
        parser.error(f'argument --num-images: must be at least 1, but got {args.num_images}')
    for path in args.images:
        if not Path(path).exists():
            parser.error(
                f'argument --images: {path} does not exist; give image files or a folder of them'
            )


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Checked:
    """Export.

    Returns:
        The comparison with the model.
    """
    from ..apis import export, export_check, legends, model_file, prediction
    from ..whole_files import write_whole

    suffix = Path(args.out).suffix.lower()
    export.check_packages(suffix)
    if args.config is None:
        cfg = model_file.read_settings(args.checkpoint)
    else:
        cfg = common.read_config(parser, args, predicts=True)
        common.require(parser, args, cfg, 'model', 'inference')
    model = prediction.load_model(cfg, args.checkpoint, 'cpu')
    size = None if args.dynamic else tuple(args.size or export_check.find_size(cfg))
    ids = legends.choose_ids(model, args.ids)
    # Read first, so that nothing is exported in vain.
    images = list(export_check.read_images(cfg, args.images, size, args.num_images))
    shown = 'any size' if size is None else f'{size[0]} x {size[1]}'
    print(f'Exporting for images of {shown}, {len(ids.of_clusters)} clusters ...', flush=True)
    exported = export.export(model, suffix, size, ids)
    found = export_check.check(model, exported, images)
    write_whole(args.out, exported.content)
    common.print_facts(
        {
            'File': f'{args.out}, {len(exported.content) / 1e6:.1f} MB, returns {ids.kind} ids',
            'Checked': f'on {found.num_images} images: confidence differs by at most '
            f'{found.difference:.1e}, ids in {100 * found.share:.4f} % of the pixels',
            'Time': f'{1000 * found.file_seconds:.1f} ms an image, the model '
            f'{1000 * found.model_seconds:.1f} ms',
        }
    )
    return found
