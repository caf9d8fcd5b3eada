"""A file that claims to be a released checkpoint runs nothing, whatever it holds."""

import argparse
import builtins
import os
import pickle
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmseg_picie.apis.released_checkpoint import load_as_data, read_released


class Call:
    """Is pickled as a call, and as setting the state of what the call returns."""

    def __init__(self, function: Any, *args: Any, state: Any = None) -> None:
        self.function, self.args, self.state = function, args, state

    def __reduce__(self) -> tuple:
        return self.function, self.args, self.state


def takeover(host: type, code: str) -> Call:
    """Reach `exec` with getattr and any class that is allowed and has a `__dict__`.

    The builtins are the `__self__` of getattr. A first state brings `exec` into an object as its
    `__setstate__`, and a second state, the code, is handed to that.
    """
    execute = Call(getattr, Call(getattr, getattr, '__self__'), 'exec')
    armed = Call(host, state={'__setstate__': execute})
    return Call(getattr, Call(host, state={'armed': armed}), 'armed', state=code)


def payloads(marker: Path) -> dict[str, Any]:
    """Things that make the file `marker` when they are loaded carelessly, or try to get there."""
    shell, code = f'touch {marker}', f'open({str(marker)!r}, "w").close()'
    return {
        'system': Call(os.system, shell),
        'popen': Call(subprocess.Popen, ['touch', str(marker)]),
        'eval': Call(eval, code),
        'open': Call(open, str(marker), 'w'),
        'exec by getattr': takeover(argparse.Namespace, code),
        'exec by getattr and a type of mmengine': takeover(HistoryBuffer, code),
        'import': Call(getattr, Call(builtins.__import__, 'os'), 'sep'),
        'a function without a call': os.system,
        'state of a namespace': Call(argparse.Namespace, state={'__setstate__': os.system}),
    }


KINDS = list(payloads(Path()))
PLACES: dict[str, Callable[[Any], Any]] = {
    'alone': lambda payload: payload,
    'top level': lambda payload: dict(epoch=1, optimizer=payload),
    'namespace': lambda payload: dict(epoch=1, args=argparse.Namespace(seed=0, comment=payload)),
    'state dict': lambda payload: dict(state_dict={'module.weight': payload}),
}


@pytest.fixture
def wide_open() -> Iterator[set]:
    """Allow in the whole process what other code may have allowed, and more."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()  # this package puts a guarded getattr on the list
    torch.serialization.add_safe_globals([getattr, eval, HistoryBuffer, subprocess.Popen])
    yield set(torch.serialization.get_safe_globals())
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


@pytest.mark.parametrize('place', PLACES)
@pytest.mark.parametrize('kind', KINDS)
def test_hostile_file_is_refused_by_name_and_runs_nothing(tmp_path, wide_open, kind, place):
    marker, path = tmp_path / 'marker', tmp_path / 'hostile.pth'
    torch.save(PLACES[place](payloads(marker)[kind]), path)
    with pytest.raises(ValueError, match='must hold data only, but names .*, which could run code'):
        read_released(path)
    assert not marker.exists()
    assert set(torch.serialization.get_safe_globals()) == wide_open


@pytest.mark.parametrize('kind', KINDS[:6])
def test_the_hostile_files_of_these_tests_do_run_when_loaded_carelessly(tmp_path, kind):
    marker, path = tmp_path / 'marker', tmp_path / 'hostile.pth'
    torch.save(payloads(marker)[kind], path)
    loaded = torch.load(path, weights_only=False)
    if kind == 'popen':
        loaded.wait()
    assert marker.exists()


def test_what_other_code_allowed_would_let_a_file_run(tmp_path, wide_open):
    """Why the list is emptied: with getattr on it, `weights_only=True` does not keep code out."""
    marker, path = tmp_path / 'marker', tmp_path / 'hostile.pth'
    torch.save(payloads(marker)['exec by getattr and a type of mmengine'], path)
    torch.load(path, weights_only=True)
    assert marker.exists()


@pytest.mark.parametrize('protocol', range(6))
def test_hostile_file_in_an_older_format_runs_nothing(tmp_path, wide_open, protocol):
    marker, path = tmp_path / 'marker', tmp_path / 'hostile.pth'
    for payload in payloads(marker).values():
        path.write_bytes(pickle.dumps(payload, protocol))
        with pytest.raises(ValueError, match='hostile.pth must '):
            read_released(path)
        torch.save(payload, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
        with pytest.raises(ValueError, match='hostile.pth must '):
            read_released(path)
        assert not marker.exists()


@pytest.mark.parametrize('kind', ['text', 'empty', 'cut', 'tar', 'random'])
def test_what_is_no_checkpoint_is_refused_in_one_sentence(tmp_path, kind):
    path = tmp_path / 'file.pth'
    torch.save(dict(epoch=1, weights=torch.zeros(1000)), path)
    content = {'text': b'epoch: 1\n', 'cut': path.read_bytes()[:1500], 'random': os.urandom(999)}
    path.write_bytes(content.get(kind, b''))
    if kind == 'tar':
        with tarfile.open(path, 'w') as archive:
            archive.add(__file__, 'storages')
    with pytest.raises(ValueError, match='must be a checkpoint of torch.save') as caught:
        read_released(path)
    assert '\n' not in str(caught.value)


def test_data_and_namespaces_come_through(tmp_path):
    saved = dict(epoch=3, args=argparse.Namespace(lr=0.1, sizes=[1, 2]), weight=torch.eye(2))
    torch.save(saved, tmp_path / 'data.pth')
    loaded = load_as_data(tmp_path / 'data.pth')
    assert (loaded['epoch'], loaded['args']) == (3, saved['args'])
    assert torch.equal(loaded['weight'], saved['weight'])
    torch.save([1], tmp_path / 'list.pth')
    with pytest.raises(ValueError, match='must hold a dict with state_dict, .*, but holds a list'):
        read_released(tmp_path / 'list.pth')
