"""Whole runs of two ranks, through the script that starts them."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]

HOOKS = """
import os, signal, time
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

def unwrap(model):
    return getattr(model, 'module', model)

@HOOKS.register_module()
class StateHook(Hook):
    priority = 'LOWEST'
    def after_train(self, runner):
        model = unwrap(runner.model)
        tensors = dict(model.named_parameters()) | dict(model.named_buffers())
        tensors |= {f'labeler.{k}': v for k, v in model._frozen_encoder[0].state_dict().items()}
        torch.save(tensors, os.path.join(runner.work_dir, f'rank_{get_rank()}.pth'))

@HOOKS.register_module()
class FaultHook(Hook):
    def __init__(self, fault, rank, call):
        self.fault, self.rank, self.call = fault, rank, call
    def before_train(self, runner):
        model, calls = unwrap(runner.model), []
        extract = model.extract_views
        def faulty(*args, **kwargs):
            calls.append(args)
            views = list(extract(*args, **kwargs))
            if len(calls) == self.call:
                with open(os.path.join(runner.work_dir, 'fault'), 'w') as file:
                    file.write(str(time.time()))
                if self.fault == 'kill':
                    os.kill(os.getpid(), signal.SIGKILL)
                views[0][0][0, 0, 0, 0] = float(self.fault)
            return views
        if get_rank() == self.rank:
            model.extract_views = faulty
