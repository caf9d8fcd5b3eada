"""What a person sees of a run, and what the log file keeps."""

import io
import logging
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from mmseg.registry import RUNNERS
from rich.console import Console

from mmseg_picie.apis import quiet, runners
from mmseg_picie.cli import main
from mmseg_picie.engine import progress

ROOT = Path(__file__).parents[2]
CONTROL = re.compile(r'[\x00-\x09\x0b-\x1f\x7f]')


@pytest.fixture
def config(tiny_config, tmp_path) -> str:
    tiny_config({'train_cfg.max_epochs': 2})
    return str(tmp_path / 'tiny.py')


def log_of(work_dir: Path) -> str:
    (path,) = work_dir.glob('*/*.log')
    return path.read_text()


def test_a_quiet_training_says_what_it_does_in_plain_lines(config, tmp_path, capfd):
    main(['train', config])
    out, err = capfd.readouterr()
    assert err == ''
    assert not CONTROL.search(out)
    lines = out.splitlines()
    assert len(lines) <= 5 + 2 * 4 + 4
    facts = dict(re.split(r' {2,}', line, maxsplit=1) for line in lines if '  ' in line)
    assert facts['Data'] == (
        'SyntheticScenesDataset, 20 images to train on, 7 images to validate with'
    )
    assert facts['Model'] == 'PiCIE, ResNet 18, 9 clusters'
    assert facts['Schedule'] == '2 epochs of 5 steps of 4 images'
    assert facts['Device'].startswith(('cpu', 'cuda'))
    assert facts['Results'] == str(tmp_path / 'tiny')
    number = r'\d+\.\d+'
    for epoch in (1, 2):
        (line,) = [line for line in lines if line.startswith(f'Epoch {epoch}/2 ')]
        pattern = rf'loss {number}  inertia {number}  accuracy {number} %  mIoU {number} %'
        assert re.search(pattern, line), line
    assert facts['Scores'] in line
    assert facts['Checkpoint'] == str(tmp_path / 'tiny' / 'epoch_2.pth')
    assert facts['Next'] == f'picie predict {config} {facts["Checkpoint"]} FOLDER'

    log = Path(facts['Full log']).read_text()
    assert log == log_of(tmp_path / 'tiny')
    for part in ('System environment:', 'Config:', 'Epoch(train)', 'per class results', 'inertia'):
        assert part in log


def test_the_values_of_an_epochs_line_are_those_of_the_log(config, tmp_path, capfd):
    main(['train', config, '--cfg-options', 'train_cfg.max_epochs=1'])
    out, log = capfd.readouterr().out, log_of(tmp_path / 'tiny')
    found = dict(re.findall(r'(loss|inertia|accuracy|mIoU) (\d+\.\d+)', out))
    inertia = [float(x) for x in re.findall(r'decode view \d: inertia (\d+\.\d+)', log)]
    assert float(found['inertia']) == pytest.approx(sum(inertia) / 2, abs=1e-4)
    losses = [float(x) for x in re.findall(r'Epoch\(train\).*?  loss: (\d+\.\d+)', log)]
    assert float(found['loss']) == pytest.approx(losses[-1], abs=0.2)
    (scores,) = re.findall(r'Epoch\(val\).*aAcc: (\d+\.\d+) +mIoU: (\d+\.\d+)', log)
    assert [float(found[name]) for name in ('accuracy', 'mIoU')] == pytest.approx(
        [float(score) for score in scores], abs=0.01
    )


def test_verbose_shows_the_log_and_no_summary_of_its_own(config, tmp_path, capfd):
    main(['train', config, '--verbose', '--cfg-options', 'train_cfg.max_epochs=1'])
    out = capfd.readouterr().out
    for part in ('System environment:', 'Config:', 'Epoch(train)', 'per class results'):
        assert part in out
    assert 'Data  ' not in out and not re.search('^Epoch 1/1', out, re.M)


