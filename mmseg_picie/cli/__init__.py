"""The command `picie`: one file a command.

A file has `add_arguments(parser)`, `check(parser, args)` for what can be told without the toolbox,
and `run(parser, args)`. Nothing large is imported before `run`, and nothing at all for a file with
`NEEDS_TOOLBOX = False`.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import ModuleType
from typing import Any

from .. import register
from ..acceleration.allocator import restart_with_mimalloc
from ..launched import is_first
from ..parents import end_with_parent
from ..toolbox import check_toolbox
from .ending import CommandParser, end_in_a_sentence
from .signals import stop_on_signals

DESCRIPTION = 'Unsupervised semantic segmentation with PiCIE.'
#: Command -> what it does. Its file is named after it.
COMMANDS = {
    'segment': 'segment a folder of photographs, without labels and config',
    'train': 'train a model',
    'test': 'score a checkpoint',
    'predict': 'segment images with a checkpoint',
    'baselines': 'score k-means without any training',
    'compare': 'train configs under several seeds and put the scores into a table',
    'few-labels': 'compare starting weights for a supervised training at few labels',
    'fit-centroids': 'fit the centroids of a checkpoint afresh and score them',
    'judge': 'judge a checkpoint without labels',
    'report': 'write a page that shows what each cluster is',
    'name': "name a model's clusters by hand",
    'suggest-k': 'advise a number of clusters for images without labels',
    'store-map': "name a model's clusters by labelled images",
    'export': 'write a checkpoint as ONNX or torch.export',
    'plot': 'draw the scores of a training',
    'models': 'list released models',
    'release': 'make a folder of a trained model for others',
    'check-data': 'check the data that a config reads',
    'check-device': 'check that a device computes what a CPU does, and how fast',
    'convert': 'convert checkpoints and data sets',
    'demo': 'train on made-up scenes, print the scores, write overlays',
}
CONVERTERS = {
    'released': "a checkpoint of PiCIE's released implementation, to one of this project",
    'backbone': 'a checkpoint, to a plain file of its backbone',
    'camvid': 'CamVid, from its common public layout',
    'imagenet-s50': 'ImageNet-1k, to ImageNet-S-50',
    'potsdam3': 'the ISPRS Potsdam scenes, to tiles',
}
#: Commands that train or cluster, for which the allocator matters.
_TRAINING = ('segment', 'train', 'fit-centroids')
#: Commands that run others.
_PARENTS = ('compare', 'few-labels', 'demo')


def main(argv: Sequence[str] | None = None, is_program: bool = False) -> Any:
    """Run a command.

    Args:
        argv: Words of the command line, the command first; None takes those of this process.
        is_program: Whether this process is there for the command alone: it may start itself again,
            and answers signals.

    Returns:
        What the command has found, such as scores.

    Raises:
        SystemExit: If a user's mistake ends it (exit code 2, see :mod:`.ending`), or a signal.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    path = [_choose('picie', DESCRIPTION, COMMANDS, words[:1])]
    if path == ['convert']:
        path.append(_choose('picie convert', 'Convert ...', CONVERTERS, words[1:2]))
    module, parser = make_parser(path)
    args = parser.parse_words(words[len(path) :])
    # mmengine reads it; torchrun sets it, torch.distributed.launch passes it as an option.
    os.environ.setdefault('LOCAL_RANK', str(getattr(args, 'local_rank', 0)))
    with ExitStack() as stack:
        if is_program:
            stack.enter_context(stop_on_signals(parser.prog, has_children=path[0] in _PARENTS))
        stack.enter_context(end_in_a_sentence(parser.prog, args))
        module.check(parser, args)
        if not getattr(module, 'NEEDS_TOOLBOX', True):
            return module.run(parser, args)
        if path[0] in _TRAINING and is_program:
            restart_with_mimalloc()
        if is_program:
            end_with_parent()
        _load_toolbox(parser, says=not getattr(args, 'show_config', False))
        return _run(module, parser, args)


def make_parser(path: Sequence[str]) -> tuple[ModuleType, CommandParser]:
    """Make the parser of a command.

    Args:
        path: Name of the command; for `convert`, with what it converts.

    Returns:
        The module of the command, and its parser.
    """
    module = importlib.import_module('.' + '_'.join(path).replace('-', '_'), __name__)
    parser = CommandParser(
        prog=' '.join(['picie', *path]),
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parser.add_argument('--debug', action='store_true', help="show an error's traceback")
    return module, parser


class _ShowVersions(argparse.Action):
    """Prints versions, and ends; argparse's own would need them for every command."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from ..apis.versions import describe_versions

        print(describe_versions())
        parser.exit()


def _choose(program: str, description: str, table: Mapping[str, str], words: Sequence[str]) -> str:
    """Read the name of a command, or explain all of them."""
    parser = CommandParser(
        prog=program,
        description=description,
        epilog=f'`{program} COMMAND --help` says more.',
    )
    if table is COMMANDS:
        parser.add_argument(
            '--version', action=_ShowVersions, nargs=0, help='show versions and device, and exit'
        )
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    for name, summary in table.items():
        commands.add_parser(name, help=summary, add_help=False)
    return parser.parse_args(words).command


def _is_loaded() -> bool:
    """Whether the toolbox is imported and this package's parts are registered."""
    return 'mmseg_picie.models' in sys.modules


def _load_toolbox(parser: argparse.ArgumentParser, says: bool = True) -> None:
    """Import the toolbox and register this package's parts, unless that is done, and say so."""
    if _is_loaded():
        return
    try:
        check_toolbox()
    except ImportError as error:
        parser.exit(1, f'{parser.prog}: {error}\n')
    if says and is_first():
        print('Loading PyTorch and MMSegmentation ...', flush=True)
    register()


def _run(module: ModuleType, parser: argparse.ArgumentParser, args: argparse.Namespace) -> Any:
    """Run a command; without --verbose the toolbox's messages go to the log file only."""
    if getattr(args, 'verbose', False):
        return module.run(parser, args)
    from ..apis.quiet import quiet_toolbox

    with quiet_toolbox():
        return module.run(parser, args)
