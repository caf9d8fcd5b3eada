"""Segment images with a checkpoint: label maps, overlays and a legend.

Clusters carry the names of classes if the checkpoint was validated on labels. With --share, several
calls segment the images together, on as many machines as there are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..printing import printable
from . import common, outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('config', help='config of the training: a file, or name of a ready one')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('input', nargs='+', help='image files, or folders of images')
    parser.add_argument(
        *('--out', '--out-dir'),  # as in the other commands, and as in mmseg's inferencer
        dest='out_dir',
        metavar='DIR',
        default='outputs',
        help='folder for the results (default: %(default)s)',
    )
    parser.add_argument('--device', help='such as cpu, cuda:0 (default: the GPU if there is one)')
    parser.add_argument('--opacity', type=float, default=0.6, help='of the segments, in (0, 1]')
    parser.add_argument(
        '--refine',
        choices=('crf',),
        help='move borders of segments to those of colours, by a dense CRF over the whole image '
        '(extra crf); its memory is about 250 + 32 K bytes a pixel for K clusters',
    )
    parser.add_argument('--outlines', action='store_true', help='draw lines between segments')
    parser.add_argument(
        '--ids',
        choices=('auto', 'class', 'cluster'),
        default='auto',
        help='what the label maps hold: classes (255 for clusters without one), clusters, or '
        'classes if the checkpoint knows them',
    )
    parser.add_argument(
        '--scale',
        default='auto',
        help='size at which the network sees an image: train (that of the training), full (every '
        'pixel), a factor such as 0.5, a shorter side such as 640px, or auto: train, but finer for '
        'large images (default: %(default)s)',
    )
    parser.add_argument(
        '--stretch',
        choices=('none', 'full', 'percentile'),
        help='which levels of more than 8 bits become black and white: none (grey is refused), the '
        "lowest and highest of the type, or of each image 2 and 98 %% (default: the config's own)",
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='pass over images whose results are in the folder, of the same model and options',
    )
    common.add_share(parser)
    common.add_cfg_options(parser)
    common.add_verbose(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse values out of range and files that are not there."""
    if not 0 < args.opacity <= 1:
        parser.error(f'argument --opacity: must be in (0, 1], but got {args.opacity}')
    args.checkpoint = common.find_checkpoint(parser, 'checkpoint', args.checkpoint)
    common.check_config(parser, args)
    outputs.check_folder(parser, '--out', args.out_dir)
    for path in args.input:
        if not Path(path).exists():
            parser.error(
                f'argument input: {path} does not exist; give image files or a folder of them'
            )


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Segment."""
    from ..apis import prediction
    from ..apis.shares import parse_share
    from ..models.dense_crf import REFINING_SCALE, DenseCRF

    with common.refuse(parser, '--share'):
        share = None if args.share is None else parse_share(args.share)
    cfg = common.read_config(parser, args, predicts=True)
    common.require(parser, args, cfg, 'model', 'inference')
    device = args.device or prediction.default_device()
    with common.refuse(parser, '--device'):
        prediction.check_device(device)
    sources = prediction.find_sources(args.input, args.out_dir)
    model = prediction.load_model(cfg, args.checkpoint, device)
    if args.refine == 'crf' and model.crf is None:
        model.crf = DenseCRF(scale=REFINING_SCALE)
    classes = model.decode_head.num_clusters
    number = len(sources) if share is None else len(share.take(sources))
    part = (
        f'{number} images' if share is None else f'share {share}: {number} of {len(sources)} images'
    )
    print(f'{part}, {classes} clusters, {device}', flush=True)
    with common.refuse(parser, '--scale'):
        prediction.Labeller(model, args.scale)
    done = prediction.predict_files(
        model,
        sources,
        args.out_dir,
        args.ids,
        args.opacity,
        args.outlines,
        args.scale,
        args.stretch,
        args.resume,
        share,
    )
    for failure in done.failures:
        print(printable(failure), file=sys.stderr)
    if done.legend is None:
        print(f'share {share} is done; the last share to end writes the legend')
        return
    print(
        f'{len(sources) - len(done.failures)} images segmented; label maps, overlays and '
        f'{done.legend.name} are in {args.out_dir}'
    )
    if done.failures:
        sentence = f'{len(done.failures)} of {len(sources)} images could not be read'
        parser.exit(1, f'{parser.prog}: {sentence}; they are named above.\n')