"""


@pytest.fixture
def config_path(tiny_config, tmp_path) -> Path:
    """Nineteen images, which two ranks cannot share evenly; hooks that look on, or interfere."""
    tiny_config({'train_dataloader.dataset.num_images': 19})
    (tmp_path / 'rank_hooks.py').write_text(HOOKS)
    path = tmp_path / 'ranks.py'
    path.write_text(
        f'_base_ = {str(tmp_path / "tiny.py")!r}\n'
        "custom_imports = dict(imports=['mmseg_picie', 'rank_hooks'], allow_failed_imports=False)\n"
        "custom_hooks = [dict(type='StateHook')]\n"
    )
    return path


@pytest.fixture
def launch(tmp_path) -> Callable[..., subprocess.CompletedProcess]:
    """Run a command that starts ranks."""

    def run(*words: object) -> subprocess.CompletedProcess:
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        return subprocess.run(
            [str(word).format(port=port) for word in words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            env=os.environ
            | dict(
                PYTHON=sys.executable,
                PYTHONPATH=str(tmp_path),
                PORT=str(port),
                OMP_NUM_THREADS='1',
                OMP_WAIT_POLICY='PASSIVE',
            ),
        )

    return run


@pytest.fixture
def run_ranks(config_path, launch, tmp_path) -> Callable[..., subprocess.CompletedProcess]:
    """Train on two ranks, each with half of a batch."""

    def run(*options: str, faults: dict | None = None) -> subprocess.CompletedProcess:
        if faults is not None:
            with config_path.open('a') as file:
                file.write(f"custom_hooks += [dict(type='FaultHook', **{faults})]\n")
        words = ['bash', ROOT / 'tools' / 'dist_train.sh', config_path, 2]
        words += ['--work-dir', tmp_path / 'two', '--cfg-options', *options]
        return launch(*words, 'train_dataloader.batch_size=2')

    return run


def state_of(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=False)


def scores_of(work_dir: Path) -> dict[str, float]:
    """All scores of the only validation of a run."""
    (log,) = work_dir.glob('*/vis_data/scalars.json')
    (record,) = [r for r in map(json.loads, log.read_text().splitlines()) if 'mIoU' in r]
    return {k: v for k, v in record.items() if k not in ('data_time', 'time', 'step')}


def assert_ranks_agree(work_dir: Path) -> dict[str, torch.Tensor]:
    """Assert that all parameters and buffers of two ranks are the same, bit for bit."""
    first, second = (state_of(work_dir / f'rank_{rank}.pth') for rank in (0, 1))
    assert first.keys() == second.keys()
    assert [key for key in first if not torch.equal(first[key], second[key])] == []
    return first


@pytest.mark.slow
def test_two_ranks_find_the_centroids_and_scores_of_one_process(
    config_path, run_tool, run_ranks, tmp_path
):
    # Without a learning rate, and with fixed norms, training changes nothing, so the validation
    # is of one model whatever the batches of the ranks were.
    options = ('train_cfg.max_epochs=1', 'optim_wrapper.optimizer.lr=0.0')
    options += ('model.backbone.norm_eval=True', 'default_hooks.clustering.batch_size=6')
    # A rank's share of a batch is 3 images, forwarded two by two.
    options += ('default_hooks.clustering.forward_batch_size=2',)
    options += ('default_hooks.clustering.num_init_batches=2',)
    run_tool('train.py', config_path, '--work-dir', tmp_path / 'one', '--cfg-options', *options)
    result = run_ranks(*options)
    assert result.returncode == 0, result.stdout + result.stderr
    one, two = (state_of(tmp_path / name / 'rank_0.pth') for name in ('one', 'two'))
    assert_ranks_agree(tmp_path / 'two')
    torch.testing.assert_close(
        one['decode_head.centroids'], two['decode_head.centroids'], atol=1e-4, rtol=0
    )
    assert torch.equal(one['decode_head.cluster_counts'], two['decode_head.cluster_counts'])
    assert two['decode_head.cluster_counts'].sum(1).tolist() == [19 * 8 * 16] * 2
    # Seven images over two ranks: each is counted once, so match and scores are the same.
    assert torch.equal(one['decode_head.cluster_to_class'], two['decode_head.cluster_to_class'])
    one, two = (scores_of(tmp_path / name) for name in ('one', 'two'))
    assert {'aAcc', 'mIoU', 'mAcc', 'view1/mIoU'} <= one.keys()
    assert two == pytest.approx(one, abs=0.02, nan_ok=True)


@pytest.mark.slow
def test_trained_ranks_agree_in_every_parameter_and_buffer(run_ranks, tmp_path):
    """Running statistics, the labeler of the last epoch, merges and principal components too."""
    options = ('train_cfg.max_epochs=2', 'model.decode_head.centroids_per_cluster=2')
    options += ('default_hooks.decoder.type=PrincipalDecoderHook',)
    options += ('default_hooks.clustering.warm_start=True',)
    result = run_ranks(*options)
    assert result.returncode == 0, result.stdout + result.stderr
    state = assert_ranks_agree(tmp_path / 'two')
    means = [value for key, value in state.items() if key.endswith('running_mean')]
    assert means and all(mean.abs().sum() > 0 for mean in means)
    checkpoint = torch.load(tmp_path / 'two' / 'epoch_2.pth', weights_only=False)
    assert checkpoint['meta']['world_size'] == 2
    saved = checkpoint['state_dict']
    assert [key for key in saved if not torch.equal(saved[key], state[key])] == []


@pytest.mark.slow
def test_fresh_centroids_of_two_ranks_are_those_of_one_process(
    config_path, run_tool, launch, tmp_path
):
    one = tmp_path / 'one'
    run_tool('train.py', config_path, '--work-dir', one, '--cfg-options', 'train_cfg.max_epochs=1')
    words = [config_path, one / 'epoch_1.pth', '--work-dir', tmp_path / 'fresh']
    run_tool('fit_centroids.py', *words, '--out', tmp_path / 'fresh_one.pth')
    start = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2']
    start += ['--master_port={port}', ROOT / 'tools' / 'fit_centroids.py']
    result = launch(*start, *words, '--launcher', 'pytorch', '--out', tmp_path / 'fresh_two.pth')
    assert result.returncode == 0, result.stdout + result.stderr
    first, second = (state_of(tmp_path / f'fresh_{n}.pth')['state_dict'] for n in ('one', 'two'))
    assert first.keys() == second.keys()
    for key, value in first.items():
        torch.testing.assert_close(second[key], value, atol=1e-4, rtol=0, msg=key)


# In an epoch, each rank makes views five times for clusters.


@pytest.mark.slow
@pytest.mark.parametrize(('rank', 'call'), [(0, 2), (1, 4)])
def test_a_killed_rank_ends_the_job_with_a_message(run_ranks, tmp_path, rank, call):
    """In the initial fit and in the updates; test_rank_cases.py kills one in training."""
    result = run_ranks(faults=dict(fault='kill', rank=rank, call=call))
    assert time.time() - float((tmp_path / 'two' / 'fault').read_text()) < 60
    assert result.returncode != 0
    output = result.stdout + result.stderr
    assert f'(local_rank: {rank})' in output and 'Signal 9 (SIGKILL)' in output, output


@pytest.mark.slow
def test_an_initial_fit_that_fails_ends_every_rank_with_the_same_sentence(run_ranks):
    options = ('default_hooks.clustering.num_init_batches=1', 'model.decode_head.num_clusters=600')
    result = run_ranks(*options)
    assert result.returncode != 0
    sentence = 'k-means needs a pixel for each centroid, but got 600 centroids'
    assert f'picie train: error: {sentence}' in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize('call', [2, 5])
def test_a_feature_that_one_rank_finds_not_finite_ends_every_rank(run_ranks, tmp_path, call):
    """In the initial fit, and in an update."""
    result = run_ranks(faults=dict(fault='nan', rank=1, call=call))
    assert time.time() - float((tmp_path / 'two' / 'fault').read_text()) < 60
    assert result.returncode != 0
    finder = 0 if call == 2 else 1
    told = '' if finder == 0 else f'clustering failed on rank {finder}: ValueError: '
    assert f'picie train: error: {told}features must be finite' in result.stderr
