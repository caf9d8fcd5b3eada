"""Levels of more than 8 bits become 8 by one rule, whoever reads them."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_picie.datasets import ImageFolderDataset, stretching
from mmseg_picie.datasets.image_files import check_image
from mmseg_picie.datasets.image_reading import read_image, to_colour
from mmseg_picie.datasets.stretching import check_stretch

#: Levels of a camera of 12 bits, with a few hot pixels.
GREY = np.random.default_rng(0).integers(300, 4000, (40, 50)).astype(np.uint16)
GREY[0, :5] = 65535
COLOUR = np.random.default_rng(1).integers(0, 9000, (40, 50, 3)).astype(np.uint16)
COLOUR[..., 1] += 9000


def expect(levels: np.ndarray, stretch: str) -> np.ndarray:
    """The rule, written down for one channel."""
    low, high = (0, 65535) if stretch == 'full' else np.percentile(levels, (2, 98))
    return np.clip((levels - float(low)) / (high - low) * 255, 0, 255)


def assert_near(found: np.ndarray, levels: np.ndarray, stretch: str) -> None:
    assert found.dtype == np.uint8
    for channel in range(3):
        of_channel = levels if levels.ndim == 2 else levels[..., channel]
        expected = expect(of_channel, stretch)
        assert np.abs(found[..., channel] - expected).max() <= 0.51


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('levels', [GREY, COLOUR], ids=['grey', 'colour'])
@pytest.mark.parametrize('stretch', ['full', 'percentile'])
def test_files_are_stretched(tmp_path, suffix, levels, stretch):
    path = tmp_path / f'wide{suffix}'
    path.write_bytes(cv2.imencode(suffix, levels)[1].tobytes())
    check_image(path, stretch)
    assert_near(read_image(path, stretch=stretch), levels, stretch)


@pytest.mark.parametrize('dtype', [np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_arrays_are_stretched(dtype):
    assert_near(to_colour(GREY.astype(np.int32).clip(0, 9999).astype(dtype), 'percentile'),
                GREY.clip(0, 9999), 'percentile')  # fmt: skip


def test_a_stretched_file_and_its_array_are_the_same(tmp_path):
    Image.fromarray(GREY).save(tmp_path / 'wide.tif')
    read = read_image(tmp_path / 'wide.tif', stretch='percentile')
    np.testing.assert_array_equal(read, to_colour(GREY, 'percentile'))


def test_what_is_no_number_is_black_and_counts_for_nothing():
    levels = GREY.astype(np.float32)
    levels[5, 5], levels[6, 6], levels[7, 7] = np.nan, np.inf, -np.inf
    found = to_colour(levels, 'percentile')
    assert found[5, 5].max() == 0 and found[7, 7].max() == 0 and found[6, 6].min() == 255
    assert len(np.unique(found)) > 200
    assert to_colour(np.full((3, 3), np.nan), 'percentile').max() == 0


def test_an_image_of_one_level_is_black():
    assert to_colour(np.full((3, 3), 777, np.uint16), 'percentile').max() == 0


@pytest.mark.parametrize('stretch', ['full', 'percentile'])
def test_levels_of_8_bits_stay_as_they_are(tmp_path, stretch):
    pixels = np.random.default_rng(2).integers(50, 99, (9, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'image.png')
    np.testing.assert_array_equal(
        read_image(tmp_path / 'image.png', stretch=stretch), pixels[..., ::-1]
    )
    np.testing.assert_array_equal(to_colour(pixels, stretch), pixels)


def test_percentiles_of_a_large_image_are_taken_on_a_grid(monkeypatch):
    monkeypatch.setattr(stretching, '_MOST_PIXELS', 100)
    levels = np.full((100, 100), 5, np.uint16)
    levels[::10, ::10] = np.arange(100).reshape(10, 10) * 100
    expected = np.percentile(levels[::10, ::10], (2, 98))
    found = to_colour(levels, 'percentile')[::10, ::10, 0].ravel().astype(float)
    wanted = np.clip((np.arange(100) * 100 - expected[0]) / np.diff(expected) * 255, 0, 255)
    assert np.abs(found - wanted).max() <= 0.51


def test_floating_point_levels_have_no_full_range():
    with pytest.raises(ValueError, match="stretch='full' needs whole numbers"):
        to_colour(np.zeros((3, 3), np.float32), 'full')


def test_unknown_rules_are_refused():
    with pytest.raises(ValueError, match='stretch must be one of none, full, percentile'):
        check_stretch('auto')
    with pytest.raises(ValueError, match='stretch must be one of'):
        TRANSFORMS.build(dict(type='LoadImageFromFile', stretch='minmax'))


def test_a_folder_of_wide_images_is_trained_on_by_one_option(tmp_path):
    Image.fromarray(GREY).save(tmp_path / 'a.tif')
    load = dict(type='LoadImageFromFile', imdecode_backend='pillow')
    with pytest.raises(ValueError, match='--stretch percentile'):
        ImageFolderDataset(data_root=str(tmp_path), pipeline=[load])
    data = ImageFolderDataset(data_root=str(tmp_path), pipeline=[load | dict(stretch='percentile')])
    assert_near(data[0]['img'], GREY, 'percentile')


def test_mmseg_loads_arrays_by_the_rule():
    load = Compose(
        [dict(type='LoadImageFromNDArray', imdecode_backend='pillow', stretch='percentile')]
    )
    assert_near(load(dict(img=GREY))['img'], GREY, 'percentile')


def write_bands(path, bands: np.ndarray, **profile) -> None:
    rasterio = pytest.importorskip('rasterio')
    with rasterio.open(
        path, 'w', driver='GTiff', count=len(bands), height=bands.shape[1], width=bands.shape[2],
        dtype=bands.dtype, **profile,
    ) as file:  # fmt: skip
        file.write(bands)


@pytest.mark.filterwarnings('ignore:Dataset has no geotransform')
def test_of_many_bands_the_first_three_are_the_colours(tmp_path):
    bands = np.random.default_rng(3).normal(0, 1, (7, 40, 50)).astype(np.float32)
    write_bands(tmp_path / 'many.tif', bands)
    with pytest.raises(ValueError, match='many.tif must have levels from 0 to 255'):
        read_image(tmp_path / 'many.tif')
    check_image(tmp_path / 'many.tif', 'percentile')
    found = read_image(tmp_path / 'many.tif', stretch='percentile')
    for channel in range(3):
        expected = expect(bands[2 - channel], 'percentile')
        assert np.abs(found[..., channel] - expected).max() <= 0.51


@pytest.mark.filterwarnings('ignore:Dataset has no geotransform')
@pytest.mark.parametrize('bands', [3, 7])  # by Pillow or OpenCV, and by rasterio
def test_a_range_is_refused_of_numbers_that_have_none(tmp_path, bands):
    write_bands(tmp_path / 'high.tif', np.ones((bands, 40, 50), np.float32))
    with pytest.raises(ValueError, match='needs whole numbers, but image .*high.tif has float32'):
        read_image(tmp_path / 'high.tif', stretch='full')


@pytest.mark.filterwarnings('ignore:Dataset has no geotransform')
@pytest.mark.parametrize('kind', ['complex64', 'complex128', 'complex_int16'])
@pytest.mark.parametrize('stretch', ['none', 'full', 'percentile'])
def test_complex_numbers_are_refused(tmp_path, kind, stretch):
    rasterio = pytest.importorskip('rasterio')
    profile = dict(driver='GTiff', count=1, height=20, width=30, dtype=kind)
    with rasterio.open(tmp_path / 'radar.tif', 'w', **profile) as file:
        file.write(np.ones((1, 20, 30), np.complex64))
    with pytest.raises(ValueError, match=r'radar.tif must hold whole .*but holds complex\d+; save'):
        read_image(tmp_path / 'radar.tif', stretch=stretch)


@pytest.mark.filterwarnings('ignore:Dataset has no geotransform')
def test_levels_of_8_bits_with_a_sign_are_no_colours(tmp_path):
    bands = np.random.default_rng(4).integers(-100, 100, (7, 20, 30)).astype(np.int8)
    write_bands(tmp_path / 'signed.tif', bands)
    with pytest.raises(ValueError, match="must have levels from 0 to 255 .* mode is 'int8'"):
        read_image(tmp_path / 'signed.tif')
    found = read_image(tmp_path / 'signed.tif', stretch='full')
    np.testing.assert_array_equal(found, bands[2::-1].transpose(1, 2, 0).astype(np.int16) + 128)
