"""A folder of made files: what is in it is known, and is what the survey says."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from PIL.TiffImagePlugin import AppendingTiffWriter

from mmseg_picie.apis import folder_survey
from mmseg_picie.apis.folder_survey import describe_survey, survey_folder
from mmseg_picie.datasets.image_files import check_image, find_faults
from mmseg_picie.datasets.scenes import draw_scene


def photo(index: int, height: int = 240, width: int = 320) -> Image.Image:
    return Image.fromarray(draw_scene(3, index, height, width)[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures, some of them twice or thrice, one flat, one grey, two broken."""
    root = tmp_path / 'photos'
    (root / 'sub').mkdir(parents=True)
    for index in range(6):
        photo(index).save(root / f'{index}.png')
    photo(0).save(root / 'sub' / 'resaved.jpg', quality=40)
    photo(0).resize((160, 120)).save(root / 'sub' / 'small.webp')
    ImageEnhance.Brightness(photo(1)).enhance(1.1).save(root / 'sub' / 'brighter.png')
    (root / 'sub' / 'copy.png').write_bytes((root / '2.png').read_bytes())
    turned = photo(3).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    turned.save(root / 'sub' / 'turned.jpg', quality=95, exif=exif)
    Image.new('RGB', (64, 96), (10, 0, 0)).save(root / 'flat.jpg')
    Image.new('L', (64, 64)).save(root / 'black.png')
    photo(7).convert('L').convert('RGB').save(root / 'grey.jpg')
    (root / 'cut.png').write_bytes((root / '4.png').read_bytes()[:2000])
    (root / 'text.jpg').write_bytes(b'no image')
    return root


def test_what_is_in_the_folder_is_found(folder):
    survey = survey_folder(folder)
    assert len(survey.names) == 14 and survey.names == sorted(survey.names)
    assert survey.copies == [['2.png', 'sub/copy.png']]
    assert survey.alike == [
        ['0.png', 'sub/resaved.jpg', 'sub/small.webp'],
        ['1.png', 'sub/brighter.png'],
        ['3.png', 'sub/turned.jpg'],
    ]
    assert survey.flat == ['black.png', 'flat.jpg']
    assert survey.grey == ['grey.jpg']
    assert list(survey.unreadable) == ['cut.png', 'text.jpg']
    for name, sentence in survey.unreadable.items():
        assert str(folder / name) in sentence and 'cannot be read as an image' in sentence
    sizes = dict(zip(survey.names, survey.sizes.tolist(), strict=True))
    assert sizes['0.png'] == sizes['sub/turned.jpg'] == [320, 240]
    assert sizes['flat.jpg'] == [64, 96]


def test_the_lines_say_it(folder):
    lines = describe_survey(survey_folder(folder))
    assert lines == [
        '14 images, width x height from 64 x 64 to 320 x 240, median 320 x 240',
        'of mixed shapes: 12 wider than high, 1 higher than wide, 1 square',
        '2 of one colour: black.png, flat.jpg',
        '1 without colour: grey.jpg',
        '1 the same file as another: sub/copy.png = 2.png',
        '4 nearly the same picture as another: sub/resaved.jpg = 0.png, '
        'sub/brighter.png = 1.png, sub/turned.jpg = 3.png ...',
        '2 cannot be read and are left out:',
        *(f'  {sentence}' for sentence in survey_folder(folder).unreadable.values()),
    ]


def test_of_a_plain_folder_there_is_a_line(tmp_path):
    for index in range(3):
        photo(index).save(tmp_path / f'{index}.jpg')
    assert describe_survey(survey_folder(tmp_path)) == ['3 images, width x height 320 x 240']


def test_a_speck_is_not_one_colour(tmp_path):
    image = np.zeros((80, 80, 3), np.uint8)
    image[40:44, 40:44] = 255
    Image.fromarray(image).save(tmp_path / 'star.jpg')
    assert survey_folder(tmp_path).flat == []


def test_names_are_printed_on_one_line(tmp_path):
    photo(0).save(tmp_path / 'a\nb.jpg')
    Image.new('RGB', (9, 9)).save(tmp_path / 'c\x1b.png')
    assert describe_survey(survey_folder(tmp_path))[-1] == r'1 of one colour: c\x1b.png'


