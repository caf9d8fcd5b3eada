"""One training a folder."""

import datetime
import json
import logging
import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout
from mmengine.logging import print_log

from ..whole_files import NO_LOCKS, is_alive, write_whole

#: Seconds that the workers of a process that was killed may hold its lock on.
_PATIENCE = 10
# Locks of this process by folder; the operating system frees them when it ends, however it does.
_held: dict[str, FileLock] = {}


class FolderInUse(OSError):
    """Another process trains into the folder."""


def lock_folder(folder: str) -> None:
    """Keep other trainings out of a work folder until this process ends or frees it.

    A second call changes nothing.

    Args:
        folder (str): work folder; it is made if missing.

    Raises:
        FolderInUse: If another process has locked it. The message says which.
        OSError: If nothing can be written to it.
    """
    folder = os.path.realpath(folder)
    if folder in _held:
        return
    os.makedirs(folder, exist_ok=True)
    lock, holder = FileLock(Path(folder, '.training.lock')), Path(folder, '.training.json')
    try:
        lock.acquire(timeout=0 if _may_live(holder) else _PATIENCE)
    except Timeout:
        raise FolderInUse(
            f'{folder} is in use by another training{_describe(holder)}; wait for its end, or give '
            'another folder.'
        ) from None
    except (OSError, NotImplementedError) as error:
        if not isinstance(error, NotImplementedError) and error.errno not in NO_LOCKS:
            raise
        print_log(
            f'The file system of {folder} has no locks; see to it that no other training writes '
            'there.',
            logger='current',
            level=logging.WARNING,
        )
        return
    _held[folder] = lock
    now = datetime.datetime.now().astimezone().isoformat(' ', 'seconds')
    write_whole(holder, json.dumps(dict(pid=os.getpid(), host=socket.gethostname(), since=now)))


def free_folder(folder: str) -> None:
    """Let other processes train into a folder again; nothing if this one has not locked it.

    Args:
        folder (str): of :func:`lock_folder`.
    """
    lock = _held.pop(os.path.realpath(folder), None)
    if lock is not None:
        Path(folder, '.training.json').unlink(missing_ok=True)
        lock.release()


def _read(holder: Path) -> dict:
    try:
        found = json.loads(holder.read_text('utf-8'))
        return found if {'pid', 'host', 'since'} <= found.keys() else {}
    except (OSError, ValueError, AttributeError):
        return {}


def _may_live(holder: Path) -> bool:
    """Whether the process that has locked a folder may be at work; on another machine it may."""
    found = _read(holder)
    if found.get('host') != socket.gethostname() or not isinstance(found['pid'], int):
        return True
    return is_alive(found['pid'])


def _describe(holder: Path) -> str:
    found = _read(holder)
    return f', process {found["pid"]} on {found["host"]} since {found["since"]}' if found else ''
