"""Advise a number of clusters for images without labels.

Clusters the features of the pretrained, untrained encoder into several numbers of clusters, on up
to 200 images, measures how good each is, and advises one. Writes suggest_k.json and suggest_k.png.
docs/clusters.md says what the figures mean and how far the advice can be trusted.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from . import common, outputs

if TYPE_CHECKING:
    from ..apis.suggest_k import Advice

#: The config that is taken for a folder.
READY = 'picie-m_fpn_efficientnet-lite0_folder'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('folder', nargs='?', help='folder of photographs, nested or flat')
    parser.add_argument(
        '--config',
        help='config of a training, whose encoder and recipe are taken, and without a folder '
        f'its training images (default: {READY})',
    )
    parser.add_argument(
        '--min', type=int, default=2, metavar='K', help='smallest number (default: %(default)s)'
    )
    parser.add_argument(
        '--max', type=int, default=40, metavar='K', help='largest number (default: %(default)s)'
    )
    parser.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        default=[0, 1, 2],
        help='seeds of the clusterings (default: 0 1 2)',
    )
    parser.add_argument('--out', help='folder for the results (default: work_dirs/suggest-k/NAME)')
    parser.add_argument('--device', help='such as cpu, cuda:0 (default: the GPU if there is one)')
    common.add_cfg_options(parser)
    common.add_verbose(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse numbers out of range, and files that are not there or cannot be written."""
    if args.folder is None and args.config is None:
        parser.error(
            'argument folder: there are no images to look at; give a folder of photographs, or '
            '--config'
        )
    if args.folder is not None and not Path(args.folder).is_dir():
        parser.error(f'argument folder: there is no folder {args.folder}; check the path')
    if args.config is not None:
        common.check_config(parser, args)
    if args.min < 2:
        parser.error(f'argument --min: must be at least 2, but got {args.min}')
    if args.max < args.min:
        parser.error(f'argument --max: must be at least --min, {args.min}, but got {args.max}')
    if not all(0 <= seed < 1 << 31 for seed in args.seeds) or len(set(args.seeds)) < len(
        args.seeds
    ):
        parser.error(
            'argument --seeds: must be different numbers from 0 to 2147483647, but got '
            f'{" ".join(map(str, args.seeds))}'
        )
    if args.out is None:
        if args.folder is None:
            name = common.find_config(parser, args.config).stem
        else:
            name = Path(args.folder).resolve().name
        args.out = str(Path('work_dirs', 'suggest-k', name))
    outputs.check_folder(parser, '--out', args.out)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Advice:
    """Try the numbers, and advise.

    Returns:
        The advice.
    """
    from ..apis.feature_sample import use_folder
    from ..apis.prediction import check_device
    from ..apis.suggest_k import describe_table, suggest_k, write_advice

    if args.device:
        with common.refuse(parser, '--device'):
            check_device(args.device)
    args.config, args.work_dir = args.config or READY, args.out
    cfg = common.load_config(parser, args)
    common.require(parser, args, cfg, 'model', 'train')
    if args.folder is not None:
        use_folder(cfg, args.folder)
    advice = suggest_k(cfg, args.seeds, args.min, args.max, args.device, args.verbose)
    files = write_advice(Path(args.out), advice, args.folder or args.config, args.seeds)
    print(describe_table(advice.table))
    print(advice.reason)
    common.print_facts({'Figures': files[0], 'Plot': files[1]})
    return advice
