"""Proofs for `picie train` and `picie test`, and what all commands share.

They are run on a stock segmentor, so that what is proven here does not hang on the method.
"""

import itertools
import json
import os
import socket
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_picie.apis import launchers, runs
from mmseg_picie.cli import main
from mmseg_picie.launched import VARIABLES

ROOT = Path(__file__).parents[2]

CONFIG = """
default_scope = 'mmseg'
norm_cfg = dict(type='BN')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True,
        size=(32, 32)),
    backbone=dict(
        type='ResNet', depth=18, base_channels=4, stem_channels=4, num_stages=2, strides=(1, 2),
        dilations=(1, 1), out_indices=(1,), norm_cfg=norm_cfg),
    decode_head=dict(
        type='FCNHead', in_channels=8, channels=8, num_convs=1, num_classes=2, norm_cfg=norm_cfg),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
dataset = dict(
    type='BaseSegDataset', data_root={root!r}, img_suffix='.png',
    data_prefix=dict(img_path='images', seg_map_path='labels'),
    metainfo=dict(classes=('dark', 'light'), palette=[[0, 0, 0], [255, 255, 255]]),
    pipeline=load + [dict(type='PackSegInputs')])
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True), dataset=dataset)
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dataset)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', interval=1),
    visualization=dict(type='SegVisualizationHook'))
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=p, direction='horizontal') for p in (0.0, 1.0)],
        [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])]
tta_model = dict(type='SegTTAModel')
randomness = dict(seed=0)
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Write the config and four images; work in an empty folder with a clean environment."""
    rng = np.random.default_rng(0)
    for folder in ('images', 'labels'):
        (tmp_path / folder).mkdir()
    for index in range(4):
        labels = (rng.random((32, 32)) < 0.5).astype(np.uint8)
        Image.fromarray(labels).save(tmp_path / f'labels/{index}.png')
        Image.fromarray(np.repeat(labels[..., None] * 200, 3, 2)).save(
            tmp_path / f'images/{index}.png'
        )
    path = tmp_path / 'stock.py'
    path.write_text(CONFIG.replace('{root!r}', repr(str(tmp_path))))
    (tmp_path / 'cwd').mkdir()
    monkeypatch.chdir(tmp_path / 'cwd')
    monkeypatch.setenv('LOCAL_RANK', '0')
    for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    return path


class Built(Exception):
    """Raised where the runner would be built, with its config."""


@pytest.fixture
def run(monkeypatch, config):
    """Return a function that runs a command up to its runner and returns the runner's config."""

    def build_runner(cfg: Config, verbose: bool, trains: bool = False) -> None:
        raise Built(cfg)

    monkeypatch.setattr(runs, 'build_runner', build_runner)

    def run_command(name: str, *argv: str, config: Path = config) -> Config:
        with pytest.raises(Built) as built:
            main([name, str(config), *map(str, argv)])
        return built.value.args[0]

    return run_command


@pytest.fixture
def refusal(run, capsys):
    """Return a function that proves that a command ends with code 2, and returns its sentence."""

    def refused(name: str, *argv: str, **kwargs) -> str:
        with pytest.raises(SystemExit) as caught:
            run(name, *argv, **kwargs)
        assert caught.value.code == 2
        return capsys.readouterr().err.strip().splitlines()[-1].partition(' error: ')[2]

    return refused


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    path.touch()
    return path


def test_work_dir_is_the_command_lines_then_the_configs_then_the_configs_name(run):
    assert run('train').work_dir == os.path.join('work_dirs', 'stock')
    assert run('train', '--cfg-options', 'work_dir=from_config').work_dir == 'from_config'
    argv = ['--cfg-options', 'work_dir=from_config', '--work-dir', 'from_cli']
    assert run('train', *argv).work_dir == 'from_cli'


def test_cfg_options_reach_nested_keys(run):
    cfg = run('train', '--cfg-options', 'train_cfg.max_epochs=7', 'model.test_cfg.crop_size=[3,4]')
    assert cfg.train_cfg.max_epochs == 7
    assert cfg.model.test_cfg.crop_size == [3, 4]


def test_resume_is_off_unless_option_or_config_ask_for_it(run):
    assert not run('train').get('resume')
    assert run('train', '--resume').resume is True
    assert run('train', '--cfg-options', 'resume=True').resume is True


def test_test_never_resumes_and_loads_the_given_checkpoint(run, checkpoint):
    cfg = run('test', checkpoint, '--cfg-options', 'resume=True', 'load_from=other.pth')
    assert cfg.resume is False
    assert cfg.load_from == str(checkpoint)


def test_amp_changes_the_wrapper(run, monkeypatch):
    monkeypatch.setattr('mmseg_picie.apis.run_options.get_device', lambda: 'cuda')
    wrapper = run('train', '--amp').optim_wrapper
    assert wrapper.type == 'AmpOptimWrapper'
    assert wrapper.loss_scale == 'dynamic'
    assert wrapper.optimizer.lr == 0.01


