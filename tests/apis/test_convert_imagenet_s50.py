"""Proofs for `picie convert imagenet-s50` on a small made ImageNet."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_picie.apis import convert_imagenet_s50 as converter
from mmseg_picie.cli import main
from mmseg_picie.datasets import ImageNetS50Dataset, LoadRGAnnotations, RemapLabels
from mmseg_picie.datasets.imagenet_s50 import SYNSETS

FIRST, SECOND = list(SYNSETS)[:2]
#: Label maps: two of ImageNet's validation images, one of its training images.
LABELLED = {
    f'{FIRST}/ILSVRC2012_val_00000003': 1,
    f'{SECOND}/ILSVRC2012_val_00000001': 2,
    f'{SECOND}/{SECOND}_1': 1000,
}


def write_image(path: Path, colour: tuple[int, int, int] = (90, 60, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (12, 8), colour).save(path)


@pytest.fixture
def src(tmp_path):
    """Write two images of each synset and of a foreign one, and four validation images."""
    imagenet = tmp_path / 'src' / 'imagenet'
    for synset in [*SYNSETS, 'n00000001']:
        for index in (1, 22):
            write_image(imagenet / 'train' / synset / f'{synset}_{index}.JPEG')
    for index in range(1, 5):
        write_image(imagenet / 'val' / f'ILSVRC2012_val_{index:08d}.JPEG')
    for name, id_ in LABELLED.items():
        path = tmp_path / 'src' / 'archive' / 'validation-segmentation' / f'{name}.png'
        write_image(path, (id_ % 256, id_ // 256, 0))
    return tmp_path / 'src'


def convert(src: Path, out: Path, **options) -> dict[str, int]:
    return converter.convert(src / 'imagenet', src / 'archive', out, **options)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if not path.is_dir()}


def refuse(error: type[Exception], src: Path, *words: str, **options) -> None:
    """Prove that the input is refused in one sentence with these words, and nothing is left."""
    with pytest.raises(error) as caught:
        convert(src, src.parent / 'deep' / 'out', **options)
    message = str(caught.value)
    assert '\n' not in message
    for word in words:
        assert word in message
    assert sorted(path.name for path in src.parent.iterdir()) == ['src']


EXPECTED_TRAIN = {f'{s}/{s}_{i}.JPEG' for s in SYNSETS for i in (1, 22)} - {
    f'{SECOND}/{SECOND}_1.JPEG'
}


@pytest.mark.parametrize('copy', [False, True])
@pytest.mark.parametrize('nested', [False, True])
def test_labelled_images_are_validated_and_all_others_of_the_synsets_trained(
    src, tmp_path, copy, nested
):
    if nested:  # the validation images in folders by synset, and the archive a level deeper
        for path in (src / 'imagenet/val').glob('*.JPEG'):
            (src / 'imagenet/val' / FIRST).mkdir(exist_ok=True)
            path.rename(src / 'imagenet/val' / FIRST / path.name)
        (src / 'archive').rename(src / 'ImageNetS50')
        (src / 'archive').mkdir()
        (src / 'ImageNetS50').rename(src / 'archive/ImageNetS50')
    out = tmp_path / 'deep' / 'ImageNetS50'
    assert convert(src, out, copy=copy) == {'train': 99, 'validation': 3}
    assert names(out / 'train') == EXPECTED_TRAIN
    assert names(out / 'validation') == {f'{name}.JPEG' for name in LABELLED}
    assert names(out / 'validation-segmentation') == {f'{name}.png' for name in LABELLED}
    assert sorted(path.name for path in out.iterdir()) == [
        'train',
        'validation',
        'validation-segmentation',
    ]
    assert {path.is_symlink() for path in out.rglob('*.*')} == {not copy}
    assert [path.name for path in out.parent.iterdir()] == ['ImageNetS50']


def test_output_is_what_the_data_set_reads(src, tmp_path):
    convert(src, tmp_path / 'out')
    dataset = ImageNetS50Dataset(
        data_root=str(tmp_path / 'out'),
        data_prefix=dict(img_path='validation', seg_map_path='validation-segmentation'),
        pipeline=[LoadRGAnnotations(), RemapLabels()],
    )
    found = {
        Path(item['img_path']).stem: np.unique(item['gt_seg_map']).tolist() for item in dataset
    }
    assert found == {
        'ILSVRC2012_val_00000003': [1],
        'ILSVRC2012_val_00000001': [2],
        f'{SECOND}_1': [255],
    }


@pytest.mark.parametrize('suffix', ['', '.JPEG'])
def test_listed_test_images_are_taken_from_training_and_validation_images(src, tmp_path, suffix):
    lines = [f'{FIRST}_22{suffix}', '', f'test/ILSVRC2012_val_00000004{suffix}']
    (src / 'test.txt').write_text('\n'.join(lines) + '\n')
    counts = convert(src, tmp_path / 'out', test_list=src / 'test.txt')
    assert counts == {'train': 98, 'validation': 3, 'test': 2}
    assert names(tmp_path / 'out/test') == {f'{FIRST}_22.JPEG', 'ILSVRC2012_val_00000004.JPEG'}
    assert names(tmp_path / 'out/train') == EXPECTED_TRAIN - {f'{FIRST}/{FIRST}_22.JPEG'}


def test_other_counts_than_published_are_warned_about(src, tmp_path, caplog):
    convert(src, tmp_path / 'out')
    assert [record.levelname for record in caplog.records] == ['WARNING'] * 3
    assert 'train has 99 images, the published split has 64431' in caplog.text
    assert 'validation has 3 images, the published split has 752' in caplog.text
    assert 'training images that the benchmark tests with stay in train' in caplog.text


def test_missing_synset_is_refused(src):
    (src / 'imagenet/train' / FIRST).rename(src / 'imagenet/train/elsewhere')
    refuse(FileNotFoundError, src, str(src / 'imagenet/train' / FIRST), 'is missing')


def test_synset_without_images_is_refused(src):
    for path in (src / 'imagenet/train' / SECOND).iterdir():
        path.unlink()
    refuse(FileNotFoundError, src, str(src / 'imagenet/train' / SECOND), 'has none')


def test_missing_validation_folder_is_refused(src):
    (src / 'imagenet/val').rename(src / 'imagenet/valid')
    refuse(FileNotFoundError, src, str(src / 'imagenet/val'), 'is missing')


def test_archive_without_label_maps_is_refused(src):
    (src / 'archive/validation-segmentation').rename(src / 'archive/labels')
    refuse(FileNotFoundError, src, 'validation-segmentation is missing')
    (src / 'archive/validation-segmentation').mkdir()
    refuse(FileNotFoundError, src, 'validation-segmentation must hold', 'has none')


def test_archive_of_more_synsets_is_refused(src):
    write_image(src / 'archive/validation-segmentation/n00000001/a.png', (3, 0, 0))
    refuse(ValueError, src, 'n00000001', 'ImageNet-S-50')


def test_label_map_without_image_is_refused(src):
    (src / 'imagenet/val/ILSVRC2012_val_00000003.JPEG').unlink()
    refuse(FileNotFoundError, src, f'{FIRST}/ILSVRC2012_val_00000003.png', 'has no image')


@pytest.mark.parametrize(
    ('colour', 'word'),
    [((51, 0, 0), 'got 51'), ((0, 1, 0), 'got 256'), ((255, 0, 0), 'got 255'), ((0, 0, 9), 'blue')],
)
def test_label_map_of_other_ids_is_refused_with_file_and_id(src, colour, word):
    path = src / f'archive/validation-segmentation/{SECOND}/{SECOND}_1.png'
    write_image(path, colour)
    refuse(ValueError, src, str(path), word)


@pytest.mark.parametrize('fault', ['truncated', 'text', 'grey'])
def test_unreadable_label_map_is_refused(src, fault):
    path = src / f'archive/validation-segmentation/{SECOND}/{SECOND}_1.png'
    if fault == 'grey':
        Image.new('L', (12, 8)).save(path)
    else:
        path.write_bytes(path.read_bytes()[:45] if fault == 'truncated' else b'not an image')
    refuse(ValueError, src, str(path), 'three channels' if fault == 'grey' else 'cannot be read')


@pytest.mark.parametrize(
    ('line', 'error', 'words'),
    [
        ('ILSVRC2012_val_00000009', FileNotFoundError, ('ILSVRC2012_val_00000009', '--test-list')),
        (f'{SECOND}_1', ValueError, (f'{SECOND}_1', 'has a label map')),
        ('', ValueError, ('test.txt', 'is empty')),
    ],
)
def test_wrong_test_list_is_refused(src, line, error, words):
    (src / 'test.txt').write_text(line + '\n')
    refuse(error, src, *words, test_list=src / 'test.txt')


def test_missing_test_list_is_refused(src):
    refuse(FileNotFoundError, src, 'none.txt', test_list=src / 'none.txt')


def test_used_folder_is_refused_and_kept_and_an_empty_one_is_filled(src, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    convert(src, out)
    (out / 'notes.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='OUT must be new or an empty folder'):
        convert(src, out)
    assert (out / 'notes.txt').read_text() == 'mine'


def test_command_line_reports_counts_and_errors_without_traceback(src, tmp_path, capsys):
    words = [str(src / 'imagenet'), str(src / 'archive'), str(tmp_path / 'out')]
    main(['convert', 'imagenet-s50', *words])
    assert '99 train, 3 validation' in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(['convert', 'imagenet-s50', *words])
    assert caught.value.code == 2
    assert 'error: OUT must be new' in capsys.readouterr().err
