"""What users do with several ranks: many cases on two of them, and ways to start them.

The starts of Slurm and MPI are in tests/test_launched.py and tests/cli/test_common.py.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmseg_picie.datasets.scenes import draw_scene

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / 'rank_cases.py'

#: An epoch without validation, of batches of 2 images on each rank.
QUICK = {
    'train_cfg.max_epochs': 1,
    'val_cfg': None,
    'val_dataloader': None,
    'val_evaluator': None,
    'default_hooks.checkpoint.interval': -1,
}
#: Steps that are proportional to the gradient, of losses that are plain means over pixels.
PLAIN_STEPS = QUICK | {
    'optim_wrapper.optimizer': dict(_delete_=True, type='SGD', lr=0.1),
    'model.backbone.norm_eval': True,
    'model.decode_head.class_weight': 'none',
    'train_dataloader.dataset.num_images': 16,
}
ONE_VIEW = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='PairedViews', base_size=(64, 96), view_size=(32, 48), num_views=1),
    dict(type='PackPairedViews'),
]
HEAD = dict(_delete_=True, num_clusters=9, in_channels=16)
CASES = {
    'plain': {'train_cfg.max_epochs': 2},
    'amp': QUICK | {'optim_wrapper.type': 'CPUAmpOptimWrapper'},
    'over-clustering': QUICK
    | {'model.auxiliary_head': dict(type='CentroidHead', num_clusters=15, in_channels=16)},
    'iic': QUICK | {'model.decode_head': dict(type='IICHead', **HEAD)},
    'mdc': QUICK
    | {
        'model.decode_head': dict(type='DeepClusterHead', **HEAD),
        'train_dataloader.dataset.pipeline': ONE_VIEW,
    },
    'frozen backbone': QUICK | {'model.frozen': ['backbone']},
    'batches of 4': PLAIN_STEPS | {'train_dataloader.batch_size': 4},
    '2 of 2 accumulated': PLAIN_STEPS | {'optim_wrapper.accumulative_counts': 2},
    'sync_bn': {'sync_bn': 'torch'},
    'SyncBN': {'model.backbone.norm_cfg': dict(type='SyncBN')},
    'fsdp': {'model_wrapper_cfg': dict(type='MMFullyShardedDataParallel')},
    'parts apart': {'model_wrapper_cfg': dict(type='MMSeparateDistributedDataParallel')},
}
TRAINED = [name for name in CASES if name not in ('sync_bn', 'SyncBN', 'fsdp', 'parts apart')]

DIE_ONCE = """
import os, signal, time
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

if os.environ['TORCHELASTIC_RESTART_COUNT'] == '1' and os.environ['RANK'] == '1':
    time.sleep(4)  # so that the other rank finds the addresses of the first start, if any

@HOOKS.register_module()
class DieOnce(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        is_first_start = os.environ['TORCHELASTIC_RESTART_COUNT'] == '0'
        if is_first_start and get_rank() == 1 and runner.iter == 7:  # in the second epoch
            open('died', 'x').close()
            os.kill(os.getpid(), signal.SIGKILL)
"""


def free_port() -> str:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


def start(folder: Path, *words: object, **variables: str) -> subprocess.Popen:
    """Start a command that is, or starts, a rank."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ('LOCAL_RANK', 'RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
    }
    shared = dict(OMP_NUM_THREADS='1', OMP_WAIT_POLICY='PASSIVE', PYTHON=sys.executable)
    paths = os.pathsep.join([str(ROOT), str(folder)])
    return subprocess.Popen(
        [str(word) for word in words],
        cwd=folder,
        env=clean | shared | dict(PYTHONPATH=paths) | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*processes: subprocess.Popen) -> str:
    """Wait for commands that work together; all that they said."""
    said = [process.communicate(timeout=400)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), '\n'.join(said)
    return '\n'.join(said)


@pytest.fixture(scope='module')
def folder(tmp_path_factory, write_tiny_config) -> Path:
    """With tiny.py, of nineteen images, which two ranks cannot share evenly."""
    folder = tmp_path_factory.mktemp('ranks')
    options = {'train_dataloader.dataset.num_images': 19, 'train_dataloader.batch_size': 2}
    write_tiny_config(folder, options)
    return folder