def test_a_test_prints_all_scores_and_where_the_log_is(config, tmp_path, capfd):
    main(['train', config, '--cfg-options', 'train_cfg.max_epochs=1'])
    capfd.readouterr()
    work_dir, names = tmp_path / 'test', f'{tmp_path.name}_test'
    words = ['test', config, str(tmp_path / 'tiny' / 'epoch_1.pth'), '--work-dir', str(work_dir)]
    options = [f'experiment_name={names}', f'visualizer.name={names}']
    metrics = main([*words, '--cfg-options', *options])
    out, err = capfd.readouterr()
    assert err == '' and not CONTROL.search(out)
    printed = dict(re.findall(r'^([\w/]+): (\S+)$', out, re.M))
    assert printed == {name: f'{value:.2f}' for name, value in metrics.items()}
    assert {'aAcc', 'mIoU', 'stored/mIoU', 'view1/mIoU'} <= printed.keys()
    assert '7 images to test with' in out and 'Loads checkpoint' not in out
    assert 'per class results' in log_of(work_dir)


def test_a_run_without_validation_says_its_losses(config, capfd):
    options = ['val_dataloader=None', 'val_cfg=None', 'val_evaluator=None']
    main(['train', config, '--cfg-options', *options])
    out = capfd.readouterr().out
    lines = [line for line in out.splitlines() if line.startswith('Epoch ')]
    assert [line.split()[1] for line in lines] == ['1/2', '2/2']
    assert all('loss' in line and 'mIoU' not in line for line in lines)
    assert 'Scores' not in out


def test_a_training_by_iterations_says_its_scores_after_each_validation(config, tmp_path, capfd):
    """Of a stock segmentor, so that there are neither epochs nor clusters."""
    path = tmp_path / 'stock.py'
    path.write_text(
        f"_base_ = ['{ROOT}/configs/finetune/fcn_r18_camvid.py']\n"
        "load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]\n"
        "data = dict(_delete_=True, type='SyntheticScenesDataset', num_images=4,\n"
        "    scene_size=(64, 96), pipeline=load + [dict(type='PackSegInputs')])\n"
        'model = dict(backbone=dict(init_cfg=None), data_preprocessor=dict(size=(64, 96)))\n'
        'train_cfg = dict(max_iters=4, val_interval=2)\n'
        'train_dataloader = dict(batch_size=2, num_workers=0, dataset=data)\n'
        'val_dataloader = dict(batch_size=2, num_workers=0, dataset=data)\n'
        'test_dataloader = val_dataloader\n'
        'default_hooks = dict(checkpoint=dict(interval=-1, save_last=False))\n'
    )
    main(['train', str(path), '--work-dir', str(tmp_path / 'stock')])
    out, err = capfd.readouterr()
    assert err == ''
    assert '4 steps of 2 images' in out and 'EncoderDecoder, ResNet 18, 11 classes' in out
    lines = [line for line in out.splitlines() if line.startswith('Step ')]
    assert [line.split()[1] for line in lines] == ['2/4', '4/4']
    assert all('loss' in line and 'mIoU' in line for line in lines)
    assert f'Next        picie test {path} CHECKPOINT\n' in out


def test_a_runner_of_ones_own_is_kept(tiny_config):
    class OwnRunner(Runner):
        pass

    RUNNERS.register_module(name='OwnRunner', module=OwnRunner, force=True)
    try:
        config = tiny_config({'runner_type': 'OwnRunner'})
        for verbose in (False, True):
            assert isinstance(runners.build_runner(config, verbose), OwnRunner)
    finally:
        RUNNERS.module_dict.pop('OwnRunner')


@pytest.fixture
def logger(tmp_path) -> MMLogger:
    found = MMLogger.get_instance(tmp_path.name, log_file=str(tmp_path / 'file.log'))
    quiet.hide_log(found)
    return found


