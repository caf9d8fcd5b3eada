"""Try the places of results before the work that makes them."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path


def check_folder(parser: argparse.ArgumentParser, argument: str, path: str | Path | None) -> None:
    """End the command if files cannot be written into a folder, which is made later.

    Args:
        parser: Reports it.
        argument: The argument that named it.
        path: The folder; None if there is none.
    """
    if path is None:
        return
    place = Path(path)
    existing = next(one for one in (place, *place.absolute().parents) if one.exists())
    if not existing.is_dir():
        parser.error(
            f'argument {argument}: {path} must be a folder, but {existing} is a file; give another '
            'path'
        )
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        parser.error(
            f'argument {argument}: nothing can be written to {existing} ({error.strerror}); give '
            'another path, or see to its permissions'
        )


def check_file(parser: argparse.ArgumentParser, argument: str, path: str | Path | None) -> None:
    """End the command if a file cannot be written.

    Args:
        parser: Reports it.
        argument: The argument that named it.
        path: The file; None if there is none.
    """
    if path is None:
        return
    place = Path(path)
    if place.exists() and not place.is_file():
        kind = 'a folder' if place.is_dir() else 'no ordinary file'
        parser.error(f'argument {argument}: {path} must be a file, but is {kind}; give a file name')
    check_folder(parser, argument, place.parent)
