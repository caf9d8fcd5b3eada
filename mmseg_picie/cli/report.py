"""Write a report to look at: what each cluster of a model is.

The page is one HTML file that needs no network. It shows the clusters with patches nearest to and
farthest from their centroids, the images with their segments, the curves of the training and
warnings, and lets you name clusters, merge them and pick their colours. `picie name` puts the names
into the checkpoint.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..apis.model_store import get_checkpoint
from ..printing import printable
from . import common, outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'run',
        metavar='WORK_DIR_OR_CHECKPOINT',
        help='work folder of a training or of `picie segment`, a checkpoint, a model file, or the '
        'name of a released model',
    )
    parser.add_argument(
        '--config', help='config of the training (default: the one beside the checkpoint)'
    )
    parser.add_argument(
        '--images',
        nargs='+',
        metavar='PATH',
        help='images, or folders of images (default: those of the training)',
    )
    parser.add_argument(
        '--labels', metavar='FOLDER', help='label maps of some of the images, named as these'
    )
    parser.add_argument('--out', default='report.html', help='HTML file to write')
    parser.add_argument('--device', help='such as cpu, cuda:0 (default: the GPU if there is one)')
    common.add_cfg_options(parser)
    common.add_verbose(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse files that are not there or cannot be written."""
    if not Path(args.run).exists():
        with common.refuse(parser, 'WORK_DIR_OR_CHECKPOINT'):
            args.run = get_checkpoint(args.run)
    if args.config is not None:
        common.check_config(parser, args)
    for path in args.images or ():
        if not Path(path).exists():
            parser.error(
                f'argument --images: {path} does not exist; give image files or a folder of them'
            )
    if args.labels is not None and not Path(args.labels).is_dir():
        parser.error(f'argument --labels: there is no folder {args.labels}; check the path')
    outputs.check_file(parser, '--out', args.out)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Segment and write."""
    from ..apis import model_file, prediction, report, report_labels, run_history

    found = run_history.find_run(args.run, args.config)
    if found.config is None:
        if args.cfg_options:
            parser.error(
                'argument --cfg-options: a model file holds its own settings; leave the option out'
            )
        cfg = model_file.read_settings(found.checkpoint)
    else:
        args.config = str(found.config)
        cfg = common.read_config(parser, args, predicts=True)
        common.require(parser, args, cfg, 'model', 'inference')
    device = args.device or prediction.default_device()
    with common.refuse(parser, '--device'):
        prediction.check_device(device)
    if args.images:
        sources = prediction.find_sources(args.images)
    else:
        sources = report_labels.images_of(found, cfg)
    labels = None
    if args.labels:
        with common.refuse(parser, '--labels'):
            labels = report_labels.read_label_folder(args.labels, sources, cfg)
    model = prediction.load_model(cfg, str(found.checkpoint), device)
    print(f'{len(sources)} images, {model.decode_head.num_clusters} clusters, {device}', flush=True)
    done = report.write_report(
        args.out,
        model,
        sources,
        title=f'Segments of {found.checkpoint.resolve().parent.name}',
        history=run_history.read_history_of(found),
        labels=labels,
        settings=run_history.describe_settings(found, cfg),
    )
    for line in report.shorten(done.findings):
        print(f'  {printable(line)}')
    shown = f' ({done.num_shown} of them shown)' if done.num_shown < done.num_images else ''
    size = Path(args.out).stat().st_size / 1e6
    images = 'image' if done.num_images == 1 else 'images'
    print(f'{args.out}: {done.num_images} {images}{shown}, {size:.1f} MB; open it in a browser')
    for failure in done.failures:
        print(printable(failure), file=sys.stderr)
