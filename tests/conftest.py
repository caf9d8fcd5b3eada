"""What tests of several rooms share."""

import functools
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pytest
import torch
from fork_server import Forked, start, wait_for
from mmengine.config import Config, ConfigDict
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from PIL import Image

from mmseg_picie.datasets.scenes import draw_scene
from mmseg_picie.models import PiCIE
from mmseg_picie.views import GeometricDraw

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / 'data' / 'golden'


@pytest.fixture(autouse=True, scope='session')
def quick_collection() -> Iterator[None]:
    """Spare the garbage collection that mmengine runs for every data set what is imported."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True, scope='session')
def plain_config_texts() -> Iterator[None]:
    """Spare the layout of configs as text, which takes most of the time of a tiny run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True))
        yield


@pytest.fixture(scope='session')
def golden() -> Callable[[str], dict[str, NDArray]]:
    """Read a file of measured values by its stem; `data/golden/README.md` says what they are."""

    def read(stem: str) -> dict[str, NDArray]:
        with np.load(GOLDEN / f'{stem}.npz') as file:
            return dict(file)

    return read


@pytest.fixture(scope='session')
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Address of a server for :class:`fork_server.Forked`; it starts when a test first needs it."""
    server, address = start(tmp_path_factory.mktemp('server'))
    wait_for(server, address)
    yield address
    server.stdin.close()
    server.wait()


@pytest.fixture(scope='session')
def run_script(fork_server: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run a script in a process of its own, in a folder; see `support/fork_server.py`."""

    def run(
        script: Path, folder: Path, *args: object, check: bool = True
    ) -> subprocess.CompletedProcess:
        words = [sys.executable, str(script), *map(str, args)]
        paths = [str(ROOT), str(folder), os.environ.get('PYTHONPATH', '')]
        environment = os.environ | {'PYTHONPATH': os.pathsep.join(paths)}
        with TemporaryFile('w+') as out, TemporaryFile('w+') as err:
            process = Forked(words, out, err, environment, folder, fork_server)
            code = process.wait()
            texts = [file.seek(0) or file.read() for file in (out, err)]
        assert not check or code == 0, ''.join(texts)
        return subprocess.CompletedProcess(words, code, *texts)

    return run


@pytest.fixture
def run_tool(
    tmp_path: Path, run_script: Callable[..., subprocess.CompletedProcess]
) -> Callable[..., subprocess.CompletedProcess]:
    """Run a tool of `tools/` in an empty folder."""

    def run(name: str, *args: object, check: bool = True) -> subprocess.CompletedProcess:
        return run_script(ROOT / 'tools' / name, tmp_path, *args, check=check)

    return run


@pytest.fixture
def quick_children(monkeypatch: pytest.MonkeyPatch, fork_server: Path) -> None:
    """Let commands that run others have them forked; see `support/fork_server.py`."""

    class Starting:
        Popen = functools.partial(Forked, server=fork_server)
        TimeoutExpired = subprocess.TimeoutExpired

    monkeypatch.setattr('mmseg_picie.apis.child_commands.subprocess', Starting)


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


def make_cityscapes(root: Path) -> None:
    """leftImg8bit/SPLIT/CITY/*.png, and in gtFine label ids 0-33 beside coloured annotations."""
    ids = np.array([23, 3, 22, 9, 7, 11, 21, 26, 24], dtype=np.uint8)
    cities = dict(train='aachen', val='lindau', test='bonn', train_extra='erlangen')
    for split, city in cities.items():
        for index in range(3):
            stem = f'{split}/{city}/{city}_{index:06d}_000019'
            image, labels = draw_scene(10, index, 48, 96)
            for suffix in ('png', 'jpg'):  # as released, and as in small copies
                write(root / 'leftImg8bit' / f'{stem}_leftImg8bit.{suffix}', image)
            if split in ('train', 'val'):
                write(root / 'gtFine' / f'{stem}_gtFine_labelIds.png', ids[labels])
                write(root / 'gtFine' / f'{stem}_gtFine_color.png', image)


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


