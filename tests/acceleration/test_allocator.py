"""The allocator that trainings start themselves again with."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_picie.acceleration import allocator

PROGRAM = """
import os, sys
os.environ['MMSEG_PICIE_POSTPONED'] = '1'  # nothing large is imported
from mmseg_picie.acceleration.allocator import restart_with_mimalloc
restart_with_mimalloc()
import ctypes, json, os
loaded = hasattr(ctypes.CDLL(None), 'mi_collect')
print(json.dumps(dict(loaded=loaded, words=sys.argv[1:], pid=os.getpid())))
"""
MEMORY = """
import json, os, re, torch
os.environ['MMSEG_PICIE_POSTPONED'] = '1'  # as above
from mmseg_picie.acceleration.allocator import release_freed_memory
def resident():
    return int(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024
tensor = torch.ones(1 << 26)  # 256 MiB
held = resident()
del tensor
kept = resident()
done = release_freed_memory()
print(json.dumps(dict(done=done, kept=held - kept, released=held - resident())))
"""

has_mimalloc = allocator.find_mimalloc() is not None and platform.libc_ver()[0] == 'glibc'
needs_mimalloc = pytest.mark.skipif(not has_mimalloc, reason='mimalloc is not installed')


@pytest.fixture
def no_choice(monkeypatch):
    """A machine without a GPU, of whose memory the user has said nothing."""
    for name in [name for name in os.environ if name.startswith((*allocator.CHOICES, 'MIMALLOC_'))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(allocator, 'GPUS', ())


def run(code, *words, **environment):
    """What a program prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@needs_mimalloc
def test_a_program_starts_again_with_its_words(no_choice):
    program = subprocess.Popen(
        [sys.executable, '-c', PROGRAM, 'a b', '--option'], stdout=subprocess.PIPE, text=True
    )
    found = json.loads(program.communicate()[0])
    has_gpu = any(Path('/dev').glob('nvidia[0-9]*'))
    assert found == dict(loaded=not has_gpu, words=['a b', '--option'], pid=program.pid)


@pytest.mark.parametrize(
    'choice', [{'LD_PRELOAD': ''}, {'MALLOC_TOP_PAD_': '0'}, {'GLIBC_TUNABLES': 'a=1'}]
)
def test_the_users_choice_is_left_alone(no_choice, choice):
    assert not run(PROGRAM, **choice)['loaded']


@needs_mimalloc
def test_settings_of_mimalloc_are_the_users(no_choice, monkeypatch):
    started = {}
    monkeypatch.setenv('MIMALLOC_PURGE_DELAY', '7')
    monkeypatch.setattr(os, 'execve', lambda *args: started.update(args[2]))
    monkeypatch.setattr(sys, 'gettrace', lambda: None)
    allocator.restart_with_mimalloc()
    assert started['MIMALLOC_PURGE_DELAY'] == '7'
    assert started['LD_PRELOAD'] == allocator.find_mimalloc()


@pytest.mark.parametrize('lacking', ['glibc', 'mimalloc', 'file', 'a machine without a GPU'])
def test_nothing_is_done_where_it_cannot_help(no_choice, monkeypatch, tmp_path, lacking):
    def find(name):
        if lacking == 'mimalloc':
            raise importlib.metadata.PackageNotFoundError
        return [file]

    file = importlib.metadata.PackagePath('lib/libmimalloc.so')
    file.dist = importlib.metadata.PathDistribution(tmp_path / 'info')
    library = tmp_path / file
    library.parent.mkdir()
    library.touch()
    monkeypatch.setattr(importlib.metadata, 'files', find)
    libc = {'glibc': 'musl'}.get(lacking, 'glibc')
    monkeypatch.setattr(platform, 'libc_ver', lambda: (libc, '1'))
    if lacking == 'file':
        library.unlink()
    if lacking == 'a machine without a GPU':
        monkeypatch.setattr(allocator, 'GPUS', (str(tmp_path / 'l*'),))
    assert allocator.choose_environment() == {}


@needs_mimalloc
def test_freed_memory_is_kept_until_it_is_released(no_choice):
    variables = allocator.choose_environment()
    found = run(MEMORY, **variables)
    assert found['done']
    assert found['kept'] < 16 and found['released'] > 240


def test_without_mimalloc_nothing_is_released(no_choice):
    assert not run(MEMORY, LD_PRELOAD='')['done']
