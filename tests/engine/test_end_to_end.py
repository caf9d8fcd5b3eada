"""Whole runs through the tools, each in processes of its own."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_picie.datasets.scenes.synthetic_scenes import draw_scene

KILLER = """
import os, signal
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

@HOOKS.register_module()
class KillHook(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.epoch == 1 and batch_idx == 2:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def state_of(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=False)['state_dict']


def assert_equal(first: dict, second: dict) -> None:
    """Assert that two state dicts are the same, bit for bit."""
    assert first.keys() == second.keys()
    assert [key for key in first if not torch.equal(first[key], second[key])] == []


def scores_of(work_dir: Path) -> list[float]:
    """The mIoU of every validation of every start of a run, in time order."""
    logs = sorted(work_dir.glob('*/vis_data/scalars.json'))
    records = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    return [record['mIoU'] for record in records if 'mIoU' in record]


@pytest.fixture
def config_path(tiny_config, tmp_path) -> Path:
    tiny_config()
    return tmp_path / 'tiny.py'


@pytest.mark.slow
def test_a_killed_and_resumed_run_ends_as_the_run_that_was_never_stopped(
    config_path, run_tool, tmp_path
):
    (tmp_path / 'killer.py').write_text(KILLER)
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    run_tool('train.py', config_path, '--work-dir', whole)
    killing_config = tmp_path / 'killing.py'
    killing_config.write_text(
        f'_base_ = {str(config_path)!r}\n'
        "custom_imports = dict(imports=['mmseg_picie', 'killer'], allow_failed_imports=False)\n"
        "custom_hooks = [dict(type='KillHook')]\n"
    )
    result = run_tool('train.py', killing_config, '--work-dir', broken, check=False)
    assert result.returncode == -9
    assert not (broken / 'epoch_2.pth').exists()
    run_tool('train.py', config_path, '--work-dir', broken, '--resume')
    assert_equal(state_of(whole / 'epoch_3.pth'), state_of(broken / 'epoch_3.pth'))
    assert scores_of(whole) == scores_of(broken)
    assert len(scores_of(whole)) == 3


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(config_path, run_tool, tmp_path):
    for workers in (0, 2):
        options = (
            f'train_dataloader.num_workers={workers}',
            'train_dataloader.persistent_workers=True',
            'train_cfg.max_epochs=2',
        )
        work_dir = tmp_path / f'workers_{workers}'
        run_tool('train.py', config_path, '--work-dir', work_dir, '--cfg-options', *options)
    states = [state_of(tmp_path / f'workers_{n}' / 'epoch_2.pth') for n in (0, 2)]
    assert_equal(*states)


@pytest.mark.slow
def test_a_folder_of_images_is_enough_to_train_and_segment(config_path, run_tool, tmp_path):
    folder = tmp_path / 'photos'
    for index in range(8):
        place = folder / f'day{index % 2}' / 'roll'
        place.mkdir(parents=True, exist_ok=True)
        # Sizes differ, and some are smaller than the base size.
        image, _ = draw_scene(3, index, 40 + 8 * index, 100)
        Image.fromarray(image[..., ::-1]).save(place / f'{index}.{"JPG" if index % 3 else "png"}')
    config = tmp_path / 'folder.py'
    config.write_text(
        f'_base_ = {str(config_path)!r}\n'
        "train_dataloader = dict(dataset=dict(_delete_=True, type='ImageFolderDataset', "
        f'data_root={str(folder)!r}, pipeline={{{{_base_.train_pipeline}}}}))\n'
        'val_dataloader = val_evaluator = val_cfg = None\n'
        'test_dataloader = test_evaluator = test_cfg = None\n'
        'model = dict(decode_head=dict(num_clusters=5))\n'
        'train_cfg = dict(max_epochs=1)\n'
    )
    run_tool('train.py', config, '--work-dir', tmp_path / 'work')
    checkpoint = tmp_path / 'work' / 'epoch_1.pth'
    run_tool('predict.py', config, checkpoint, folder, '--out-dir', tmp_path / 'out')
    labels = sorted((tmp_path / 'out' / 'labels').rglob('*.png'))
    assert [path.relative_to(tmp_path / 'out' / 'labels').as_posix() for path in labels] == sorted(
        f'day{i % 2}/roll/{i}.png' for i in range(8)
    )
    assert [Image.open(path).size for path in labels] == [
        (100, 40 + 8 * i) for i in (0, 2, 4, 6, 1, 3, 5, 7)
    ]
    legend = json.loads((tmp_path / 'out' / 'legend.json').read_text())
    assert {entry['name'] for entry in legend.values()} == {f'cluster {k}' for k in range(5)}
    assert sum(entry['share'] for entry in legend.values()) == pytest.approx(1, abs=1e-5)
    assert len(list((tmp_path / 'out' / 'overlays').rglob('*.png'))) == 8


@pytest.mark.slow
def test_predictions_carry_class_names_and_testing_prints_all_scores(
    config_path, run_tool, tmp_path
):
    run_tool('train.py', config_path, '--cfg-options', 'train_cfg.max_epochs=1')
    checkpoint = next(tmp_path.rglob('epoch_1.pth'))
    result = run_tool('test.py', config_path, checkpoint, '--out', tmp_path / 'out')
    # The training's config is as it was; that of the test is beside its log.
    configs = sorted(checkpoint.parent.rglob(config_path.name), key=lambda path: len(path.parts))
    assert [Config.fromfile(path).train_cfg.max_epochs for path in configs] == [1, 3]
    found = dict(re.findall(r'^([\w/]+): ([\d.]+|nan)$', result.stdout, re.M))
    assert {'aAcc', 'mIoU', 'mAcc', 'stored/mIoU', 'things/mIoU', 'view1/mIoU'} <= found.keys()
    assert found['stored/mIoU'] == found['mIoU']
    assert len(list((tmp_path / 'out').glob('*.png'))) == 7
    image, labels = draw_scene(1, 0, 64, 96)
    Image.fromarray(image[..., ::-1]).save(tmp_path / 'scene.png')
    run_tool('predict.py', config_path, checkpoint, tmp_path / 'scene.png', '--out-dir', 'seg')
    cluster_to_class = state_of(checkpoint)['decode_head.cluster_to_class'][0].tolist()
    legend = json.loads((tmp_path / 'seg' / 'legend.json').read_text())
    assert set(legend) == {str(label) for label in cluster_to_class}
    ids = np.asarray(Image.open(tmp_path / 'seg' / 'labels' / 'scene.png'))
    assert ids.shape == labels.shape
    run_tool(
        'predict.py',
        config_path,
        checkpoint,
        tmp_path / 'scene.png',
        '--out-dir',
        'raw',
        '--ids',
        'cluster',
    )
    clusters = np.asarray(Image.open(tmp_path / 'raw' / 'labels' / 'scene.png'))
    np.testing.assert_array_equal(np.array(cluster_to_class)[clusters], ids)
