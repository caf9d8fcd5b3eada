"""Proofs for `picie check-data` on small made data."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_picie.apis import check_data
from mmseg_picie.cli import main
from mmseg_picie.datasets import PairedViews

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


def test_images_and_label_maps_are_counted_beside_the_published_numbers(config, capsys):
    options = [f'published_images.Cityscapes27Dataset.{n}' for n in ('train=6', 'val=3475')]
    main(['check-data', str(config), '--cfg-options', *options])
    out, err = capsys.readouterr()
    assert 'train: 6 images (published: 6)\n' in out
    assert 'val: 6 images with label maps (published: 3,475)\n  width x height: ' in out
    assert '  % of pixels: ' in out
    assert 'val data have 6 images, those published 3,475' in err


@pytest.fixture
def folder(small_run, tmp_path) -> tuple[Path, list[Path]]:
    """A config of a folder of six made images, without labels, and the images."""
    path = tmp_path / 'config.py'
    small_run(ROOT / 'configs' / 'picie_fpn_efficientnet-lite0_folder.py').dump(path)
    images = sorted(p for p in tmp_path.rglob('*') if p.suffix in ('.jpg', '.png'))
    assert len(images) == 6
    return path, images


def test_data_without_published_numbers_or_labels_are_counted(folder, capsys):
    path, images = folder
    sizes = {Image.open(image).size for image in images}
    assert len(sizes) == 1
    width, height = sizes.pop()
    main(['check-data', str(path)])
    out, err = capsys.readouterr()
    assert out.endswith(f'train: 6 images\n  width x height: {width} x {height} (6)\n')
    assert not err


def test_sizes_are_those_that_are_seen(folder, capsys):
    path, images = folder
    turned, exif = Image.new('RGB', (70, 40)), Image.Exif()
    exif[0x0112] = 6  # a quarter of a turn
    turned.save(images[0].with_suffix('.jpg'), exif=exif)
    if images[0].suffix != '.jpg':
        images[0].unlink()
    for image, size in zip(images[1:], [(50, 40), (9, 8), (90, 80), (30, 20), (9, 8)], strict=True):
        Image.new('RGB', size, (*size, 0)).save(image)
    main(['check-data', str(path)])
    line = next(ln for ln in capsys.readouterr().out.split('\n') if 'width x height' in ln)
    assert '9 x 8 (2)' in line and '40 x 70' in line and '70 x 40' not in line
    assert 'others from 30 x 20 to 90 x 80 (2)' in line


def test_files_of_equal_bytes_are_named(folder, capsys):
    path, images = folder
    images[4].write_bytes(images[1].read_bytes())
    main(['check-data', str(path)])
    out, err = capsys.readouterr()
    assert 'duplicates: 1 files' in out
    assert f'{images[4]} = {images[1]}.' in err


def test_every_file_that_cannot_be_used_is_named_and_none_that_can(folder, capsys):
    path, images = folder
    images[1].write_bytes(images[1].read_bytes()[:60])
    images[3].write_bytes(b'')
    Image.new('I;16', (40, 30)).save(images[5], format='png')
    with pytest.raises(SystemExit) as caught:
        main(['check-data', str(path)])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert '6 images\n  cannot be used: 3 (a run refuses them)' in out
    problems = [line for line in out.split('\n') if line.startswith('PROBLEM: ')]
    assert [str(image) in line for image, line in zip(images[1::2], problems, strict=True)]
    assert str(images[1]) in err and 'There are 2 more.' in err and err.count('\n') == 1
    for image in images[::2]:
        assert str(image) not in out + err


def test_files_that_a_run_leaves_out_are_named_and_no_problem(folder, capsys):
    path, images = folder
    images[1].write_bytes(b'')
    option = 'train_dataloader.dataset.on_bad_image=skip'
    main(['check-data', str(path), '--cfg-options', option])
    out, err = capsys.readouterr()
    assert 'cannot be used: 1 (a run leaves them out)' in out
    assert err.startswith('WARNING: ') and str(images[1]) in err
    for image in images:
        image.write_bytes(b'')
    with pytest.raises(SystemExit):
        main(['check-data', str(path), '--cfg-options', option])


def test_an_error_of_the_pipeline_is_a_problem_that_names_the_image(folder, capsys, monkeypatch):
    path, images = folder
    transform = PairedViews.transform

    def fail(self, results):
        if results['img_path'] == str(images[2]):
            raise ZeroDivisionError('no such thing')
        return transform(self, results)

    monkeypatch.setattr(PairedViews, 'transform', fail)
    refuse(path, capsys, str(images[2]), 'no such thing')


def test_a_sample_is_looked_at_on_demand(folder, capsys, monkeypatch):
    path, images = folder
    monkeypatch.setattr(check_data, 'SAMPLE', 3)
    images[1].write_bytes(b'')
    main(['check-data', str(path), '--fast'])
    out = capsys.readouterr().out
    assert '6 images\n  looked at: 3 of them\n' in out and 'x' in out
    images[5].write_bytes(b'')
    with pytest.raises(SystemExit):
        main(['check-data', str(path), '--fast'])


def test_images_that_splits_share_are_counted(config, capsys):
    images = sorted((config.parent / 'data/leftImg8bit').rglob('*.png'))
    for index, image in enumerate(images):  # none is like another
        Image.new('RGB', (96, 48), (index, 0, 0)).save(image)
    main(['check-data', str(config)])
    assert 'share' not in capsys.readouterr().out
    first = {path.parts[-3]: path for path in images}
    first['train_extra'].write_bytes(first['val'].read_bytes())
    main(['check-data', str(config)])
    assert 'train and val share 1 images\n' in capsys.readouterr().out


def test_masks_of_black_and_white_are_refused(config, capsys):
    for path in (config.parent / 'data/gtFine').rglob('*_labelIds.png'):
        labels = np.full(np.array(Image.open(path)).shape, 7, np.uint8)
        labels[: len(labels) // 2] = 255
        Image.fromarray(labels).save(path)
    refuse(config, capsys, 'hold 0 and 255 alone', 'convert 255 to 1')


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


def test_shares_of_classes_are_counted(config, capsys):
    """One label map is void everywhere, the others are sky on the left half and road below it."""
    paths = sorted((config.parent / 'data/gtFine').rglob('*_labelIds.png'))
    for index, path in enumerate(paths):
        labels = np.full(np.array(Image.open(path)).shape, 3)  # no class
        if index:
            labels[:, : labels.shape[1] // 2] = 23
        Image.fromarray(labels.astype(np.uint8)).save(path)
    main(['check-data', str(config)])
    out, err = capsys.readouterr()
    share = 50 * (len(paths) - 1) / len(paths)
    assert f'sky {share:.1f}' in out and f'void {100 - share:.1f}' in out
    assert '1 val label maps have no class at all: ' in err
    assert 'never occur in the val data: road, ' in err


def test_labels_without_any_class_are_refused(config, capsys):
    for path in (config.parent / 'data/gtFine').rglob('*_labelIds.png'):
        Image.fromarray(np.full(np.array(Image.open(path)).shape, 3, np.uint8)).save(path)
    refuse(config, capsys, 'no pixel of the val data has a class')


def test_a_config_without_data_is_refused(tmp_path, capsys):
    path = tmp_path / 'config.py'
    path.write_text("default_scope = 'mmseg'\n")
    refuse(path, capsys, 'has no train_dataloader, val_dataloader or test_dataloader')
