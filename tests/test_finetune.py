"""Every config of configs/finetune starts from a checkpoint of PiCIE, and trains."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from PIL import Image

import mmseg_picie  # noqa: F401 - registers the classes
from mmseg_picie.datasets.scenes.synthetic_scenes import draw_scene

ROOT = Path(__file__).parents[1]
PATHS = sorted((ROOT / 'configs' / 'finetune').glob('*.py'))
# One of each backbone; the others are slow in sum, not each.
QUICK = ('fcn_r18_camvid', 'fcn_efficientnet-lite0_camvid')
NAMES = [path.stem for path in PATHS]
RUNS = [
    pytest.param(path, id=path.stem, marks=[] if path.stem in QUICK else pytest.mark.slow)
    for path in PATHS
]
# What docs/finetune.md measures.
STUDIED = [
    f'{head}_{net}_camvid' for head in ('fcn', 'semfpn') for net in ('r18', 'efficientnet-lite0')
]
CLASSES = dict(camvid=11, cityscapes=19, cocostuff=171, ade20k=150)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory) -> Callable[[str], Path]:
    """Write what a PiCIE training leaves, by the type of its backbone."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            name = dict(ResNet='r18', TIMMBackbone='efficientnet-lite0')[kind]
            config = Config.fromfile(ROOT / 'configs' / f'picie_fpn_{name}_camvid.py')
            config.model.backbone.init_cfg = None
            init_default_scope('mmseg')
            torch.manual_seed(5)
            model = MODELS.build(config.model)
            made[kind] = tmp_path_factory.mktemp('picie') / 'epoch_3.pth'
            history = HistoryBuffer(np.ones(2, np.float32), np.ones(2, np.float32))
            hub = dict(log_scalars={'train/loss': history})
            torch.save(dict(state_dict=model.state_dict(), message_hub=hub), made[kind])
        return made[kind]

    return make


@pytest.fixture
def data(tmp_path) -> dict[str, Path]:
    """A few images in the layouts of CamVid and of Cityscapes."""
    roots = {name: tmp_path / name for name in ('camvid', 'cityscapes')}
    for split in ('train', 'val'):
        for index in range(4):
            image, labels = draw_scene(7, index, 72, 96)
            labels = np.where(labels == 8, 255, labels).astype(np.uint8)
            name = f'a_{index:06d}_000019'
            files = {
                roots['camvid'] / 'images' / split / f'{name}.png': image,
                roots['camvid'] / 'annotations' / split / f'{name}.png': labels,
                roots['cityscapes'] / f'leftImg8bit/{split}/a/{name}_leftImg8bit.png': image,
                roots['cityscapes'] / f'gtFine/{split}/a/{name}_gtFine_labelTrainIds.png': labels,
            }
            for path, array in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(path)
    return roots


def read(path: Path, checkpoint: Callable[[str], Path]) -> Config:
    """Read a config and name the checkpoint of the test in place of its own."""
    config = Config.fromfile(path)
    backbone = config.model.backbone
    if backbone.type == 'TIMMBackbone':
        pytest.importorskip('timm')
    assert backbone.init_cfg.checkpoint.startswith('work_dirs/picie_fpn_')
    assert backbone.init_cfg.prefix == 'backbone.'
    backbone.init_cfg.checkpoint = str(checkpoint(backbone.type))
    init_default_scope('mmseg')
    return config


@pytest.mark.parametrize('path', RUNS)
def test_model_starts_from_picie_and_has_a_loss_for_every_class(path, checkpoint):
    config = read(path, checkpoint)
    model = MODELS.build(config.model)
    model.init_weights()
    weights = torch.load(checkpoint(config.model.backbone.type), weights_only=False)['state_dict']
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, weights[f'backbone.{name}']), name
    num_classes = CLASSES[path.stem.rsplit('_', 1)[1]]
    labels = torch.arange(2 * 64 * 96).view(2, 1, 64, 96) % num_classes
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]
    losses = model.loss(torch.randn(2, 3, 64, 96), samples)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    first = next(weight for weight in model.backbone.parameters() if weight.requires_grad)
    assert first.grad.abs().sum() > 0
    with torch.no_grad():
        (sample,) = model.eval().predict(torch.randn(1, 3, 64, 96))
    assert sample.seg_logits.data.shape == (num_classes, 64, 96)


@pytest.mark.parametrize('path', PATHS, ids=NAMES)
def test_config_says_how_it_is_run(path):
    text = path.read_text()
    assert f'python tools/train.py configs/finetune/{path.name}' in text.split('"""')[1]
    assert 'http' not in text


def test_there_is_a_config_for_every_head_and_data_set():
    for head in ('fcn', 'pspnet', 'deeplabv3plus', 'upernet', 'semfpn', 'segformer'):
        for ending in ('r18_cityscapes', 'r18_camvid', 'efficientnet-lite0_camvid'):
            assert f'{head}_{ending}' in NAMES
    assert {name.rsplit('_', 1)[1] for name in NAMES} == set(CLASSES)