@pytest.fixture(scope='module')
def run_cases(folder) -> Callable[..., Path]:
    """Run cases by the program, in a folder below; returns that folder."""

    def run(name: str, cases: dict, make_commands: Callable[[list], list]) -> Path:
        out = folder / name
        out.mkdir()
        (out / 'cases.json').write_text(json.dumps(cases))
        words = [folder / 'tiny.py', out / 'cases.json', out]
        finish(*make_commands(words))
        return out

    return run


@pytest.fixture(scope='module')
def found(folder, run_cases) -> Path:
    """All cases, on two ranks that torchrun has started once."""

    def make_commands(words: list) -> list:
        torchrun = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
        (words[-1] / 'images').mkdir()
        for index in range(5):
            image = Image.fromarray(draw_scene(1, index, 64, 96)[0])
            image.save(words[-1] / 'images' / f'{index}.png')
        return [start(folder, *torchrun, '--nproc-per-node=2', PROGRAM, 'pytorch', *words)]

    return run_cases('cases', CASES, make_commands)


def results_of(out: Path) -> dict:
    return json.loads((out / 'results.json').read_text())


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=False)['state_dict']


def assert_same(path: Path, other: Path) -> None:
    """Assert that two checkpoints hold the same weights and centroids, bit for bit."""
    first, second = weights_of(path), weights_of(other)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.slow
@pytest.mark.parametrize('name', TRAINED)
def test_ranks_agree_bit_for_bit_and_every_parameter_is_used(found, name):
    """DDP fails in the second step if one is not, as it does not look for them."""
    result = results_of(found)[name]
    assert result['apart'] == [] and not result['finds_unused']
    assert all(len(losses) >= 2 for losses in result['losses'])
    assert result['losses'][0] != result['losses'][1]  # each rank has images of its own


@pytest.mark.slow
def test_ranks_with_uneven_data_take_equally_many_steps_and_every_image(found):
    first, second = results_of(found)['plain']['images']
    assert len(first) == len(second) == 20  # two epochs of five steps of two images
    for epoch in (slice(10), slice(10, 20)):
        images = first[epoch] + second[epoch]
        assert sorted(set(images)) == list(range(19)) and len(images) == 20


@pytest.mark.slow
def test_accumulated_gradients_are_those_of_a_batch_as_large(found):
    large, accumulated = (
        torch.load(found / f'{name}.pth') for name in ('batches of 4', '2 of 2 accumulated')
    )
    results = results_of(found)
    assert results['2 of 2 accumulated']['steps'] == results['batches of 4']['steps'] == [2, 2]
    for name, value in large.items():
        torch.testing.assert_close(accumulated[name], value, atol=1e-5, rtol=0, msg=name)


@pytest.mark.slow
def test_mixed_precision_loses_little(found):
    results = results_of(found)
    plain, mixed = results['plain']['losses'], results['amp']['losses']
    for of_plain, of_mixed in zip(plain, mixed, strict=True):
        assert of_mixed != of_plain[: len(of_mixed)]
        assert of_mixed == pytest.approx(of_plain[: len(of_mixed)], abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'sentence'),
    [
        ('sync_bn', 'the config has sync_bn, but torch has SyncBatchNorm on GPUs alone'),
        ('SyncBN', "a norm_cfg of type 'SyncBN', but torch has SyncBatchNorm on GPUs alone"),
        ('fsdp', 'must be MMDistributedDataParallel for PiCIE, as every rank clusters with the'),
        ('parts apart', 'but is MMSeparateDistributedDataParallel; leave model_wrapper_cfg'),
    ],
)
def test_what_ranks_cannot_do_is_refused_before_the_training(found, name, sentence):
    assert sentence in results_of(found)[name]['error']


@pytest.mark.slow
def test_ranks_segment_a_folder_together(found):
    out = found / 'predicted'
    assert sorted(path.name for path in out.glob('labels/*')) == [f'{i}.png' for i in range(5)]
    records = [json.loads((out / 'shares' / f'{i}-of-2.json').read_text()) for i in (1, 2)]
    assert [sum(record['tally']['clusters']) for record in records] == [3 * 64 * 96, 2 * 64 * 96]
    shares = [entry['share'] for entry in json.loads((out / 'legend.json').read_text()).values()]
    assert sum(shares) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_a_job_that_torchrun_starts_again_ends_as_one_that_never_stopped(found, folder):
    """A rank is killed in the second epoch, and the job goes on from the first one's checkpoint."""
    (folder / 'die_once.py').write_text(DIE_ONCE)
    config = folder / 'dying.py'
    config.write_text(
        "_base_ = './tiny.py'\n"
        "custom_imports = dict(imports=['mmseg_picie', 'die_once'], allow_failed_imports=False)\n"
        "custom_hooks = [dict(type='DieOnce')]\n"
        'train_cfg = dict(max_epochs=2)\n'
    )
    words = [config, 2, '--work-dir', folder / 'again', '--resume']
    command = ['bash', ROOT / 'tools' / 'dist_train.sh', *words]
    finish(start(folder, *command, PORT=free_port(), MAX_RESTARTS='1'))
    assert (folder / 'died').exists()  # torchrun may name the other rank, which lost this one
    assert_same(folder / 'again' / 'epoch_2.pth', found / 'plain' / 'epoch_2.pth')


