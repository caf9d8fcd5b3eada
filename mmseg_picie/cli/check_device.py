"""Check that a device computes what a CPU does, and how fast it is.

Runs the functions of the method on the device and on the CPU, trains an epoch on made-up scenes,
takes a step in mixed precision, compares with faiss on a GPU, and times each phase. Prints a table
in Markdown. docs/devices.md says what its rows mean.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..printing import printable
from . import common, outputs

if TYPE_CHECKING:
    from ..apis.device_check import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'device',
        nargs='?',
        help='cuda, cuda:1, mps, xpu or cpu (default: the GPU if there is one)',
    )
    parser.add_argument('--out', metavar='FILE', help='JSON file for all that was found')
    parser.add_argument(
        '--quick', action='store_true', help='small images and few points, to try it out'
    )


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse a file that cannot be written."""
    outputs.check_file(parser, '--out', args.out)


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Report:
    """Check.

    Returns:
        What was found.
    """
    import torch

    from ..apis import device_check
    from ..apis.json_files import write_json
    from ..apis.prediction import check_device, default_device

    name = default_device() if args.device is None else args.device
    with common.refuse(parser, 'device'):
        check_device(name)
    report = device_check.check(
        torch.device(name),
        args.quick,
        lambda row: print(printable(f'{row.part}: {row.check}: {row.result}'), flush=True),
    )
    print()
    device_check.print_report(report)
    print(f'\n{report.summary()}')
    if args.out:
        write_json(args.out, report.to_json())
        common.print_facts({'Figures': args.out})
    if report.has_failed:
        parser.exit(1)
    return report
