"""What the commands that convert data sets share."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

from . import outputs


def check_folder(parser: argparse.ArgumentParser, argument: str, path: str) -> None:
    """End the command if a folder does not exist.

    Args:
        parser: Reports it.
        argument: The argument that named it.
        path: The folder.
    """
    if not Path(path).is_dir():
        parser.error(f'argument {argument}: there is no folder {path}; check the path')


def convert_data(
    parser: argparse.ArgumentParser, out: str, convert: Callable[[], dict[str, int]]
) -> None:
    """Convert a data set, and say how many images it has.

    Args:
        parser: Reports what is wrong with it.
        out: Folder to make.
        convert: Makes it, and returns split -> number of images.
    """
    logging.basicConfig(format='%(levelname)s: %(message)s')
    outputs.check_folder(parser, 'OUT', out)
    counts = convert()
    print(f'{out}: ' + ', '.join(f'{count} {split}' for split, count in counts.items()))