def make_voc(root: Path) -> None:
    """JPEGImages/*.jpg, SegmentationClass/*.png with colours as a palette, and lists of names."""
    names = [f'2007_{index:06d}' for index in range(6)]
    (root / 'ImageSets/Segmentation').mkdir(parents=True)
    for index, name in enumerate(names):
        image, labels = draw_scene(12, index, 60 + 10 * index, 80)
        write(root / 'JPEGImages' / f'{name}.jpg', image)
        ids = np.where(labels == 8, 255, labels * 2).astype(np.uint8)  # 255 is the rim of a thing
        path = root / 'SegmentationClass' / f'{name}.png'
        path.parent.mkdir(exist_ok=True)
        coloured = Image.fromarray(ids, 'P')
        coloured.putpalette(list(range(256)) * 3)
        coloured.save(path)
    for split, chosen in dict(trainaug=names, val=names[:4]).items():
        (root / f'ImageSets/Segmentation/{split}.txt').write_text('\n'.join(chosen) + '\n')


def make_folder(root: Path) -> None:
    """Images of several kinds, without annotations."""
    for index in range(6):
        suffix = ('jpg', 'png')[index % 2]
        write(root / f'trip_{index % 2}' / f'{index}.{suffix}', draw_scene(9, index, 64, 90)[0])


def make_nothing(root: Path) -> None:
    """Scenes need no files."""


#: Data set -> what writes a small one in the layout of the real one.
MAKERS: dict[str, Callable[[Path], None]] = {
    'CamVidDataset': make_camvid,
    'COCOStuff171Dataset': make_cocostuff,
    'COCOStuff27Dataset': make_cocostuff,
    'Cityscapes19Dataset': make_cityscapes,
    'Cityscapes27Dataset': make_cityscapes,
    'ImageFolderDataset': make_folder,
    'ImageNetS50Dataset': make_imagenet_s50,
    'Potsdam3Dataset': make_potsdam3,
    'SyntheticScenesDataset': make_nothing,
    'VOC21Dataset': make_voc,
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
    config.default_hooks.checkpoint.save_optimizer = False  # two thirds of the file
    config.train_cfg.max_epochs = 1
    if 'torchvision://' in ((config.model.backbone.get('init_cfg') or {}).get('checkpoint') or ''):
        config.model.backbone.init_cfg = None  # it would be downloaded
    if config.model.backbone.type == 'TIMMViT':
        config.model.backbone.update(weights=None, out_indices=(0,))
        if 'centroids_per_cluster' in config.model.decode_head:
            config.model.decode_head.centroids_per_cluster = 2  # such images have 25 tokens
    if config.model.backbone.get('dynamic_img_size'):
        config.model.backbone.depth = 1  # a transformer's checkpoint would take long to write


@pytest.fixture
def small_run(tmp_path: Path) -> Callable[[Path], Config]:
    """Read a config, write data for it below `tmp_path`, and cut the run down to seconds."""

    def make(path: Path) -> Config:
        config = Config.fromfile(path)
        data = tmp_path / 'data'
        MAKERS[config.train_dataloader.dataset.type](data)
        shrink(config, data)
        config.work_dir = str(tmp_path / 'work')
        # mmengine keeps one visualiser and one logger for each name.
        config.experiment_name = config.visualizer.name = f'{tmp_path.name}_{path.stem}'
        return config

    return make


# A small PiCIE and inputs for it.
K, D = 5, 12


@pytest.fixture
def make_picie() -> Callable[..., PiCIE]:
    """Build a PiCIE of about 0.2 million weights; keyword arguments replace parts of its config."""

    def make(head: dict | None = None, **kwargs) -> PiCIE:
        torch.manual_seed(0)
        config = dict(
            type='PiCIE',
            backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8),
            neck=dict(type='SumFPN', in_channels=(8, 16, 32, 64), out_channels=D),
            decode_head=dict(
                type='CentroidHead', in_channels=D, **({'num_clusters': K} | (head or {}))
            ),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        )
        return MODELS.build(ConfigDict({**config, **kwargs}))

    return make