def test_amp_on_a_cpu_takes_the_wrapper_for_it(run, monkeypatch):
    monkeypatch.setattr('mmseg_picie.apis.run_options.get_device', lambda: 'cpu')
    wrapper = run('train', '--amp').optim_wrapper
    assert wrapper.type == 'CPUAmpOptimWrapper'
    assert wrapper.optimizer.lr == 0.01


def test_amp_of_a_gpu_is_refused_without_one(refusal, monkeypatch):
    monkeypatch.setattr('mmseg_picie.apis.run_options.get_device', lambda: 'cpu')
    option = 'optim_wrapper.type=AmpOptimWrapper'
    told = 'AmpOptimWrapper works on cuda, npu, mlu, musa alone, and the device here is cpu; set it'
    assert f'{told} to CPUAmpOptimWrapper' in refusal('train', '--cfg-options', option)


@pytest.mark.parametrize('amp', [[], ['--amp']])
def test_amp_of_a_cpu_is_refused_on_a_gpu(refusal, monkeypatch, amp):
    monkeypatch.setattr('mmseg_picie.apis.run_options.get_device', lambda: 'cuda')
    told = refusal('train', *amp, '--cfg-options', 'optim_wrapper.type=CPUAmpOptimWrapper')
    assert 'works on cpu alone, and the device here is cuda; set it to AmpOptimWrapper' in told


@pytest.mark.parametrize('device', ['mps', 'xpu'])
def test_amp_is_refused_where_the_toolbox_has_none(refusal, monkeypatch, device):
    monkeypatch.setattr('mmseg_picie.apis.run_options.get_device', lambda: device)
    told = refusal('train', '--amp')
    assert f'here is {device}; set it to OptimWrapper, and leave --amp out' in told


def test_amp_with_a_foreign_wrapper_is_refused(refusal):
    argv = ['--amp', '--cfg-options', 'optim_wrapper.type=ApexOptimWrapper']
    assert 'optim_wrapper.type must be OptimWrapper, got ApexOptimWrapper' in refusal(
        'train', *argv
    )


@pytest.mark.parametrize('name', ['train', 'test'])
def test_missing_config_is_refused(refusal, tmp_path, checkpoint, name):
    argv = [checkpoint] if name == 'test' else []
    message = refusal(name, *argv, config=tmp_path / 'absent.py')
    assert f'there is no file {tmp_path / "absent.py"}' in message


def test_missing_base_file_is_refused(refusal, tmp_path):
    path = tmp_path / 'child.py'
    path.write_text("_base_ = './absent_base.py'\n")
    message = refusal('train', config=path)
    assert str(path) in message
    assert 'absent_base.py' in message


def test_missing_checkpoint_is_refused(refusal, tmp_path):
    missing = tmp_path / 'absent.pth'
    assert f'argument checkpoint: there is no checkpoint file {missing}' in refusal('test', missing)
    message = refusal('train', '--cfg-options', f'load_from={missing}')
    assert f'argument load_from: there is no checkpoint file {missing}' in message


def test_remote_checkpoint_is_left_to_the_loader(run):
    assert run('test', 'https://example.org/a.pth').load_from == 'https://example.org/a.pth'


@pytest.mark.parametrize('word', ['seed', '=1', 'a=[1,2'])
def test_malformed_cfg_option_is_refused(refusal, word):
    assert 'must be KEY=VALUE' in refusal('train', '--cfg-options', word)


def test_cfg_options_may_be_given_in_parts(run):
    words = ['model.test_cfg.a=1', 'model.test_cfg.b=-2']
    cfg = run('train', '--cfg-options', *words, '--cfg-options', 'model.test_cfg.a=(3,x)')
    assert (cfg.model.test_cfg.a, cfg.model.test_cfg.b) == ((3, 'x'), -2)


def test_the_rank_of_a_launcher_of_old_is_exported(run, monkeypatch):
    monkeypatch.delenv('LOCAL_RANK')
    run('train', '--local-rank=3')
    assert os.environ.pop('LOCAL_RANK') == '3'


def test_launcher_without_torchrun_is_refused(refusal):
    message = refusal('train', '--launcher', 'pytorch')
    assert 'pytorch needs RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT' in message


