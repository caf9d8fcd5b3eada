"""Files that are whole or not there, whatever ends the process that writes them.

A file is written under a temporary name beside its place, flushed to the disk and moved into place.
Its writer holds a lock on it, which ends with the writer. So what a killed process has left can be
told from what another one is writing, and is removed when its folder is next written to.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed
    fcntl = None  # type: ignore[assignment]

#: What a file system says that has no locks.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
#: Temporary names: of this version, and of earlier ones, whose writers held no lock.
_PARTIAL = re.compile(r'\..*\.partial-(\d+)(-[0-9a-f]{8})?', re.DOTALL)
# Folders in which this process has looked for leftovers.
_cleaned: set[str] = set()


def write_whole(path: str | Path, content: bytes | memoryview | str) -> None:
    """Write a file, complete or not at all.

    Args:
        path: Where to; its folder is made if missing. A link stays one, and its target is written.
        content: Bytes, or text, which is written in UTF-8.

    Raises:
        OSError: If it cannot be written; it names ``path``, where an earlier file is as it was.
    """
    with open_whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def open_whole(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a file for writing bytes; it goes into place at the end, or not at all.

    Args:
        path: As of :func:`write_whole`.

    Yields:
        The file.

    Raises:
        OSError: As of :func:`write_whole`.
    """
    with naming(path):
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        is_stream = os.path.exists(path) and not os.path.isfile(path)
        if is_stream or str(path).startswith('/dev/'):  # nothing can take the place of /dev/stdout
            with open(path, 'wb') as file:
                yield file
            return
        place = os.path.realpath(path)
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
        handle, temporary = _open_aside(place)
        try:
            with os.fdopen(handle, 'wb') as file:
                yield file
                file.flush()
                _keep_mode(file, place)
                os.fsync(file.fileno())
                os.replace(temporary, place)
                _flush_folder(place)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise


@contextmanager
def folder_aside(out: Path) -> Iterator[Path]:
    """Make a folder as a whole: it goes into place at the end, or not at all.

    Args:
        out: Folder to make; it must not exist, or be empty.

    Yields:
        Folder to write to instead, which does not exist yet.

    Raises:
        OSError: If it cannot be written; it names ``out`` if it would name no file.
    """
    with naming(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = _make_folder_aside(str(out))
        try:
            yield Path(aside, out.name)
            _flush_tree(aside)
            if out.exists():
                out.rmdir()
            os.rename(os.path.join(aside, out.name), out)
            _flush_folder(str(out))
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            os.close(handle)


def remove_leftovers(folder: str | Path) -> None:
    """Remove what killed processes were writing into a folder, and nothing of living ones.

    Args:
        folder: As it is, without the folders in it. It may be missing.
    """
    _cleaned.add(os.path.realpath(folder))
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _PARTIAL.fullmatch(entry.name)
            if found and not entry.is_symlink() and (found[2] or not is_alive(int(found[1]))):
                _remove_if_abandoned(entry)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Within, an ``OSError`` that names no file, or a temporary one, names this one.

    Args:
        path: File or folder that is being written.
    """
    try:
        yield
    except OSError as error:
        parts = Path(os.fsdecode(error.filename or '')).parts
        if error.errno is None or (parts and not any(map(_PARTIAL.fullmatch, parts))):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _open_aside(place: str) -> tuple[int, str]:
    """Make and lock a temporary file; its name may be shorter than that of its place."""
    folder = os.path.dirname(place)
    if folder not in _cleaned:
        remove_leftovers(folder)
    while True:
        temporary = _name_aside(place)
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        # Somebody may have taken it for a leftover before it was locked.
        if _lock(handle) is not False and os.path.exists(temporary):
            return handle, temporary
        os.close(handle)


def _make_folder_aside(place: str) -> tuple[int, str]:
    """Make and lock a temporary folder."""
    remove_leftovers(os.path.dirname(os.path.abspath(place)))
    while True:
        temporary = _name_aside(place)
        os.mkdir(temporary)
        handle = os.open(temporary, os.O_RDONLY)
        if _lock(handle) is not False and os.path.exists(temporary):
            return handle, temporary
        os.close(handle)


def _name_aside(place: str) -> str:
    folder, name = os.path.split(place)
    return os.path.join(folder, f'.{name[:32]}.partial-{os.getpid()}-{secrets.token_hex(4)}')


def _flush_tree(folder: str) -> None:
    """Have all that lies in a folder outlive a power cut."""
    for place, _, names in os.walk(folder):
        for name in names:
            _flush(os.path.join(place, name))
        with suppress(OSError):  # some file systems cannot flush a folder
            _flush(place)


def _flush_folder(place: str) -> None:
    """Have the new name of a file outlive a power cut, where folders can be flushed."""
    with suppress(OSError):
        _flush(os.path.dirname(os.path.abspath(place)))


def _flush(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _keep_mode(file: IO[bytes], place: str) -> None:
    """Give a file the permissions of the one whose place it takes."""
    with suppress(OSError, AttributeError):
        os.fchmod(file.fileno(), stat.S_IMODE(os.stat(place).st_mode))


def _lock(handle: int) -> bool | None:
    """Lock a file until it is closed; False if another process has, None if that is unknown."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the file system has no locks
        return None
    return True


def _remove_if_abandoned(entry: os.DirEntry) -> None:
    """Remove a temporary file or folder that nobody is writing to."""
    is_folder = entry.is_dir(follow_symlinks=False)
    with suppress(OSError):
        if fcntl is None:
            return os.unlink(entry.path)
        handle = os.open(entry.path, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            if _lock(handle):
                (shutil.rmtree if is_folder else os.unlink)(entry.path)
        finally:
            os.close(handle)


def is_alive(pid: int) -> bool:
    """Whether a process of this machine other than this one has a number.

    Args:
        pid: The number.

    Returns:
        False for this process's own.
    """
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True
