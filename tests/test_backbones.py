"""Every backbone of configs/backbones fits its decoder, and goes through all that PiCIE does."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.runner.checkpoint import (
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from mmengine.utils import digit_version
from mmseg.apis import inference_model, init_model
from mmseg.registry import MODELS

import mmseg_picie  # noqa: F401 - registers the classes

CONFIGS = Path(__file__).parents[1] / 'configs'
PATHS = sorted((CONFIGS / 'backbones').glob('*.py'))
# One with a decoder and one without; the others are slow in sum, not each.
QUICK = ('picie_fpn_vit-s14', 'picie_vit-s8')
OLD_TORCH = digit_version(torch.__version__) < digit_version('2.5')
NAMES = [path.stem.removesuffix('_cocostuff') for path in PATHS]
RUNS = [
    pytest.param(path, id=name, marks=[] if name in QUICK else pytest.mark.slow)
    for path, name in zip(PATHS, NAMES, strict=True)
]


def read(path: Path) -> Config:
    """Read a config and take the download of weights out of it."""
    config = Config.fromfile(path)
    backbone = config.model.backbone
    if backbone.type == 'TIMMBackbone':
        pytest.importorskip('timm')
        backbone.update(pretrained=False, init_cfg=None)
    elif backbone.type == 'TIMMViT':
        pytest.importorskip('timm')
        backbone.weights = None
    else:
        backbone.init_cfg = None
    init_default_scope('mmseg')
    return config


def narrow(config: Config) -> None:
    """Cut the network down to a fraction of a second; its kind and levels stay."""
    backbone, channels = config.model.backbone, None
    if backbone.type == 'ResNet':
        backbone.update(base_channels=8, stem_channels=8)
        channels = tuple(c // 8 for c in config.model.neck.in_channels)
    elif backbone.type == 'SwinTransformer':
        backbone.update(embed_dims=12, depths=(2, 2, 2, 2), num_heads=(1, 2, 3, 6))
        channels = (12, 24, 48, 96)
    elif backbone.type == 'HRNet':
        for stage in backbone.extra.values():
            stage.update(num_modules=1, num_blocks=(1,) * stage.num_branches)
    elif 'convnext' in backbone.get('model_name', ''):
        channels = (8, 16, 24, 32)
        backbone.update(depths=(1, 1, 1, 1), dims=channels)
    elif backbone.type == 'TIMMViT':
        backbone.update(options=dict(depth=2, embed_dim=48, num_heads=3), out_indices=(-1,))
        channels = (48,)
    elif 'vit_' in backbone.get('model_name', ''):
        backbone.update(depth=2, embed_dim=48, num_heads=3)
        channels = (48,)
    if channels and config.model.neck is None:
        config.model.decode_head.in_channels = channels[0]
    elif channels:
        config.model.neck.in_channels = channels


def on_scenes(config: Config, work_dir: Path, divisor: int = 1) -> None:
    """Let a config run on a few scenes, views of which are not square."""
    view = (56 // divisor * divisor, 96 // divisor * divisor)
    for name, num_images in (('train_dataloader', 4), ('val_dataloader', 3)):
        loader = config[name]
        scenes = dict(
            type='SyntheticScenesDataset',
            num_images=num_images,
            scene_size=(64, 96),
            labelled=name != 'train_dataloader',
            pipeline=loader.dataset.pipeline,
        )
        for transform in scenes['pipeline']:
            for key in {'base_size', 'view_size', 'size'} & set(transform):
                transform[key] = view
        loader.pop('dataset')
        loader.update(dataset=scenes, batch_size=2, num_workers=0, persistent_workers=False)
    config.test_dataloader = config.val_dataloader
    config.model.decode_head.num_clusters = 9
    config.default_hooks.clustering.update(batch_size=2, num_init_batches=1, num_iters=2)
    config.default_hooks.checkpoint.update(save_optimizer=False)
    config.default_hooks.visualization.draw = False
    config.train_cfg.max_epochs = 1
    config.work_dir = str(work_dir)
    config.experiment_name = config.visualizer.name = f'{work_dir.parent.name}_{work_dir.name}'


def check_run(config: Config) -> Runner:
    """Train two iterations, cluster, evaluate and predict; returns the runner."""
    runner = Runner.from_cfg(config)
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    runner.train()
    assert runner.iter == 2
    after = runner.model.state_dict()
    assert runner.model.decode_head.is_fitted
    assert all(value.isfinite().all() for value in after.values())
    trained = [name for name, weight in runner.model.named_parameters() if weight.requires_grad]
    assert any((after[name] != before[name]).any() for name in trained)
    assert 0 <= runner.val()['mIoU'] <= 100
    model = init_model(config, str(Path(config.work_dir, 'epoch_1.pth')), device='cpu')
    image = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    clusters = inference_model(model, image).pred_sem_seg.data
    assert clusters.shape == (1, 50, 90)
    assert clusters.min() >= 0 and clusters.max() < 9
    return runner


@pytest.mark.parametrize('path', PATHS, ids=NAMES)
def test_backbone_fits_its_decoder_and_head(path):
    """At full size, without weights or arithmetic, on an image that is not square."""
    config = read(path)
    # Tensors without data have no values, which mmseg's Swin reads while it is built, and timm
    # with torch 2.4.
    has_values = config.model.backbone.type == 'SwinTransformer' or OLD_TORCH
    device = 'cpu' if has_values else 'meta'
    with torch.device(device):
        model = MODELS.build(config.model).eval()
        (maps,) = model.extract_feat(torch.empty(1, 3, 224, 448))
    assert maps.shape[1] == model.decode_head.in_channels
    stride = config.model.data_preprocessor.get('size_divisor') or 4
    assert maps.shape[2:] == (224 // stride, 448 // stride)


@pytest.mark.parametrize('path', PATHS, ids=NAMES)
def test_views_and_images_divide_into_whole_patches(path):
    config = read(path)
    patch = config.model.data_preprocessor.get('size_divisor', 1)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for transform in config[name].dataset.pipeline:
            for key in {'base_size', 'view_size', 'size'} & set(transform):
                assert transform[key] % patch == 0


@pytest.mark.parametrize('path', RUNS)
def test_backbone_trains_clusters_evaluates_and_predicts(path, tmp_path):
    config = read(path)
    narrow(config)
    on_scenes(config, tmp_path / 'work', config.model.data_preprocessor.get('size_divisor') or 1)
    check_run(config)


@pytest.mark.parametrize('path', PATHS, ids=NAMES)
def test_the_named_weights_are_known_to_their_source(path):
    """Nothing is downloaded: the tables of mmengine and timm are looked up."""
    timm = pytest.importorskip('timm')
    backbone = Config.fromfile(path).model.backbone
    if backbone.get('pretrained'):
        assert timm.is_model_pretrained(backbone.model_name)
        return
    if backbone.type == 'TIMMViT':
        assert backbone.weights == 'timm' and timm.is_model_pretrained(backbone.model_name)
        return
    if '://' not in backbone.init_cfg.checkpoint:  # a file that the header tells of
        assert backbone.init_cfg.checkpoint in path.read_text().split('"""')[1]
        return
    scheme, name = backbone.init_cfg.checkpoint.split('://')
    if scheme == 'efficientnet-lite0':
        assert name == 'imagenet'
        return
    known = {
        'torchvision': get_torchvision_models,
        'open-mmlab': get_external_models,
        'mmcls': get_mmcls_models,
    }
    assert name in known[scheme]()


