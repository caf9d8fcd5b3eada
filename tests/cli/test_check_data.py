"""Proofs for `picie check-data` on small made data."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_picie.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(small_run, tmp_path) -> Path:
    """A config of Cityscapes-27 with three made images a split."""
    path = tmp_path / 'config.py'
    small_run(ROOT / 'configs' / 'picie_fpn_r18_cityscapes.py').dump(path)
    return path


def refuse(config: Path, capsys, *words: str) -> None:
    """Prove that the tool ends with one sentence with these words."""
    with pytest.raises(SystemExit) as caught:
        main(['check-data', str(config)])
    assert caught.value.code == 2
    message = capsys.readouterr().err.partition('error: ')[2]
    assert message.count('\n') == 1
    for word in words:
        assert word in message


def test_images_and_label_maps_are_counted_beside_the_published_numbers(config, capsys, caplog):
    options = ['published_images.train=6', 'published_images.val=3475']
    main(['check-data', str(config), '--cfg-options', *options])
    out = capsys.readouterr().out
    assert 'train: 6 images (published: 6)\n' in out
    assert 'val: 6 images with label maps (published: 3,475)\n' in out
    (warning,) = caplog.messages
    assert 'val data have 6 images, those published 3,475' in warning


def test_data_without_published_numbers_or_labels_are_counted(small_run, tmp_path, capsys, caplog):
    path = tmp_path / 'config.py'
    small_run(ROOT / 'configs' / 'picie_fpn_efficientnet-lite0_folder.py').dump(path)
    main(['check-data', str(path)])
    assert capsys.readouterr().out == 'train: 6 images\n'
    assert not caplog.messages


@pytest.mark.parametrize('workers', [1, 3])
def test_every_label_map_is_read(config, capsys, workers):
    main(['check-data', str(config), '--workers', str(workers)])
    for path in sorted((config.parent / 'data/gtFine').rglob('*_labelIds.png')):
        whole = path.read_bytes()
        labels = np.array(Image.open(path))
        labels[-1, -1] = 34
        Image.fromarray(labels).save(path)
        refuse(config, capsys, f'{path} holds the value 34')
        path.write_bytes(whole)


def test_missing_folder_is_refused_by_name(config, capsys):
    (config.parent / 'data/leftImg8bit/train_extra').rename(config.parent / 'elsewhere')
    refuse(config, capsys, "leftImg8bit/train_extra of split 'train_extra' does not exist")


def test_image_without_label_map_is_refused_by_name(config, capsys):
    path = next((config.parent / 'data/gtFine/val').rglob('*_labelIds.png'))
    path.unlink()
    refuse(config, capsys, f'label map {path} of image', 'does not exist')


def test_label_map_of_another_size_than_its_image_is_refused_by_name(config, capsys):
    path = next((config.parent / 'data/gtFine/val').rglob('*_labelIds.png'))
    Image.fromarray(np.full((48, 90), 7, np.uint8)).save(path)
    refuse(config, capsys, f'label map {path} is 90 x 48 pixels')


def test_number_of_workers_must_be_positive(config, capsys):
    with pytest.raises(SystemExit):
        main(['check-data', str(config), '--workers', '0'])
    assert '--workers: must be positive, but got 0' in capsys.readouterr().err