@pytest.mark.slow
def test_two_machines_train_as_one(found, folder):
    """Each has a torchrun of its own, which both meet at one address."""
    words = [folder / 'tiny.py', 1, '--work-dir', folder / 'two', '--cfg-options']
    command = ['bash', ROOT / 'tools' / 'dist_train.sh', *words, 'train_cfg.max_epochs=1']
    variables = dict(NNODES='2', MASTER_ADDR='127.0.0.1', PORT=free_port())
    finish(*(start(folder, *command, NODE_RANK=str(node), **variables) for node in (0, 1)))
    assert_same(folder / 'two' / 'epoch_1.pth', found / 'plain' / 'epoch_1.pth')


def start_ranks(folders: list[Path], *options: list) -> list[str]:
    """Train on two ranks that are started one by one, each in a folder of its own."""
    port = free_port()
    processes = []
    for rank, folder in enumerate(folders):
        folder.mkdir(exist_ok=True)
        words = [sys.executable, '-m', 'mmseg_picie.cli', 'train', folder.parent / 'tiny.py']
        words += ['--launcher', 'mpi', '--work-dir', 'work', *options[rank]]
        job = dict(PMI_RANK=str(rank), PMI_SIZE='2', MPI_LOCALRANKID=str(rank))
        place = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
        processes.append(start(folder, *words, **job, **place))
    said = [process.communicate(timeout=400)[0] for process in processes]
    return [f'{process.returncode} {one}' for process, one in zip(processes, said, strict=True)]


@pytest.mark.slow
def test_machines_need_no_folder_in_common_but_the_work_folder(folder):
    """They validate without one. A rank without the checkpoint is not resumed beside another."""
    machines = [folder / 'machine_0', folder / 'machine_1']
    said = start_ranks(machines, *[['--cfg-options', 'train_cfg.max_epochs=1']] * 2)
    assert [one[0] for one in said] == ['0', '0'], '\n'.join(said)
    assert 'mIoU' in said[0] and not (machines[0] / '.dist_test').exists()
    assert not (machines[1] / 'work' / 'epoch_1.pth').exists()
    said = start_ranks(machines, *[['--resume', '--cfg-options', 'train_cfg.max_epochs=2']] * 2)
    assert [one[0] for one in said] == ['2', '2'], '\n'.join(said)
    sentence = 'go on from must be the same on all ranks, but got (1, 5) and (0, 0); all machines'
    assert sentence in said[0]


@pytest.mark.slow
def test_processes_of_two_jobs_that_have_met_are_refused(folder):
    machines = [folder / 'machine_2', folder / 'machine_3']
    seeds = [['--cfg-options', f'randomness.seed={seed}'] for seed in (0, 1)]
    said = start_ranks(machines, *seeds)
    assert [one[0] for one in said] == ['2', '2'], '\n'.join(said)
    assert 'must be the same on all ranks' in said[0] and 'MASTER_PORT of its own' in said[0]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('mpirun') is None, reason='there is no mpirun')
def test_processes_of_mpi_train_as_those_of_torchrun(found, folder, run_cases):
    def make_commands(words: list) -> list:
        command = ['mpirun', '-n', '2', sys.executable, PROGRAM, 'mpi', *words]
        # Open MPI refuses root, as which a container may run.
        as_root = dict(OMPI_ALLOW_RUN_AS_ROOT='1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1')
        return [start(folder, *command, MASTER_PORT=free_port(), **as_root)]

    out = run_cases('mpi', {'plain': {'train_cfg.max_epochs': 1}}, make_commands)
    assert_same(out / 'plain' / 'epoch_1.pth', found / 'plain' / 'epoch_1.pth')
