"""Checkpoint files that are whole or not there."""

import io
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from mmengine.fileio import LocalBackend, register_backend

from ..whole_files import write_whole

#: File in a work folder that names the checkpoint to resume from.
POINTER = 'last_checkpoint'


@register_backend('local', force=True, prefixes='')
class WholeFileBackend(LocalBackend):
    """mmengine's backend for local files, which writes each complete or not at all.

    It takes the place of mmengine's. So all that mmengine writes by its backends goes this way:
    above all every checkpoint, whatever hook asks for it.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes.

        Args:
            obj (bytes): content.
            filepath (str or Path): where to; its folder is made if missing.
        """
        write_whole(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text.

        Args:
            obj (str): content.
            filepath (str or Path): as of :meth:`put`.
            encoding (str): of the file.
        """
        write_whole(filepath, obj.encode(encoding))


def save_whole(content: Any, path: str | Path) -> None:
    """Write a file of torch, complete or not at all.

    Args:
        content (Any): what to write.
        path (str or Path): where to; its folder is made if missing.

    Raises:
        OSError: If it cannot be written; an earlier file is as it was.
    """
    buffer = io.BytesIO()  # torch hides what a file says when it cannot be written
    torch.save(content, buffer)
    # Released even if that fails: Python 3.12.1 crashes when it collects a view that an error
    # holds.
    with buffer.getbuffer() as view:
        write_whole(path, view)


def is_whole(path: str | Path) -> bool:
    """Whether a file of ``torch.save`` is as it was written; what it holds is not looked at.

    Args:
        path (str or Path): file, perhaps missing.

    Returns:
        bool: whether no byte is missing, and all agree with the file's own checksums.
    """
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
            return any(name.endswith('data.pkl') for name in names) and file.testzip() is None
    except Exception:  # bytes that are no archive fail in any way
        return False


def point_to_whole(work_dir: str, folder: str, template: str) -> str:
    """Have a work folder name the newest checkpoint that is whole as the one to resume from.

    Nothing is changed if it does.

    Args:
        work_dir (str): holds :data:`POINTER`.
        folder (str): holds the checkpoints.
        template (str): their names, with {} for the number, such as 'epoch_{}.pth'.

    Returns:
        str: what was wrong, in a sentence; empty if nothing was.
    """
    pointer = Path(work_dir, POINTER)
    named = pointer.read_bytes().decode(errors='replace').strip() if pointer.is_file() else ''
    if '://' in named or (named and (os.path.isdir(named) or is_whole(named))):
        return ''
    found = find_numbered(folder, template)
    if not found and not pointer.is_file():
        return ''  # a training that has saved nothing
    newest = _read_number(os.path.basename(named), template)
    numbers = [number for number in sorted(found) if newest is None or number <= newest]
    while numbers and not is_whole(found[numbers[-1]]):
        numbers.pop()
    wrong = f'{named or pointer} is missing or damaged'
    if not numbers:
        pointer.unlink(missing_ok=True)
        return f'{wrong} and {folder} holds no other checkpoint, so the training starts anew.'
    write_whole(pointer, found[numbers[-1]])
    return f'{wrong}, so the training goes on from {found[numbers[-1]]}.'


def find_numbered(folder: str, template: str) -> dict[int, str]:
    """Checkpoints of a training by their numbers.

    Args:
        folder (str): holds them; it may be missing.
        template (str): as of :func:`point_to_whole`.

    Returns:
        dict[int, str]: paths.
    """
    if not os.path.isdir(folder):
        return {}
    numbers = {name: _read_number(name, template) for name in os.listdir(folder)}
    return {n: os.path.join(folder, name) for name, n in numbers.items() if n is not None}


def _read_number(name: str, template: str) -> int | None:
    start, _, end = template.partition('{}')
    found = re.fullmatch(f'{re.escape(start)}([0-9]{{1,18}}){re.escape(end)}', name)
    return int(found[1]) if found else None
