"""Potsdam's tiles in MATLAB files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mmseg_picie.apis import convert_potsdam3 as converter
from mmseg_picie.datasets import Potsdam3Dataset


@pytest.fixture
def src(tmp_path) -> Path:
    """Five tiles, of which two are for training and one for testing."""
    root, rng = tmp_path / 'potsdam', np.random.default_rng(0)
    for folder in ('imgs', 'gt'):
        (root / folder).mkdir(parents=True)
    for number in range(5):
        image = rng.integers(0, 256, (20, 30, 4), dtype=np.uint8)
        labels = rng.integers(0, 6, (20, 30)).astype(np.int32)
        savemat(root / f'imgs/{number}.mat', dict(img=image))
        savemat(root / f'gt/{number}.mat', dict(gt=labels))
    (root / 'labelled_train.txt').write_text('3\n0\n')
    (root / 'labelled_test.txt').write_text('4\n')
    return root


def test_tiles_become_what_the_data_set_reads(src, tmp_path):
    out = tmp_path / 'out'
    assert converter.convert(src, out) == dict(train=2, test=1)
    assert {p.relative_to(out).as_posix() for p in out.rglob('*.png')} == {
        f'{folder}/{name}.png'
        for folder in ('images', 'annotations')
        for name in ('train/3', 'train/0', 'test/4')
    }
    rng = np.random.default_rng(0)
    drawn = [
        (rng.integers(0, 256, (20, 30, 4), dtype=np.uint8), rng.integers(0, 6, (20, 30)))
        for _ in range(5)
    ]
    np.testing.assert_array_equal(Image.open(out / 'images/test/4.png'), drawn[4][0][..., :3])
    np.testing.assert_array_equal(Image.open(out / 'annotations/train/3.png'), drawn[3][1])
    pipeline = [
        dict(type='LoadImageFromFile', imdecode_backend='pillow'),
        dict(type='LoadAnnotations'),
        dict(type='RemapLabels'),
    ]
    prefix = dict(img_path='images/test', seg_map_path='annotations/test')
    (item,) = Potsdam3Dataset(data_root=str(out), data_prefix=prefix, pipeline=pipeline)
    merged = np.array([0, 1, 2, 2, 0, 1])  # road, building, plants, plants, car, clutter
    np.testing.assert_array_equal(item['gt_seg_map'], merged[drawn[4][1]])
    np.testing.assert_array_equal(item['img'][..., ::-1], drawn[4][0][..., :3])


def spoil(src: Path, how: str) -> None:
    """Damage an archive in one way."""
    if how == 'list':
        (src / 'labelled_test.txt').unlink()
    elif how == 'both':
        (src / 'labelled_test.txt').write_text('0\n')
    elif how == 'missing':
        (src / 'gt/4.mat').unlink()
    elif how == 'cut':
        (src / 'gt/4.mat').write_bytes((src / 'gt/4.mat').read_bytes()[:100])
    elif how == 'key':
        savemat(src / 'gt/4.mat', dict(other=np.zeros((20, 30))))
    elif how == 'kind':
        savemat(src / 'imgs/4.mat', dict(img=np.zeros((20, 30, 4))))
    elif how == 'size':
        savemat(src / 'gt/4.mat', dict(gt=np.zeros((30, 20))))
    elif how == 'id':
        savemat(src / 'gt/4.mat', dict(gt=np.full((20, 30), 6)))


@pytest.mark.parametrize(
    ('how', 'words'),
    [
        ('list', 'labelled_test.txt'),
        ('both', 'both name 0'),
        ('missing', 'gt/4.mat is missing'),
        ('cut', 'gt/4.mat cannot be read'),
        ('key', "gt/4.mat must hold an array 'gt'"),
        ('kind', 'imgs/4.mat must hold uint8'),
        ('size', r'gt/4.mat must have the size of its image, \(20, 30\), got \(30, 20\)'),
        ('id', 'gt/4.mat must hold ids from 0 to 5, got 6'),
    ],
)
def test_a_damaged_archive_is_refused_by_name_and_leaves_nothing(src, tmp_path, how, words):
    spoil(src, how)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        converter.convert(src, tmp_path / 'out')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['potsdam']