def test_only_warnings_that_one_can_act_on_are_shown(logger, tmp_path, capfd):
    mismatch = 'The model and loaded state dict do not match exactly\n\n'
    mismatch += 'unexpected key in source state_dict: '
    hidden = [f'{mismatch}fc.weight, fc.bias\n', 'The prefix is not set in metric class Own.']
    shown = [f'{mismatch}fc.weight, neck.bias\n', 'the data are half there']
    for message in [*hidden, *shown, *shown]:
        logger.warning(message)
    logger.info('a detail')
    logger.error('no disk')
    out, err = capfd.readouterr()
    assert out == ''
    assert err == ''.join(f'WARNING: {message}\n' for message in shown) + 'ERROR: no disk\n'
    log = (tmp_path / 'file.log').read_text()
    for message in [*hidden, *shown, 'a detail', 'no disk']:
        assert message in log


def test_pythons_warnings_of_the_toolbox_go_to_the_log(logger, tmp_path):
    before = logging.getLogger().handlers[:]
    with pytest.warns(UserWarning) as shown, quiet.quiet_toolbox():
        for file in ('/site/mmengine/hooks/hook.py', '/home/me/mine.py'):
            warnings.showwarning('outdated', UserWarning, file, 3)
    assert [found.filename for found in shown] == ['/home/me/mine.py']
    assert logging.getLogger().handlers == before
    assert 'UserWarning: outdated' in (tmp_path / 'file.log').read_text()


def test_a_bar_that_an_error_left_makes_room_for_the_next(monkeypatch):
    console = Console(force_terminal=True, force_interactive=True, file=io.StringIO())
    monkeypatch.setattr(progress, 'get_console', lambda: console)
    first = progress.Bar('First', 3)
    assert list(progress.track('ab', 'Second', 2)) == ['a', 'b']
    first.advance()
    first.stop()
    shown = console.file.getvalue()
    assert 'First' in shown and 'Second' in shown
    hide, show = '\x1b[?25l', '\x1b[?25h'
    assert shown.count(hide) == shown.count(show) == 2  # the cursor is there again


@pytest.mark.versions
def test_a_terminal_shows_one_bar_at_a_time(config, monkeypatch, capfd):
    open_bars, most = [], []

    class Counted(progress.Progress):
        def start(self) -> None:
            open_bars.append(self)
            most.append(len(open_bars))
            super().start()

        def stop(self) -> None:
            open_bars.remove(self)
            assert all(task.finished for task in self.tasks)
            super().stop()

    monkeypatch.setattr(progress, 'Progress', Counted)
    monkeypatch.setenv('TERM', 'xterm')
    console = Console(force_terminal=True)
    monkeypatch.setattr(progress, 'get_console', lambda: console)
    main(['train', config])
    # Clustering, training and evaluation of two epochs.
    assert most == [1] * 6 and open_bars == []
    out = capfd.readouterr().out
    assert 'Training, epoch 2/2' in out and 'Training, epoch 2/2 ...' not in out


COUNT = """
import mmseg_picie
from mmseg_picie.engine.progress import track
assert list(track(range(3), 'Counting', 3)) == [0, 1, 2]
"""


def test_a_terminal_that_is_there_from_the_start_is_seen_as_one():
    """The import of the package, which listens to the standard output, must not hide it."""
    ours, theirs = os.openpty()
    environment = os.environ | {'TERM': 'xterm', 'PYTHONPATH': str(ROOT)}
    subprocess.run([sys.executable, '-c', COUNT], stdout=theirs, env=environment, check=True)
    shown = os.read(ours, 100_000).decode()
    for file in (ours, theirs):
        os.close(file)
    assert 'Counting' in shown and 'Counting ...' not in shown
    assert '\x1b[' in shown  # the bar is taken away


def test_weights_may_be_told_in_a_list(tiny_config, tmp_path, capfd):
    source = [
        dict(type='Kaiming', layer='Conv2d'),
        dict(type='Constant', val=1, layer='_BatchNorm'),
    ]
    tiny_config({'model.backbone.init_cfg': source, 'train_cfg.max_epochs': 1})
    main(['train', str(tmp_path / 'tiny.py')])
    assert 'PiCIE, ResNet 18, 9 clusters' in capfd.readouterr().out
