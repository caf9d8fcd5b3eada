"""Files that are whole or not there, whatever ends their writer, and what it leaves behind."""

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mmseg_picie import whole_files
from mmseg_picie.apis.json_files import write_json
from mmseg_picie.datasets.conversion import new_folder
from mmseg_picie.engine.checkpoint_files import WholeFileBackend, save_whole
from mmseg_picie.evaluation.label_files import write_image
from mmseg_picie.whole_files import folder_aside, open_whole, remove_leftovers, write_whole

#: Every writer of the package -> what it is given to write.
WRITERS: dict[str, Callable[[Path, int], None]] = {
    'text': lambda path, n: write_whole(path, str(n) * 1000),
    'json': lambda path, n: write_json(path, [n] * 1000),
    'image': lambda path, n: write_image(str(path), np.full((9, 9), n, np.uint8)),
    'torch': lambda path, n: save_whole(torch.full((1000,), n), path),
    'mmengine': lambda path, n: WholeFileBackend().put(bytes([n]) * 1000, path),
    'mmengine_text': lambda path, n: WholeFileBackend().put_text(str(n) * 1000, path),
}


@pytest.fixture(params=WRITERS)
def write(request) -> Callable[[Path, int], None]:
    return WRITERS[request.param]


def fails(error: int) -> Callable:
    def call(*args, **kwargs):
        raise OSError(error, os.strerror(error))

    return call


#: Reason -> the call of the operating system that tells it, and a number of `errno`.
TROUBLES = {
    'disk full at the end': ('fsync', errno.ENOSPC),
    'quota at the end': ('fsync', errno.EDQUOT),
    'disk fails': ('fsync', errno.EIO),
    'read-only': ('open', errno.EROFS),
    'not permitted': ('open', errno.EACCES),
    'no more files': ('open', errno.EMFILE),
    'no more entries': ('replace', errno.ENOSPC),
    'share is gone': ('replace', errno.ESTALE),
}


@pytest.mark.parametrize('trouble', TROUBLES)
def test_whatever_fails_an_earlier_file_stays_and_the_error_names_it(
    write, tmp_path, monkeypatch, trouble
):
    path = tmp_path / 'result.png'
    write(path, 1)
    before = path.read_bytes()
    name, number = TROUBLES[trouble]
    with monkeypatch.context() as patch:
        patch.setattr(whole_files.os, name, fails(number))
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            write(path, 2)
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ['result.png']


def test_a_full_disk_is_told_while_bytes_are_written(tmp_path):
    path = tmp_path / 'result'
    path.write_text('before')
    with pytest.raises(OSError, match='No space left') as caught, open_whole(path) as file:
        with open('/dev/full', 'wb', buffering=0) as full:
            os.dup2(full.fileno(), file.fileno())
        file.write(b'after')
    assert caught.value.filename == str(path)
    assert (path.read_text(), os.listdir(tmp_path)) == ('before', ['result'])


def test_the_folder_is_flushed_behind_the_file_if_it_can_be(write, tmp_path, monkeypatch):
    path, flushed, fsync = tmp_path / 'result.png', [], os.fsync

    def flush(handle: int) -> None:
        flushed.append((stat.S_ISDIR(os.fstat(handle).st_mode), path.exists()))
        fsync(handle)

    monkeypatch.setattr(whole_files.os, 'fsync', flush)
    write(path, 1)
    assert flushed == [(False, False), (True, True)]
    expected = path.read_bytes()

    def fail(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, 'folders cannot be flushed here')

    monkeypatch.setattr(whole_files.os, 'fsync', fail)
    write(path, 1)
    assert path.read_bytes() == expected


def test_a_folder_is_flushed_before_it_goes_into_place(tmp_path, monkeypatch):
    flushed, fsync = [], os.fsync

    def flush(handle: int) -> None:
        flushed.append((os.path.basename(os.readlink(f'/proc/self/fd/{handle}')), out.exists()))
        fsync(handle)

    out = tmp_path / 'out'
    monkeypatch.setattr(whole_files.os, 'fsync', flush)
    with folder_aside(out) as aside:
        (aside / 'below').mkdir(parents=True)
        (aside / 'a').write_text('a')
        (aside / 'below' / 'b').write_text('b')
    before = {name for name, is_there in flushed if not is_there}
    assert {'a', 'b', 'below', 'out'} <= before and flushed[-1] == (tmp_path.name, True)


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / 'result'
    write_whole(path, 'old')
    with open_whole(path) as file:
        file.write(b'new')
        file.flush()
        assert path.read_text() == 'old'
    assert path.read_text() == 'new'


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('folder', 'Is a directory'),
        ('file/name', 'Not a directory'),
        ('n' * 256, 'File name too long'),
    ],
)
def test_places_that_cannot_be_are_refused_by_name(write, tmp_path, name, reason):
    (tmp_path / 'folder.png').mkdir()
    (tmp_path / 'file').write_text('')
    path = tmp_path / f'{name}.png'
    with pytest.raises(OSError, match=reason) as caught:
        write(path, 1)
    assert caught.value.filename == str(path)
    assert sorted(os.listdir(tmp_path)) == ['file', 'folder.png']


