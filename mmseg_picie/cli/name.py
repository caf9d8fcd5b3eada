"""Name a model's clusters by hand.

Takes names.json, which the page of `picie report` saves, and writes the checkpoint again with its
names, merged clusters and colours. From then on `picie predict`, its legend and overlays, and
mmseg's inference use them. A name that is given by hand goes before a class that labels gave.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from ..apis.model_store import get_checkpoint
from ..printing import printable
from . import common, outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('checkpoint', help='checkpoint file, or the name of a released model')
    parser.add_argument('names', metavar='NAMES.json', help='file of names, saved on the report')
    parser.add_argument(
        '--out',
        help='checkpoint to write (default: CHECKPOINT_named.pth beside it, or NAME_named.pth here '
        'of a released model; name the checkpoint itself to change it)',
    )


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse files that are not there or cannot be written."""
    if not Path(args.checkpoint).is_file():
        name = args.checkpoint
        with common.refuse(parser, 'checkpoint'):
            args.checkpoint = get_checkpoint(name)
        args.out = args.out or f'{name}_named.pth'  # where models are kept is not ours to write
    if not Path(args.names).is_file():
        parser.error(
            f'argument NAMES.json: there is no file {args.names}; save it on the page of `picie '
            'report`'
        )
    outputs.check_file(parser, '--out', args.out)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> list[str]:
    """Write the names into the checkpoint.

    Returns:
        What the clusters are called now.
    """
    from ..apis.cluster_names import name_checkpoint
    from ..apis.model_file import is_model_file

    path = Path(args.checkpoint)
    out = args.out or str(path.with_name(f'{path.stem}_named{path.suffix}'))
    called = name_checkpoint(args.checkpoint, args.names, out)
    for number, name in enumerate(called):
        print(f'{number:4}  {printable(name)}')
    words = ['segment', '--model', out] if is_model_file(out) else ['predict', 'CONFIG', out]
    common.print_facts({'Checkpoint': out, 'Next': shlex.join(['picie', *words, 'FOLDER'])})
    return called