@pytest.mark.parametrize('path', PATHS, ids=NAMES)
def test_config_says_how_it_is_run(path):
    text = path.read_text()
    assert f'python tools/train.py configs/backbones/{path.name}' in text.split('"""')[1]
    assert 'http' not in text


def test_a_child_config_of_three_lines_takes_a_timm_model_that_no_config_names(tmp_path):
    timm = pytest.importorskip('timm')
    name = 'lcnet_035'
    assert not any(name in path.read_text() for path in CONFIGS.rglob('*.py'))
    channels = timm.create_model(name, features_only=True).feature_info.channels()
    child = tmp_path / 'child.py'
    child.write_text(
        f'_base_ = {str(CONFIGS / "picie_fpn_r18_cocostuff.py")!r}\n'
        f"model = dict(backbone=dict(_delete_=True, type='TIMMBackbone', model_name={name!r}),\n"
        f'             neck=dict(in_channels={tuple(channels)}))\n'
    )
    config = read(child)
    on_scenes(config, tmp_path / 'work')
    runner = check_run(config)
    assert len(runner.model.neck.laterals) == len(channels) == 5


def test_a_channels_last_backbone_is_refused_with_its_shapes():
    pytest.importorskip('timm')
    config = read(CONFIGS / 'backbones' / 'picie_fpn_swin-t_cocostuff.py')
    config.model.backbone = dict(
        type='TIMMBackbone',
        model_name='swin_tiny_patch4_window7_224',
        pretrained=False,
        depths=(1, 1, 1, 1),
        strict_img_size=False,
    )
    model = MODELS.build(config.model)
    with pytest.raises(ValueError, match=r'\(1, 16, 24, 96\).*channels last'):
        model.extract_feat(torch.zeros(1, 3, 64, 96))
