"""SIGINT and SIGTERM end a command and all that it has started; SIGKILL ends the latter, too."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_picie.cli import signals

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not Path('/proc').is_dir(), reason='processes are found in /proc')

# The package imports what a signal needs alone, and a process does not start itself again.
ENVIRONMENT = os.environ | {
    'PYTHONPATH': str(ROOT),
    'MMSEG_PICIE_POSTPONED': '1',
    'LD_PRELOAD': '',
}
# A program of a command that does not let go, or that works without giving Python a say.
BUSY = """
import ctypes, sys, time
from mmseg_picie.cli.signals import stop_on_signals
with stop_on_signals('picie train'):
    print('ready', flush=True)
    {work}
"""
WORK = {
    'python': 'while True: pass',
    'sleep': 'time.sleep(60)',
    # One call that releases the lock of the interpreter, as an operation of torch does.
    'in C': 'ctypes.CDLL(None).sleep(60)',
    'swallows': """
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
""",
}


def start(*words: object, cwd: Path, **options: object) -> subprocess.Popen:
    """Start Python with the project importable."""
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=ENVIRONMENT,
        start_new_session=True,  # so that all of its processes are found by its group
        **options,
    )


def group(process: subprocess.Popen) -> set[int]:
    """Living processes that it has started, itself included."""
    found = set()
    for path in Path('/proc').glob('[0-9]*/stat'):
        try:
            state, _, number = path.read_text().rpartition(')')[2].split()[:3]
        except OSError:  # it has ended meanwhile
            continue
        if int(number) == process.pid and state != 'Z':
            found.add(int(path.parent.name))
    return found


@pytest.fixture
def stop() -> Iterator[Callable]:
    """Send a signal, and prove that all processes end with one line; leave none behind."""
    started = []

    def stopped(process: subprocess.Popen, number: int, whole_group: bool = False) -> None:
        started.append(process)
        (os.killpg if whole_group else os.kill)(process.pid, number)
        # Two seconds on a machine that has nothing else to do. The work would take a minute.
        _, err = process.communicate(timeout=20)
        assert process.returncode == 128 + number, err
        assert err.count('\n') == 1 and ': stopped by ' in err, err
        wait_until(lambda: not group(process))

    yield stopped
    for process in started:
        for pid in group(process):
            os.kill(pid, signal.SIGKILL)


def wait_for(process: subprocess.Popen, text: str) -> None:
    """Read its output up to a text."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(process.stderr.read() if process.stderr else '')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('work', WORK)
def test_a_signal_ends_a_command_whatever_it_does(stop, tmp_path, number, work):
    process = start('-c', BUSY.format(work=WORK[work]), cwd=tmp_path)
    wait_for(process, 'ready')
    stop(process, number)


@pytest.mark.parametrize('name', ['RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK', 'PMI_RANK'])
def test_the_first_process_of_a_job_speaks_for_all(tmp_path, monkeypatch, name):
    monkeypatch.setitem(ENVIRONMENT, name, '1')
    process = start('-c', BUSY.format(work=WORK['python']), cwd=tmp_path)
    wait_for(process, 'ready')
    process.terminate()
    assert process.communicate(timeout=20) == ('', '')
    assert process.returncode == 128 + signal.SIGTERM