def test_a_name_may_be_as_long_as_the_file_system_lets_it(write, tmp_path):
    path = tmp_path / ('ä' * 125 + '.png')
    write(path, 1)
    assert path.stat().st_size > 0


def test_permissions_of_a_file_stay_and_those_of_a_new_one_are_as_usual(write, tmp_path):
    path, usual = tmp_path / 'result.png', tmp_path / 'usual'
    usual.touch()
    write(path, 1)
    assert path.stat().st_mode == usual.stat().st_mode
    path.chmod(0o640)
    write(path, 2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_and_its_target_is_written(write, tmp_path):
    target, link = tmp_path / 'far' / 'target.png', tmp_path / 'link.png'
    target.parent.mkdir()
    write(target, 1)
    before = target.read_bytes()
    link.symlink_to(target)
    write(link, 2)
    assert link.is_symlink() and target.read_bytes() != before


def test_a_pipe_is_written_to_and_stays(tmp_path):
    pipe = tmp_path / 'pipe'
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, 'text')
    assert os.read(reader, 10) == b'text'
    assert stat.S_ISFIFO(pipe.stat().st_mode)


WRITING = """
import sys
from mmseg_picie.whole_files import folder_aside, open_whole
from pathlib import Path
place = Path(sys.argv[1])
with open_whole(place / 'file') as file, folder_aside(place / 'folder') as folder:
    file.write(b'half')
    file.flush()
    folder.mkdir()
    (folder / 'part').write_text('part')
    print('ready', flush=True)
    input()
"""


@pytest.fixture
def writer(tmp_path):
    """A process in the midst of writing a file and a folder."""
    root = Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, '-c', WRITING, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {'PYTHONPATH': str(root), 'MMSEG_PICIE_POSTPONED': '1'},
    )
    with process:
        assert process.stdout.readline() == b'ready\n'
        yield process
        process.kill()


def test_what_a_living_process_writes_stays_and_what_a_killed_one_has_left_goes(writer, tmp_path):
    during = sorted(os.listdir(tmp_path))
    assert len(during) == 2
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == during
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert sorted(os.listdir(tmp_path)) == during
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('start', ['a file', 'a folder'])
def test_the_next_writer_of_a_folder_clears_up(writer, tmp_path, start):
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    if start == 'a file':
        write_whole(tmp_path / 'next', '')
    else:
        with new_folder(tmp_path / 'next') as folder:
            folder.mkdir()
    assert os.listdir(tmp_path) == ['next']


def test_only_own_leftovers_are_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, '-c', ''])
    dead.wait()
    foreign = ['.a.partial', 'b.partial-1-01234567', 'c.tmp', '.d.partial-1-0123', '.e.tmp']
    living = [f'.f.partial-{os.getppid()}']  # as earlier versions named it
    own = [f'.g.partial-{dead.pid}', f'.h.partial-{os.getppid()}-01234567']
    for name in [*foreign, *living, *own]:
        (tmp_path / name).write_text('')
    (tmp_path / '.i.partial-1-01234567').symlink_to(tmp_path / 'c.tmp')
    remove_leftovers(tmp_path)
    expected = [*foreign, *living, '.i.partial-1-01234567']
    assert sorted(os.listdir(tmp_path)) == sorted(expected)


def test_without_locks_files_are_written_and_nothing_is_taken_for_a_leftover(
    write, tmp_path, monkeypatch
):
    monkeypatch.setattr(whole_files.fcntl, 'flock', fails(errno.ENOLCK))
    (tmp_path / '.h.partial-1-01234567').write_text('')
    write(tmp_path / 'result.png', 1)
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ['.h.partial-1-01234567', 'result.png']


def test_a_folder_is_there_when_all_of_it_is(tmp_path):
    with new_folder(tmp_path / 'data') as folder:
        assert not folder.exists()
        folder.mkdir()
        (folder / 'image').write_text('1')
        assert not (tmp_path / 'data').exists()
    assert (tmp_path / 'data' / 'image').read_text() == '1'
    assert os.listdir(tmp_path) == ['data']


@pytest.mark.parametrize('is_named', [False, True])
def test_a_full_disk_leaves_no_folder_and_is_told_with_its_name(tmp_path, is_named):
    out = tmp_path / 'new' / 'data'
    with pytest.raises(OSError, match='No space left') as caught, new_folder(out) as folder:
        folder.mkdir()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *([folder / 'a.png'] * is_named))
    assert caught.value.filename == str(out)
    assert os.listdir(tmp_path) == []
