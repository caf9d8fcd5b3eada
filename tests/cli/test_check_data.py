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
    options = [f'published_images.Cityscapes27Dataset.{n}' for n in ('train=6', 'val=3475')]
    main(['check-data', str(config), '--cfg-options', *options])
    out = capsys.readouterr().out
    assert 'train: 6 images (published: 6)\n' in out
    assert 'val: 6 images with label maps (published: 3,475)\n  % of pixels: ' in out
    warning = next(text for text in caplog.messages if 'published' in text)
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


def test_shares_of_classes_are_counted(config, capsys, caplog):
    """One label map is void everywhere, the others are sky on the left half and road below it."""
    paths = sorted((config.parent / 'data/gtFine').rglob('*_labelIds.png'))
    for index, path in enumerate(paths):
        labels = np.full(np.array(Image.open(path)).shape, 3)  # no class
        if index:
            labels[:, : labels.shape[1] // 2] = 23
        Image.fromarray(labels.astype(np.uint8)).save(path)
    main(['check-data', str(config)])
    out = capsys.readouterr().out
    share = 50 * (len(paths) - 1) / len(paths)
    assert f'sky {share:.1f}' in out and f'void {100 - share:.1f}' in out
    assert any('1 val label maps have no class at all' in text for text in caplog.messages)
    assert any('never occur in the val data: road, ' in text for text in caplog.messages)


def test_labels_without_any_class_are_refused(config, capsys):
    for path in (config.parent / 'data/gtFine').rglob('*_labelIds.png'):
        Image.fromarray(np.full(np.array(Image.open(path)).shape, 3, np.uint8)).save(path)
    refuse(config, capsys, 'no pixel of the val data has a class')


def test_a_config_without_data_is_refused(tmp_path, capsys):
    path = tmp_path / 'config.py'
    path.write_text("default_scope = 'mmseg'\n")
    refuse(path, capsys, 'has no train_dataloader and no val_dataloader')