def test_signals_do_what_they_did_before_when_the_command_is_done():
    code = (
        'import os, signal\n'
        'from mmseg_picie.cli.signals import stop_on_signals\n'
        "with stop_on_signals('picie'):\n    pass\n"
        'os.kill(os.getpid(), signal.SIGTERM)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], env=ENVIRONMENT)
    assert done.returncode == -signal.SIGTERM


def test_a_parent_has_more_patience_than_its_child():
    assert signals.PATIENCE < signals.PATIENCE_OF_PARENTS < 2


@pytest.fixture
def long_run(tiny, tmp_path) -> Path:
    """A config of a training that would go on for long, with workers."""
    config = Config.fromfile(tiny.config)
    config.train_cfg.max_epochs = 10_000
    config.default_hooks.checkpoint.max_keep_ckpts = 3  # fits on a disk that is nearly full, too
    config.train_dataloader.update(num_workers=2, persistent_workers=True, batch_size=2)
    config.default_hooks.acceleration = dict(type='IterTimerHook')  # which would load on threads
    config.dump(tmp_path / 'long.py')
    return tmp_path / 'long.py'


@pytest.mark.slow
def test_what_a_killed_command_has_started_ends_too(tmp_path, long_run):
    words = [long_run, '--seeds', '1', '--work-dir', 'run']
    process = start('-m', 'picie_command', 'compare', *words, cwd=tmp_path)
    try:
        wait_for(process, '[1/1]')
        wait_until(lambda: list(tmp_path.glob('run/**/epoch_1.pth')))
        process.kill()
        process.wait()
        wait_until(lambda: not group(process))
    finally:
        for pid in group(process):
            os.kill(pid, signal.SIGKILL)
    assert whole_checkpoints(tmp_path) >= 1


def wait_until(is_so: Callable[[], object]) -> None:
    """Wait for something to become true, for a minute at most."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def whole_checkpoints(folder: Path) -> int:
    """Load all checkpoints below a folder; their number."""
    paths = list(folder.rglob('epoch_*.pth'))
    for path in paths:
        assert 'state_dict' in torch.load(path, weights_only=False)
    for path in folder.rglob('*.json'):
        if path.name != 'scalars.json':
            json.loads(path.read_text().splitlines()[0]) if path.name[0].isdigit() else json.loads(
                path.read_text()
            )
    return len(paths)


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_training_and_its_workers(stop, tmp_path, long_run, number):
    process = start('-m', 'picie_command', 'train', long_run, '--work-dir', 'run', cwd=tmp_path)
    wait_for(process, 'Epoch 2/')
    assert len(group(process)) >= 3
    stop(process, number, whole_group=number == signal.SIGINT)  # as a terminal sends it
    assert whole_checkpoints(tmp_path) >= 2


@pytest.mark.slow
@pytest.mark.parametrize('command', ['compare', 'few-labels'])
def test_a_signal_ends_the_commands_that_a_command_runs(stop, tmp_path, long_run, command):
    number = signal.SIGTERM if command == 'compare' else signal.SIGINT
    words = ['--seeds', '1', '--work-dir', 'run']
    if command == 'few-labels':
        config = Config.fromfile(long_run)
        head = dict(type='FCNHead', in_channels=64, channels=8, num_convs=1, num_classes=9)
        model = dict(type='EncoderDecoder', backbone=config.model.backbone, decode_head=head)
        model.update(
            test_cfg=dict(mode='whole'),
            data_preprocessor=dict(type='SegDataPreProcessor', size=(32, 48)),
        )
        for name in ('images', 'labels'):
            (tmp_path / name).mkdir()
            for index in range(4):
                Image.new('RGB' if name == 'images' else 'L', (48, 32)).save(
                    tmp_path / name / f'{index}.png'
                )
        dataset = dict(
            type='KeyedSegDataset',
            data_root=str(tmp_path),
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            metainfo=dict(classes=tuple('abcdefghi'), palette=[[0, 0, 0]] * 9),
            pipeline=config.val_dataloader.dataset.pipeline,
        )
        config.val_dataloader.dataset = config.test_dataloader.dataset = dataset
        config.model, config.train_dataloader = model, config.val_dataloader
        config.val_evaluator = config.test_evaluator = dict(type='IoUMetric')
        for hook in ('clustering', 'class_map', 'visualization'):
            config.default_hooks.pop(hook)
        config.dump(long_run)
        words = ['--init', 'a=none', '--fractions', '1', '--seeds', '1', '--out', 'run']
    process = start('-m', 'picie_command', command, long_run, *words, cwd=tmp_path)
    wait_for(process, '[1/1]')
    wait_until(lambda: list(tmp_path.glob('run/**/scalars.json')))
    assert len(group(process)) >= 2
    stop(process, number)
    whole_checkpoints(tmp_path)
