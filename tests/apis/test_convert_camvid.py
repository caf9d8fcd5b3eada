"""Proofs for `picie convert camvid` on a small made release."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_picie.apis import convert_camvid as camvid

COUNTS = {'train': 3, 'val': 2, 'test': 1}


@pytest.fixture
def src(tmp_path):
    """Write a release of 12 x 8 pixels in which every class and void occurs."""
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        images, annotations = tmp_path / 'src' / split, tmp_path / 'src' / f'{split}annot'
        images.mkdir(parents=True)
        annotations.mkdir()
        for index in range(count):
            image = rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)
            labels = rng.permutation(np.arange(96) % 12).reshape(8, 12).astype(np.uint8)
            Image.fromarray(image).save(images / f'{split}_{index}.png')
            Image.fromarray(labels).save(annotations / f'{split}_{index}.png')
    return tmp_path / 'src'


def refuse(error: type[Exception], src: Path, *words: str) -> None:
    """Prove that a release is refused in one sentence with these words, and nothing is left."""
    out = src.parent / 'out'
    with pytest.raises(error) as caught:
        camvid.convert(src, out)
    message = str(caught.value)
    assert '\n' not in message
    for word in words:
        assert word in message
    assert sorted(path.name for path in src.parent.iterdir()) == ['src']


@pytest.mark.parametrize('link', [False, True])
def test_every_pixel_keeps_its_class_and_void_becomes_255(src, tmp_path, link):
    out = tmp_path / 'deep' / 'camvid'
    assert camvid.convert(src, out, link) == COUNTS

    for split, count in COUNTS.items():
        images = sorted((out / 'images' / split).iterdir())
        assert len(images) == len(list((out / 'annotations' / split).iterdir())) == count
        for image in images:
            assert image.is_symlink() == link
            assert image.read_bytes() == (src / split / image.name).read_bytes()
            before = np.asarray(Image.open(src / f'{split}annot' / image.name))
            written = Image.open(out / 'annotations' / split / image.name)
            after = np.asarray(written)
            assert written.mode == 'L'
            assert (after[before == 11] == 255).all()
            assert (after[before < 11] == before[before < 11]).all()
    assert [path.name for path in out.parent.iterdir()] == ['camvid']


def test_palette_annotations_count_by_index(src, tmp_path):
    path = src / 'valannot/val_0.png'
    labels = np.asarray(Image.open(path))
    indexed = Image.fromarray(labels)
    indexed.putpalette([value for index in range(256) for value in (255 - index, index, 0)])
    assert indexed.mode == 'P'
    indexed.save(path)
    camvid.convert(src, tmp_path / 'out')
    after = np.asarray(Image.open(tmp_path / 'out/annotations/val/val_0.png'))
    assert (after == np.where(labels == 11, 255, labels)).all()


def test_other_counts_than_published_are_warned_about(src, tmp_path, caplog):
    camvid.convert(src, tmp_path / 'out')
    assert [record.levelname for record in caplog.records] == ['WARNING'] * 3
    assert 'has 2 images, the published split has 101' in caplog.text


def test_missing_folder_is_refused(src):
    (src / 'testannot').rename(src / 'test_annot')
    refuse(FileNotFoundError, src, str(src / 'testannot'), 'is missing')


def test_empty_folder_is_refused(src):
    (src / 'test/test_0.png').unlink()
    refuse(FileNotFoundError, src, str(src / 'test'), 'has none')


def test_image_without_annotation_is_refused(src):
    (src / 'trainannot/train_1.png').unlink()
    refuse(FileNotFoundError, src, str(src / 'train/train_1.png'), 'has no annotation')


def test_annotation_without_image_is_refused(src):
    (src / 'train/train_1.png').unlink()
    refuse(FileNotFoundError, src, str(src / 'trainannot/train_1.png'), 'has no image')


def test_annotation_in_colours_is_refused(src):
    path = src / 'valannot/val_1.png'
    Image.open(path).convert('RGB').save(path)
    refuse(ValueError, src, str(path), 'one channel', 'got 3 channels')


def test_value_out_of_range_is_refused_with_file_and_value(src):
    path = src / 'testannot/test_0.png'
    labels = np.asarray(Image.open(path)).copy()
    labels[3, 4] = 37
    Image.fromarray(labels).save(path)
    refuse(ValueError, src, str(path), '0..11', 'got 37')


def test_annotation_of_another_size_is_refused(src):
    path = src / 'valannot/val_0.png'
    Image.open(path).crop((0, 0, 10, 8)).save(path)
    refuse(ValueError, src, str(path), '12 x 8', 'got 10 x 8')


@pytest.mark.parametrize('name', ['val/val_0.png', 'valannot/val_0.png'])
@pytest.mark.parametrize('fault', ['truncated', 'text'])
def test_unreadable_file_is_refused(src, name, fault):
    path = src / name
    content = path.read_bytes()[:-40] if fault == 'truncated' else b'not an image'
    path.write_bytes(content)
    refuse(ValueError, src, str(path), 'cannot be read')


def test_used_folder_is_refused_and_kept_and_an_empty_one_is_filled(src, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    camvid.convert(src, out)
    (out / 'notes.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='OUT must be new or an empty folder'):
        camvid.convert(src, out)
    assert (out / 'notes.txt').read_text() == 'mine'


def test_command_line_reports_counts_and_errors_without_traceback(src, run_tool, tmp_path):
    words = ['dataset_converters/camvid.py', src, tmp_path / 'out', '--link']
    assert '3 train, 2 val, 1 test' in run_tool(*words).stdout
    again = run_tool(*words, check=False)
    assert again.returncode == 2
    assert 'error: OUT must be new' in again.stderr
    assert 'Traceback' not in again.stderr
