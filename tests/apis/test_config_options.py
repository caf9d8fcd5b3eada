"""Settings that nothing would notice are refused, and no config that works is."""

import glob
from pathlib import Path

import mmseg
import pytest
from mmengine.config import Config

from mmseg_picie.apis import config_options
from mmseg_picie.apis.config_types import check_settings

ROOT = Path(__file__).parents[2]
OWN = sorted(glob.glob(str(ROOT / 'configs' / '**' / '*.py'), recursive=True))
# mmseg ships its model zoo's configs; some hundred of them, of all of its methods.
ZOO = sorted(glob.glob(str(Path(mmseg.__file__).parent / '.mim' / 'configs' / '*' / '*.py')))
ZOO = [path for path in ZOO if '_base_' not in path]

TEXT = """
size = 160
lr = 0.5
root = 'data/mine'
steps = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(size, size))]
unused = 3
model = dict(type='PiCIE', test_cfg=dict(crop_size=size))
train_dataloader = dict(
    batch_size=2, dataset=dict(type='ImageFolderDataset', data_root=root, pipeline=steps))
val_dataloader = dict(batch_size=2, dataset=dict(
    type='ImageFolderDataset', data_root=root + '/val', pipeline=steps))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=lr))
"""


def check(cfg: Config) -> None:
    check_settings({key: cfg[key] for key in cfg if key in config_options.read_keys()})


@pytest.mark.parametrize('path', [path for path in OWN if '_base_' not in path])
def test_no_config_of_the_project_is_refused(path):
    check(Config.fromfile(path))


@pytest.mark.parametrize('path', ZOO[::25])
def test_no_config_of_mmseg_is_refused(path):
    try:
        cfg = Config.fromfile(path)
    except ImportError:
        pytest.skip('it needs another package')
    check(cfg)


@pytest.fixture
def cfg(tmp_path) -> Config:
    (tmp_path / 'a.py').write_text(TEXT)
    return Config.fromfile(tmp_path / 'a.py')


@pytest.mark.parametrize(
    ('key', 'places'),
    [
        ('root', ['train_dataloader.dataset.data_root', 'val_dataloader.dataset.data_root']),
        ('lr', ['optim_wrapper.optimizer.lr']),
        ('size', ['model.test_cfg.crop_size', 'train_dataloader.dataset.pipeline.1.scale.0']),
        ('steps', ['train_dataloader.dataset.pipeline', 'val_dataloader.dataset.pipeline']),
        ('steps.1.scale', ['train_dataloader.dataset.pipeline.1.scale']),
        ('data_root', ['train_dataloader.dataset.data_root', 'val_dataloader.dataset.data_root']),
        ('batch_size', ['train_dataloader.batch_size', 'val_dataloader.batch_size']),
        ('optimizer.lr', ['optim_wrapper.optimizer.lr']),
    ],
)
def test_a_variable_of_the_config_is_refused_and_what_it_went_into_is_named(cfg, key, places):
    before = cfg.to_dict()
    with pytest.raises(ValueError, match='instead') as raised:
        config_options.apply(cfg, {key: 1})
    for place in places:
        assert place in str(raised.value)
    assert cfg.to_dict() == before


def test_what_the_named_key_is_set_to_has_an_effect(cfg):
    config_options.apply(cfg, {'train_dataloader.dataset.data_root': 'elsewhere'})
    assert cfg.train_dataloader.dataset.data_root == 'elsewhere'
    assert cfg.val_dataloader.dataset.data_root == 'data/mine/val'


def test_a_key_that_code_of_ones_own_may_read_is_kept(tmp_path, monkeypatch):
    (tmp_path / 'my_hooks.py').touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / 'a.py').write_text("mine = 1\ncustom_imports = dict(imports=['my_hooks'])\n")
    assert config_options.apply(Config.fromfile(tmp_path / 'a.py'), {'mine': 2}).mine == 2
    (tmp_path / 'a.py').write_text('mine = 1\n')
    with pytest.raises(ValueError, match='mine is a variable'):
        config_options.apply(Config.fromfile(tmp_path / 'a.py'), {'mine': 2})


@pytest.mark.parametrize('key', ['test_pipeline', 'test_pipeline.0.type'])
def test_what_inference_reads_may_be_changed_for_inference_alone(tmp_path, key):
    def read() -> Config:
        (tmp_path / 'a.py').write_text("test_pipeline = [dict(type='LoadImageFromFile')]\n")
        return Config.fromfile(tmp_path / 'a.py')

    new = 'LoadImageFromNDArray' if key.endswith('type') else []
    config_options.apply(read(), {key: new}, predicts=True)
    with pytest.raises(ValueError, match='test_pipeline is a variable'):
        config_options.apply(read(), {key: new})


def test_keys_that_are_read_are_found_without_a_list():
    keys = config_options.read_keys()
    assert {'model', 'train_cfg', 'load_from', 'compile', 'sync_bn', 'tta_model'} <= keys
    assert {'published_images', 'runner_type', 'model_wrapper_cfg', 'work_dir'} <= keys
    assert not {'data_root', 'train_pipeline', 'test_pipeline', 'optimizer', 'max_epochs'} & keys