@pytest.mark.parametrize(
    ('launcher', 'variables'),
    [
        (
            'slurm',
            dict(SLURM_PROCID=0, SLURM_NTASKS=1, SLURM_LOCALID=0, SLURM_NODELIST='localhost'),
        ),
        ('mpi', dict(PMI_RANK=0, PMI_SIZE=1, MPI_LOCALRANKID=0, MPI_LOCALNRANKS=1)),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason='proves the start without a GPU')
def test_slurm_and_mpi_start_gloo_on_a_cpu(run, monkeypatch, launcher, variables):
    with socket.socket() as probe:  # let the system choose a free port
        probe.bind(('127.0.0.1', 0))
        monkeypatch.setenv('MASTER_PORT', str(probe.getsockname()[1]))
    for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR'):
        monkeypatch.setenv(name, '')  # what is set in the test goes with it
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    try:
        cfg = run('train', '--launcher', launcher, '--cfg-options', 'find_unused_parameters=True')
        assert torch.distributed.get_backend() == 'gloo'
        assert torch.distributed.get_world_size() == 1
    finally:
        torch.distributed.destroy_process_group()
    assert cfg.launcher == 'pytorch'
    assert cfg.model_wrapper_cfg == dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=True,
        device_ids=None,
    )


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_a_launcher_that_has_not_started_the_command_is_refused(refusal, monkeypatch, launcher):
    for names in itertools.chain(*VARIABLES.values()):
        for name in names:
            monkeypatch.delenv(name, raising=False)
    message = refusal('train', '--launcher', launcher)
    assert message.startswith(f'argument --launcher: {launcher} needs ')
    assert 'start the job with' in message


def test_show_and_out_reach_hook_and_metric(run, checkpoint):
    cfg = run('test', checkpoint, '--show', '--wait-time', '0.5', '--show-dir', 'drawn')
    hook = cfg.default_hooks.visualization
    assert (hook.draw, hook.show, hook.wait_time) == (True, True, 0.5)
    assert cfg.visualizer.save_dir == 'drawn'
    assert run('test', checkpoint, '--out', 'labels').test_evaluator.output_dir == 'labels'


def test_show_without_hook_is_refused(refusal, checkpoint):
    argv = ['--show', '--cfg-options', 'default_hooks.visualization=None']
    assert 'default_hooks.visualization' in refusal('test', checkpoint, *argv)


def test_tta_without_its_settings_is_refused(refusal, checkpoint):
    message = refusal('test', checkpoint, '--tta', '--cfg-options', 'tta_model=None')
    assert 'the config has no tta_model' in message


def execute(*command) -> None:
    """Run a command in the current folder with the project importable."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'PYTHON': sys.executable}
    for name in ('LOCAL_RANK', 'OMP_NUM_THREADS'):
        environment.pop(name, None)
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def read_scores(work_dir: Path) -> dict:
    """Read the scores of the one test run in a work folder."""
    (path,) = work_dir.glob('*/*.json')
    return json.loads(path.read_text())


@pytest.mark.slow
def test_train_resume_and_test_on_a_stock_segmentor(config):
    train = [sys.executable, ROOT / 'tools/train.py', config, '--work-dir', 'run']
    execute(*train, '--cfg-options', 'train_cfg.max_epochs=1')
    assert Path('run/last_checkpoint').read_text().endswith('epoch_1.pth')
    execute(*train, '--resume')
    assert torch.load('run/epoch_2.pth', weights_only=False)['meta']['epoch'] == 2
    assert Path('run/stock.py').is_file()

    test = [sys.executable, ROOT / 'tools/test.py', config, 'run/epoch_2.pth', '--work-dir']
    execute(*test, 'plain', '--show-dir', 'drawn', '--out', 'labels')
    assert len(list(Path('drawn').rglob('*.png'))) == 4
    assert len(list(Path('labels').glob('*.png'))) == 4
    execute(*test, 'tta', '--tta')
    assert set(read_scores(Path('tta'))) >= {'aAcc', 'mIoU', 'mAcc'}


def test_what_holds_a_process_group_is_gone_before_it_is_left(monkeypatch):
    """A runner is a cycle, and its wrapped model would outlive the group."""
    runner = torch.nn.Module()  # stands for one: it can be watched
    runner.__dict__['loop'] = SimpleNamespace(runner=runner)
    held = weakref.ref(runner)
    del runner
    found = []
    monkeypatch.setattr(launchers, 'is_distributed', lambda: True)
    monkeypatch.setattr(launchers, 'barrier', lambda: None)
    monkeypatch.setattr(torch.distributed, 'destroy_process_group', lambda: found.append(held()))
    launchers.leave_process_group()
    assert found == [None]


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='proves the start without a GPU')
def test_dist_scripts_start_two_processes_on_cpus(config, monkeypatch):
    with socket.socket() as probe:  # let the system choose a free port
        probe.bind(('127.0.0.1', 0))
        monkeypatch.setenv('PORT', str(probe.getsockname()[1]))
    execute(ROOT / 'tools/dist_train.sh', config, 2, '--work-dir', 'run')
    execute(ROOT / 'tools/dist_test.sh', config, 'run/epoch_2.pth', 2, '--work-dir', 'two')
    test = [sys.executable, ROOT / 'tools/test.py', config, 'run/epoch_2.pth']
    execute(*test, '--work-dir', 'one')
    two, one = read_scores(Path('two')), read_scores(Path('one'))
    for key in ('aAcc', 'mIoU', 'mAcc'):
        assert two[key] == one[key]


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_scripts_explain_themselves_when_arguments_are_missing(script):
    done = subprocess.run([ROOT / 'tools' / script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f'usage: tools/{script} ')
