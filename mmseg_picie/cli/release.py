"""Make a release of a training: a folder with the model and all that is to be known of it.

OUT/NAME then holds the model in one file, its config, log and scores, a model card, an entry for a
metafile, and the sha256 of each. The list OUT/models.json has the model, too, so that OUT can be
given to others as it is: as a folder, or on a web server. docs/model_zoo.md says how they load it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from . import common, outputs

if TYPE_CHECKING:
    from ..apis.release import Release


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'work_dir', metavar='WORK_DIR', help='work folder of a training that is over'
    )
    parser.add_argument(
        '--out', metavar='DIR', required=True, help='folder of releases; made if missing'
    )
    parser.add_argument('--name', help='of the model (default: that of the config)')
    parser.add_argument(
        '--config', help='config of the training (default: the one in the work folder)'
    )
    parser.add_argument(
        '--licence', metavar='WORDS', help='of the weights (for made-up scenes: Apache-2.0)'
    )
    parser.add_argument(
        '--data-licence',
        metavar='WORDS',
        help='of the data, and whether models of them may be passed on (likewise)',
    )
    parser.add_argument(
        '--half',
        action='store_true',
        help='store kernels and matrices as float16: half the size. The rounded model is validated '
        'again, which needs the data, and its scores count',
    )
    common.add_verbose(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse a folder that is not there, and one that cannot be written."""
    if not Path(args.work_dir).is_dir():
        parser.error(
            f'argument WORK_DIR: there is no folder {args.work_dir}; give the work folder of a '
            'training'
        )
    if args.config is not None:
        common.find_config(parser, args.config, '--config')
    outputs.check_folder(parser, '--out', args.out)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Release:
    """Make the release.

    Returns:
        What was made.
    """
    from ..apis.release import make_release
    from ..engine.facts import describe_scores

    done = make_release(
        args.work_dir,
        args.out,
        args.name,
        args.config,
        args.licence,
        args.data_licence,
        args.half,
    )
    scores = describe_scores(done.model.scores)
    if done.rounding:
        changes = ', '.join(f'{key} {value:+.3f}' for key, value in done.rounding.items())
        scores += f'  (rounding changed {changes})'
    common.print_facts(
        {
            'Release': done.folder,
            'Model': f'{Path(args.out, done.model.file)}, {done.model.size / 1e6:.1f} MB',
            'sha256': done.model.sha256,
            'Scores': scores,
            'Licence': f'{done.model.licence}; data ({done.model.data}): {done.model.data_licence}',
            'Paths': f'config.py has paths of this machine: {", ".join(done.paths)}'
            if done.paths
            else '',
        }
    )
    return done
