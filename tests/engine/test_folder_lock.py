"""One training a folder."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest

from mmseg_picie.engine import folder_lock
from mmseg_picie.engine.folder_lock import FolderInUse, free_folder, lock_folder

ROOT = Path(__file__).parents[2]
HOLDING = """
import fcntl, os, sys
handle = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
fcntl.flock(handle, fcntl.LOCK_EX)
if len(sys.argv) > 2 and os.fork() == 0:
    import time
    time.sleep(1)  # a worker, which lives on for a while
    os._exit(0)
print('ready', flush=True)
input()
"""


@pytest.fixture
def hold(tmp_path):
    """Start a process that holds the lock of a folder, as a training does."""
    started = []

    def start(*words: str) -> subprocess.Popen:
        command = [sys.executable, '-c', HOLDING, str(tmp_path / '.training.lock'), *words]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe)
        started.append(process)
        assert process.stdout.readline() == b'ready\n'
        about = dict(pid=process.pid, host=socket.gethostname(), since='2026-01-02 03:04:05+00:00')
        (tmp_path / '.training.json').write_text(json.dumps(about))
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_holder_is_named(hold, tmp_path):
    process = hold()
    with pytest.raises(FolderInUse) as caught:
        lock_folder(str(tmp_path))
    text = str(caught.value)
    host = socket.gethostname()
    expected = f'process {process.pid} on {host} since 2026-01-02 03:04:05+00:00'
    assert str(tmp_path) in text and expected in text and 'another folder' in text


@pytest.mark.parametrize('about', ['', '[]', '{"pid": 1}', '{"pid": 1, "host"', None])
def test_a_holder_of_which_nothing_is_known_keeps_others_out(hold, tmp_path, about):
    hold()
    (tmp_path / '.training.json').unlink()
    if about is not None:
        (tmp_path / '.training.json').write_text(about)
    with pytest.raises(FolderInUse, match='another training; wait'):
        lock_folder(str(tmp_path))


@pytest.mark.parametrize('workers', [(), ('with a worker',)], ids=['alone', 'with workers'])
def test_a_killed_process_does_not_keep_others_out(hold, tmp_path, workers):
    process = hold(*workers)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    lock_folder(str(tmp_path))
    assert json.loads((tmp_path / '.training.json').read_text())['pid'] == os.getpid()
    free_folder(str(tmp_path))


def is_free(folder: Path) -> bool:
    """Whether another process could lock it: a lock belongs to an opened file."""
    handle = os.open(folder / '.training.lock', os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


@pytest.mark.versions
def test_a_lock_holds_until_it_is_freed_and_not_for_the_process_itself(tmp_path):
    folder = tmp_path / 'new' / 'work'
    for path in (folder, folder / '..' / 'work'):
        lock_folder(str(path))
    assert not is_free(folder)
    free_folder(str(folder))
    assert is_free(folder)
    free_folder(str(folder))


def fails(error: Exception):
    def acquire(*args, **kwargs):
        raise error

    return acquire


@pytest.mark.parametrize(
    'error',
    [
        OSError(errno.ENOLCK, 'No locks available'),
        OSError(errno.EOPNOTSUPP, ''),
        NotImplementedError(),
    ],
)
def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch, capfd, error):
    monkeypatch.setattr(folder_lock.FileLock, 'acquire', fails(error))
    said = []
    monkeypatch.setattr(folder_lock, 'print_log', lambda text, **_: said.append(text))
    lock_folder(str(tmp_path))
    assert len(said) == 1 and f'{tmp_path} has no locks' in said[0]


@pytest.mark.parametrize('number', [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
def test_a_folder_that_cannot_be_written_is_told_of(tmp_path, monkeypatch, number):
    opened = os.open

    def refuse(path, flags, *args, **kwargs):
        if str(path).endswith('.training.lock') and flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, 'open', refuse)
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        lock_folder(str(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_the_wait_for_a_dead_holder_ends(tmp_path, monkeypatch, hold):
    """As where a worker hangs."""
    monkeypatch.setattr(folder_lock, '_PATIENCE', 0.1)
    process = hold('with a worker')
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    start = time.monotonic()
    with pytest.raises(FolderInUse):
        lock_folder(str(tmp_path))
    assert time.monotonic() - start < 5  # of the 10 that it has by default
    assert isinstance(filelock.FileLock, type)
