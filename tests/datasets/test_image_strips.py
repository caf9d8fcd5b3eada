"""Strips of an image are parts of it, and resized strips those of the whole image resized."""

import numpy as np
import pytest
from PIL import Image

from mmseg_picie.datasets import image_strips
from mmseg_picie.datasets.image_reading import read_image
from mmseg_picie.datasets.image_strips import ArrayStrips, ResizedStrips, needs_parts, open_strips

SIZES = [
    ((300, 200), (77, 51)),
    ((31, 20), (90, 64)),
    ((1, 1), (32, 32)),
    ((4000, 17), (320, 32)),
    ((64, 64), (64, 64)),
    ((50, 3), (32, 96)),
]


def draw(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize('is_turned', [False, True])
@pytest.mark.parametrize('strip_bytes', [1000, 20_000, 1 << 25])
@pytest.mark.parametrize(('shape', 'size'), SIZES)
def test_strips_are_rows_of_the_image_as_pillow_resizes_it(
    monkeypatch, shape, size, strip_bytes, is_turned
):
    monkeypatch.setattr(image_strips, '_STRIP_BYTES', strip_bytes)
    image = draw(*shape)
    if is_turned:  # as what is read from a file
        image = image[..., ::-1]
    method = Image.Resampling.BILINEAR
    expected = np.array(Image.fromarray(np.ascontiguousarray(image)).resize(size[::-1], method))
    strips = ResizedStrips(ArrayStrips(image), size)
    step = max(1, size[0] // 5)
    for top in range(0, size[0], step):
        bottom = min(size[0], top + 2 * step)  # overlapping, as windows are
        found = strips.read(top, bottom)
        assert found.shape == (bottom - top, size[1], 3)
        # Pillow keeps places as float32, so that a value may be rounded the other way.
        assert np.abs(found.astype(int) - expected[top:bottom]).max() <= 1


def test_an_ordinary_file_is_read_as_ever(tmp_path):
    Image.fromarray(draw(20, 30)).save(tmp_path / 'image.png')
    assert not needs_parts(tmp_path / 'image.png')
    with open_strips(tmp_path / 'image.png') as strips:
        assert (strips.shape, strips.place) == ((20, 30), None)
        np.testing.assert_array_equal(strips.read(5, 9), read_image(tmp_path / 'image.png')[5:9])


@pytest.mark.parametrize('name', ['image.png', 'image.tif', 'image.jpg', 'grey.png', 'alpha.png'])
def test_a_large_file_is_read_in_parts_with_the_same_pixels(monkeypatch, tmp_path, name):
    pytest.importorskip('rasterio')
    image = Image.fromarray(draw(50, 40))
    kinds = {'grey.png': 'L', 'alpha.png': 'RGBA'}
    options = dict(subsampling=0) if name.endswith('jpg') else {}
    image.convert(kinds.get(name, 'RGB')).save(tmp_path / name, **options)
    expected = read_image(tmp_path / name)
    monkeypatch.setattr(image_strips, 'MOST_WHOLE', 1000)
    monkeypatch.setattr(image_strips, 'read_image', None)  # it is not decoded as a whole
    with open_strips(tmp_path / name) as strips:
        assert strips.shape == (50, 40)
        found = np.concatenate([strips.read(0, 30), strips.read(30, 50)])
    assert np.abs(found.astype(int) - expected).max() <= (3 if name.endswith('jpg') else 0)


@pytest.mark.parametrize('kind', ['palette', 'turned', 'inks'])
def test_what_rasterio_would_read_otherwise_is_left_to_pillow(monkeypatch, tmp_path, kind):
    pytest.importorskip('rasterio')
    image, path = Image.fromarray(draw(50, 40)), tmp_path / 'image.tif'
    if kind == 'palette':
        image.quantize(9).save(path)
    elif kind == 'inks':
        image.convert('CMYK').save(path)
    else:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(path, exif=exif)
    expected = read_image(path)
    monkeypatch.setattr(image_strips, 'MOST_WHOLE', 1000)
    with open_strips(path) as strips:
        np.testing.assert_array_equal(strips.read(0, strips.shape[0]), expected)


def test_a_file_that_is_too_large_for_pillow_needs_rasterio(monkeypatch, tmp_path):
    Image.fromarray(draw(50, 40)).save(tmp_path / 'image.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    monkeypatch.setattr(image_strips, 'has_rasterio', lambda: False)
    with (
        pytest.raises(ValueError, match=r'image.png is so large .*mmseg_picie\[geo\]'),
        open_strips(tmp_path / 'image.png'),
    ):
        pass


def test_a_file_of_more_pixels_than_can_be_held_is_refused(monkeypatch, tmp_path):
    pytest.importorskip('rasterio')
    Image.fromarray(draw(50, 40)).save(tmp_path / 'image.png')
    monkeypatch.setattr(image_strips, 'MOST_WHOLE', 1000)
    monkeypatch.setattr(image_strips, 'MOST_PIXELS', 1999)
    with (
        pytest.raises(ValueError, match='image.png must have at most 1,999 pixels, but is 40 x 50'),
        open_strips(tmp_path / 'image.png'),
    ):
        pass


def test_a_damaged_file_is_named_when_its_rows_are_read(monkeypatch, tmp_path):
    pytest.importorskip('rasterio')
    path = tmp_path / 'image.tif'
    Image.fromarray(draw(300, 200)).save(path, compression='tiff_lzw')
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3] + bytes(len(content) // 3) + content[-500:])
    monkeypatch.setattr(image_strips, 'MOST_WHOLE', 1000)
    with (
        pytest.raises(ValueError, match='image.tif cannot be read as an image'),
        open_strips(path) as strips,
    ):
        strips.read(0, 300)