@pytest.mark.parametrize('path', [p for p in RUNS if p.id in STUDIED])
def test_camvid_config_trains_and_scores(path, checkpoint, data, tmp_path):
    config = read(path, checkpoint)
    for name in ('train_dataloader', 'val_dataloader'):
        config[name].update(batch_size=2, num_workers=0, persistent_workers=False)
        config[name].dataset.data_root = str(data['camvid'])
    config.train_cfg.update(max_iters=2, val_interval=2)
    config.default_hooks.checkpoint = None
    config.work_dir = str(tmp_path / 'work')
    config.experiment_name = config.visualizer.name = path.stem
    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.iter == 2
    assert 0 <= runner.message_hub.get_scalar('val/mIoU').current() <= 100


def train_by_mmseg(config: Path, work_dir: Path, *options: str) -> str:
    """Run the tool that the installed mmseg ships; returns what it printed."""
    tool = Path(mmseg.__path__[0]) / '.mim' / 'tools' / 'train.py'
    words = [sys.executable, tool, config, '--work-dir', work_dir, '--cfg-options', *options]
    paths = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    result = subprocess.run(
        list(map(str, words)),
        cwd=work_dir.parent,
        capture_output=True,
        text=True,
        env=os.environ | {'PYTHONPATH': os.pathsep.join(paths), 'OMP_WAIT_POLICY': 'PASSIVE'},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


SMALL_RUN = (
    'train_cfg.max_iters=2',
    'train_cfg.val_interval=2',
    'default_hooks.checkpoint.interval=2',
    'default_hooks.logger.interval=1',
    'train_dataloader.batch_size=2',
    *(f'{name}_dataloader.num_workers=0' for name in ('train', 'val', 'test')),
    *(f'{name}_dataloader.persistent_workers=False' for name in ('train', 'val', 'test')),
)


@pytest.fixture
def trained_picie(data, tmp_path) -> Path:
    """The checkpoint of a PiCIE training of one epoch."""
    config = Config.fromfile(ROOT / 'configs' / 'picie_fpn_r18_camvid.py')
    config.model.backbone.init_cfg = None
    for name in ('train_dataloader', 'val_dataloader'):
        config[name].update(batch_size=2, num_workers=0, persistent_workers=False)
        config[name].dataset.data_root = str(data['camvid'])
    config.train_pipeline[1].update(base_size=64, view_size=64)
    config.train_dataloader.dataset.pipeline = config.train_pipeline
    config.default_hooks.clustering.update(batch_size=2, num_init_batches=1, num_iters=2)
    config.train_cfg.max_epochs = 1
    config.work_dir = str(tmp_path / 'picie')
    config.experiment_name = config.visualizer.name = 'picie_for_finetuning'
    Runner.from_cfg(config).train()
    return tmp_path / 'picie' / 'epoch_1.pth'


@pytest.mark.slow
def test_mmsegs_own_tool_trains_from_a_picie_checkpoint(trained_picie, data, tmp_path):
    """CamVid with `custom_imports`, and Cityscapes without any word of this package."""
    configs = ROOT / 'configs' / 'finetune'
    start = f'model.backbone.init_cfg.checkpoint={trained_picie}'
    roots = [
        f'{name}_dataloader.dataset.data_root={data["camvid"]}' for name in ('train', 'val', 'test')
    ]
    output = train_by_mmseg(
        configs / 'fcn_r18_camvid.py', tmp_path / 'camvid_run', start, *SMALL_RUN, *roots
    )
    assert 'Iter(val)' in output and 'mIoU' in output
    assert (tmp_path / 'camvid_run' / 'iter_2.pth').is_file()

    config = Config.fromfile(configs / 'fcn_r18_cityscapes.py')
    assert 'custom_imports' not in config and 'icie' not in config.model.type
    roots = [
        f'{name}_dataloader.dataset.data_root={data["cityscapes"]}'
        for name in ('train', 'val', 'test')
    ]
    small = [
        'model.data_preprocessor.size=(64,96)',
        'train_dataloader.dataset.pipeline.2.scale=(96,72)',
        'train_dataloader.dataset.pipeline.3.crop_size=(64,96)',
        'val_dataloader.dataset.pipeline.1.scale=(96,72)',
    ]
    output = train_by_mmseg(
        configs / 'fcn_r18_cityscapes.py', tmp_path / 'city_run', start, *SMALL_RUN, *roots, *small
    )
    assert 'Iter(val)' in output and 'mIoU' in output
    # Two small steps from where it started; other random weights would be 1.4 norms away.
    before = torch.load(trained_picie, weights_only=False)['state_dict']
    after = torch.load(tmp_path / 'city_run' / 'iter_2.pth', weights_only=False)['state_dict']
    for name, value in after.items():
        if name.startswith('backbone.') and value.ndim == 4:
            assert (value - before[name]).norm() < 0.3 * before[name].norm(), name
