"""From the public layout through converter, training and testing, each in a process of its own."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_picie.datasets.imagenet_s50 import SYNSETS
from mmseg_picie.datasets.scenes.synthetic_scenes import draw_scene

ROOT = Path(__file__).parents[2]
NARROW = [
    'model.backbone.init_cfg=None',
    'model.backbone.base_channels=8',
    'model.backbone.stem_channels=8',
    'model.neck.out_channels=16',
    'model.decode_head.in_channels=16',
]
SHORT = [
    'train_cfg.max_epochs=1',
    'default_hooks.clustering.batch_size=5',
    'default_hooks.clustering.num_init_batches=2',
    'default_hooks.clustering.num_iters=3',
    'train_dataloader.batch_size=5',
    'train_dataloader.dataset.pipeline.1.base_size=48',
    'train_dataloader.dataset.pipeline.1.view_size=32',
    'val_dataloader.dataset.pipeline.3.size=32',
    *(
        f'{split}_dataloader.{key}'
        for split in ('train', 'val', 'test')
        for key in ('num_workers=0', 'persistent_workers=False')
    ),
]


@pytest.fixture
def run(run_tool) -> Callable[..., str]:
    """Run a tool in a process of its own; return what it printed."""
    return lambda *words: run_tool(*words).stdout


def at(data: Path, *splits: str) -> list[str]:
    return [f'{split}_dataloader.dataset.data_root={data}' for split in splits]


def scores(output: str) -> dict[str, float]:
    """The scores that `picie test` printed."""
    return {name: float(x) for name, x in re.findall(r'^([\w/]+): ([\d.]+)$', output, re.M)}


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.mark.slow
def test_imagenet_s50_from_imagenet_to_scores_and_submission(run, tmp_path):
    imagenet, archive, data = (tmp_path / name for name in ('imagenet', 'archive', 'data/s50'))
    for index, synset in enumerate(SYNSETS):
        write(imagenet / 'train' / synset / f'{synset}_1.JPEG', draw_scene(1, index, 40, 56)[0])
        if index < 6:
            image, labels = draw_scene(2, index, 40 + 4 * index, 56)
            name = f'ILSVRC2012_val_{index:08d}'
            write(imagenet / 'val' / f'{name}.JPEG', image)
            ids = np.where(labels >= 7, index + 1, np.where(labels == 0, 1000, 0))
            if index < 4:
                pixels = np.stack([ids % 256, ids // 256, 0 * ids], axis=-1).astype(np.uint8)
                write(archive / 'validation-segmentation' / synset / f'{name}.png', pixels)
    (tmp_path / 'test.txt').write_text('ILSVRC2012_val_00000004\nILSVRC2012_val_00000005\n')
    words = (imagenet, archive, data, '--test-list', tmp_path / 'test.txt')
    printed = run('dataset_converters/imagenet_s50.py', *words)
    assert '50 train, 4 validation, 2 test' in printed

    small = [*NARROW, *SHORT, 'model.neck.in_channels=[32,64,128,256]']
    config = ROOT / 'configs/picie_fpn_r50_imagenet-s50.py'
    options = [*small, 'test_dataloader.dataset.pipeline.3.size=32']
    options += at(data, 'train', 'val', 'test')
    run('train.py', config, '--work-dir', tmp_path / 'work', '--cfg-options', *options)
    checkpoint = tmp_path / 'work/epoch_1.pth'
    found = scores(run('test.py', config, checkpoint, '--cfg-options', *options))
    assert {'aAcc', 'mIoU', 'foreground/mIoU', 'background/mIoU', 'stored/mIoU'} <= found.keys()
    assert 0 < found['mIoU'] <= 100

    config = ROOT / 'configs/picie_fpn_r50_imagenet-s50_submission.py'
    options = [*small, *at(data, 'train', 'val', 'test'), f'test_evaluator.root={data}']
    options += ['test_dataloader.dataset.pipeline.1.size=32']
    words = ('--out', tmp_path / 'out', '--cfg-options', *options)
    assert 'images_written: 2' in run('test.py', config, checkpoint, *words)
    written = sorted(path for path in (tmp_path / 'out').rglob('*') if path.is_file())
    assert [path.relative_to(tmp_path / 'out').as_posix() for path in written] == [
        'test/ILSVRC2012_val_00000004.png',
        'test/ILSVRC2012_val_00000005.png',
    ]
    assert [Image.open(path).size for path in written] == [(56, 56), (56, 60)]
    pixels = np.concatenate([np.asarray(Image.open(path)).reshape(-1, 3) for path in written])
    assert pixels[:, 0].max() <= 50 and not pixels[:, 1:].any()


@pytest.mark.slow
def test_potsdam3_from_scenes_to_scores(run, tmp_path):
    colours = np.array(
        [[255, 255, 255], [0, 0, 255], [0, 255, 255], [0, 255, 0], [255, 255, 0], [255, 0, 0]]
    )
    for index, scene in enumerate(('2_10', '7_12')):
        image, labels = draw_scene(3, index, 192, 192)
        write(tmp_path / f'src/top_potsdam_{scene}_RGB.tif', image)
        label = colours[labels % 6].astype(np.uint8)
        write(tmp_path / f'src/top_potsdam_{scene}_label.tif', label)
    data = tmp_path / 'data/potsdam3'
    printed = run('dataset_converters/potsdam3.py', tmp_path / 'src', data, '--tile', 24)
    assert '27 train, 5 test' in printed

    config = ROOT / 'configs/picie_fpn_r18_potsdam.py'
    options = [*NARROW, *SHORT, 'model.neck.in_channels=[8,16,32,64]']
    options += ['test_dataloader.dataset.pipeline.3.size=32', *at(data, 'train', 'val', 'test')]
    run('train.py', config, '--work-dir', tmp_path / 'work', '--cfg-options', *options)
    checkpoint = tmp_path / 'work/epoch_1.pth'
    found = scores(run('test.py', config, checkpoint, '--cfg-options', *options))
    assert found['stored/mIoU'] == found['mIoU']
    assert 0 < found['mIoU'] <= found['mAcc'] <= 100
