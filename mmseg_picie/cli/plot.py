"""Draw a training, from its logs, as PNG and SVG.

Writes `curves` (losses, inertia, scores), `cluster_sizes`, and of the last validation
`class_scores` and `confusion`. A training without validation gets what there is. Runs of several
seeds are drawn by `picie compare --plots`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..printing import printable
from . import outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('work_dir', metavar='WORK_DIR', help='work folder of a training')
    parser.add_argument(
        '--out', metavar='DIR', help='folder for the plots (default: WORK_DIR/plots)'
    )
    parser.add_argument(
        '--format',
        nargs='+',
        choices=('png', 'svg'),
        default=('png', 'svg'),
        help='formats (default: both)',
    )


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse a folder that is not there or cannot be written."""
    if not Path(args.work_dir).is_dir():
        parser.error(f'argument WORK_DIR: there is no folder {args.work_dir}; check the path')
    args.out = args.out or str(Path(args.work_dir, 'plots'))
    outputs.check_folder(parser, '--out', args.out)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> list[Path]:
    """Draw.

    Returns:
        The pictures.
    """
    from ..apis.training_plots import plot_training

    found = plot_training(Path(args.work_dir), Path(args.out), list(dict.fromkeys(args.format)))
    for path in found.files:
        print(f'Plot        {printable(str(path))}')
    for sentence in found.missing:
        print(f'Left out    {printable(sentence)}')
    return found.files