def test_many_files_are_looked_at_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_survey, '_AT_ONCE', 3)
    monkeypatch.setattr(folder_survey, '_LARGE_PIXELS', 10)
    for index in range(8):
        Image.new('RGB', (index + 1, 5)).save(tmp_path / f'{index}.png')
    survey = survey_folder(tmp_path)
    assert survey.names == [f'{index}.png' for index in range(8)]
    assert survey.sizes.tolist() == [[index + 1, 5] for index in range(8)]
    assert survey.copies == survey.alike == []


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'RGBA', 'CMYK', 'I;16'])
def test_every_mode_of_pixels_is_read_or_refused_by_the_rule(tmp_path, mode):
    for index in range(2):
        image = photo(index)
        image = (
            Image.fromarray(np.asarray(image.convert('L')).astype(np.uint16) * 256)
            if (mode == 'I;16')
            else image.convert(mode)
        )
        image.save(tmp_path / f'{index}.{"tif" if mode == "CMYK" else "png"}')
    photo(2).save(tmp_path / '2.png')
    survey = survey_folder(tmp_path)
    assert len(survey.names) == (1 if mode == 'I;16' else 3)
    assert all('8 bits' in sentence for sentence in survey.unreadable.values())
    assert survey.grey == (['0.png', '1.png'] if mode in ('1', 'L', 'LA') else [])


def test_folders_without_an_image_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='folder .*nowhere does not exist; give a folder'):
        survey_folder(tmp_path / 'nowhere')
    with pytest.raises(FileNotFoundError, match=r'holds no image \(\.bmp, .*give a folder'):
        survey_folder(tmp_path)
    (tmp_path / 'a.jpg').write_bytes(b'x')
    with pytest.raises(ValueError, match=r'no image of folder .* can be read, of 1: .*a\.jpg'):
        survey_folder(tmp_path)


def test_files_of_several_pages_are_named(tmp_path):
    """Smaller copies and masks of the picture, as in a map's pyramid, are no pages of their own."""
    first, second = photo(0), photo(1)
    first.save(tmp_path / 'single.tif')
    first.save(tmp_path / 'stack.tif', save_all=True, append_images=[second])
    first.save(tmp_path / 'moving.webp', save_all=True, append_images=[second])
    first.save(tmp_path / 'phone.jpg', format='MPO', save_all=True, append_images=[second])
    pages = [first, first.resize((160, 120)), first.convert('L')]
    with AppendingTiffWriter(str(tmp_path / 'pyramid.tif'), True) as file:
        for page, kind in zip(pages, (0, 1, 4), strict=True):
            page.save(file, format='TIFF', tiffinfo={254: kind})
            file.newFrame()
    survey = survey_folder(tmp_path)
    assert survey.stacks == ['moving.webp', 'stack.tif']
    (line,) = [line for line in describe_survey(survey) if 'pages' in line]
    assert line == '2 of several pages, of which only the first is seen: moving.webp, stack.tif'


@pytest.mark.filterwarnings('ignore:Dataset has no geotransform')
def test_files_of_many_bands_are_seen_as_they_are_read(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    bands = np.stack([np.asarray(photo(1, 60, 90))[..., c % 3] for c in range(5)])
    profile = dict(driver='GTiff', count=5, height=60, width=90, dtype='uint8')
    with rasterio.open(tmp_path / 'many.tif', 'w', **profile) as file:
        file.write(bands)
    with rasterio.open(tmp_path / 'high.tif', 'w', **profile | dict(dtype='float32')) as file:
        file.write(bands.astype(np.float32))
    survey = survey_folder(tmp_path)
    assert survey.names == ['many.tif'] and survey.sizes.tolist() == [[90, 60]]
    assert list(survey.unreadable) == ['high.tif']
    assert survey_folder(tmp_path, 'percentile').names == ['high.tif', 'many.tif']


def test_what_a_survey_leaves_out_is_what_a_data_set_refuses(tmp_path):
    photo(1).save(tmp_path / 'a.png')
    Image.fromarray(np.ones((20, 30), np.float32)).save(tmp_path / 'high.tif')
    for stretch, is_left_out in (('none', True), ('full', True), ('percentile', False)):
        assert ('high.tif' in survey_folder(tmp_path, stretch).unreadable) == is_left_out
        (fault,) = find_faults(partial(check_image, stretch=stretch), [tmp_path / 'high.tif'])
        assert (fault is not None) == is_left_out