@pytest.fixture
def efficientnet() -> dict:
    """Options of `make_picie` for an EfficientNet-Lite0."""
    pytest.importorskip('timm')
    return dict(
        backbone=dict(
            type='TIMMBackbone',
            model_name='tf_efficientnet_lite0',
            features_only=True,
            pretrained=False,
        ),
        neck=dict(type='SumFPN', in_channels=(16, 24, 40, 112, 320), out_channels=D),
    )


@pytest.fixture
def fit() -> Callable[[PiCIE], PiCIE]:
    """Give the heads of a model random centroids and counts, and the model a frozen encoder."""

    def fit_heads(model: PiCIE) -> PiCIE:
        generator = torch.Generator().manual_seed(1)
        for head in model.heads().values():
            counts = torch.randint(1, 100, head.cluster_counts.shape, generator=generator)
            head.set_centroids(torch.randn(head.centroids.shape, generator=generator), counts)
        model.freeze_encoder()
        return model

    return fit_heads


@pytest.fixture
def pair() -> tuple[list[torch.Tensor], list[SegDataSample]]:
    """Two views of two images of 32 x 48 pixels, and their samples."""
    generator = torch.Generator().manual_seed(2)
    views = [torch.randn(2, 3, 32, 48, generator=generator) for _ in range(2)]
    draws = [GeometricDraw(0.1, 0.2, 0.6, 0.7), GeometricDraw(0.3, 0.0, 0.5, 0.5, hflip=True)]
    return views, [SegDataSample(metainfo=dict(geometry=draw)) for draw in draws]


# A PiCIE run that takes seconds: few small scenes, a narrow network.
TINY = """
_base_ = {base!r}
model = dict(
    backbone=dict(base_channels=8, stem_channels=8),
    neck=dict(in_channels=(8, 16, 32, 64), out_channels=16),
    decode_head=dict(in_channels=16, num_clusters=9, predict_views=(0, 1)))
train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='PairedViews', base_size=(64, 96), view_size=(32, 48)),
    dict(type='PackPairedViews')]
test_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='LoadAnnotations'),
    dict(type='RemapLabels'),
    dict(type='ResizeCenterCrop', size=(32, 48)),
    dict(type='PackSegInputs')]
scenes = dict(scene_size=(64, 96))
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False,
    dataset=dict(num_images=20, pipeline=train_pipeline, **scenes))
val_dataloader = dict(
    batch_size=3, num_workers=0, persistent_workers=False,
    dataset=dict(num_images=7, pipeline=test_pipeline, **scenes))
test_dataloader = val_dataloader
default_hooks = dict(
    acceleration=dict(frozen_dtype='float32'),  # the same on every processor
    logger=dict(interval=1),
    clustering=dict(batch_size=4, num_init_batches=3, num_iters=5))
"""


@pytest.fixture(scope='session')
def write_tiny_config() -> Callable[..., Config]:
    """Write the config of a tiny run into a folder, below which its work folder is."""

    def make(folder: Path, options: dict | None = None, name: str = 'tiny') -> Config:
        path = folder / f'{name}.py'
        path.write_text(TINY.format(base=str(ROOT / 'configs' / 'picie_fpn_r18_scenes.py')))
        config = Config.fromfile(path)
        config.work_dir = str(folder / name)
        # mmengine keeps one logger and one visualiser for each name.
        config.experiment_name = config.visualizer.name = f'{folder.name}_{name}'
        config.merge_from_dict(options or {})
        config.dump(path)
        return config

    return make


@pytest.fixture
def tiny_config(tmp_path: Path, write_tiny_config: Callable[..., Config]) -> Callable[..., Config]:
    """Make the config of a tiny run; its work folder is below `tmp_path`."""
    return functools.partial(write_tiny_config, tmp_path)
