"""List released models: scores, size, sha256, licences, and where they are.

They are those of SOURCE, of the folder models in MMSEG_PICIE_HOME (~/.cache/mmseg_picie), and of
this package. `picie segment --model NAME FOLDER` takes one by its name, and so does every command
that takes a checkpoint. To have a SOURCE looked at by all of them, set MMSEG_PICIE_MODELS to it.
"""

from __future__ import annotations

import argparse
import sys

from ..apis import model_store
from ..apis.model_store import Found
from ..printing import printable
from . import common

#: Nothing large is imported.
NEEDS_TOOLBOX = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'source',
        nargs='?',
        metavar='SOURCE',
        help='folder or address (https://, http://, file://) of models that `picie release` has '
        'made (default: that of MMSEG_PICIE_MODELS, if it is set)',
    )


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Nothing can be told before the lists are read."""


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> list[Found]:
    """Read the lists, and show them.

    Returns:
        What they have.
    """
    with common.refuse(parser, 'SOURCE'):
        found, failures = model_store.list_models(args.source)
    for one in found:
        model = one.model
        print(printable(model.name))
        scores = '  '.join(f'{name} {value:.2f} %' for name, value in model.scores.items())
        common.print_facts(
            {
                '  Data': model.data,
                '  Scores': scores,
                '  Size': f'{model.size / 1e6:.1f} MB',
                '  sha256': model.sha256,
                '  Licence': f'{model.licence}; data: {model.data_licence}',
                '  Place': one.address,
            }
        )
    if not found:
        print('There are no released models here; `picie models SOURCE` lists those of a folder.')
    for failure in failures:
        print(printable(failure), file=sys.stderr)
    if failures:
        parser.exit(1)
    return found
