"""One rule for reading images, whoever reads; the expected pixels are computed without Pillow."""

import io
import os
import socket
import struct
import zlib

import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_picie.datasets.image_reading import read_image, to_colour

GREY = np.array([[0, 100], [200, 255], [7, 9]], np.uint8)
RGB = np.random.default_rng(0).integers(0, 256, (3, 2, 3)).astype(np.uint8)
BGR = RGB[..., ::-1]
PALETTE = [[10, 20, 30], [40, 50, 60]]


def turned(image: Image.Image) -> Image.Image:
    image.getexif()[0x0112] = 6  # the camera was turned: row 0 is the right side
    return image


def palette() -> Image.Image:
    image = Image.fromarray(np.array([[0, 1], [1, 0], [0, 0]], np.uint8), 'P')
    image.putpalette(sum(PALETTE, []))
    return image


def alpha(image: Image.Image) -> Image.Image:
    image.putalpha(Image.fromarray(GREY))
    return image


def two_levels() -> Image.Image:
    return Image.fromarray(GREY > 50).convert('1')


GREY_BGR = np.repeat(GREY[..., None], 3, axis=2)
#: Kind -> the image, its format, and what is to be read.
KINDS = {
    'colour': (lambda: Image.fromarray(RGB), 'PNG', BGR),
    'grey': (lambda: Image.fromarray(GREY), 'PNG', GREY_BGR),
    'grey and alpha': (lambda: alpha(Image.fromarray(GREY)), 'PNG', GREY_BGR),
    'colour and alpha': (lambda: alpha(Image.fromarray(RGB)), 'PNG', BGR),
    'two levels': (two_levels, 'PNG', np.where(GREY_BGR > 50, 255, 0)),
    'palette': (
        palette,
        'PNG',
        np.array([[*map(PALETTE.__getitem__, r)] for r in ([0, 1], [1, 0], [0, 0])])[..., ::-1],
    ),
    'turned': (lambda: turned(Image.fromarray(RGB)), 'PNG', np.rot90(BGR, -1)),
    'CMYK': (
        lambda: Image.fromarray(np.dstack([255 - RGB, np.zeros((3, 2), np.uint8)]), 'CMYK'),
        'TIFF',
        BGR,
    ),
    'bitmap': (lambda: Image.fromarray(RGB), 'BMP', BGR),
    'of several pages': (lambda: Image.fromarray(RGB), 'pages', BGR),
}


def write(path, kind) -> np.ndarray:
    make, form, expected = KINDS[kind]
    if form == 'pages':
        more = [Image.fromarray(255 - RGB)]
        make().save(path, 'TIFF', save_all=True, append_images=more)
    else:
        image = make()
        image.save(path, form, exif=image.getexif())
    return expected


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_is_read_as_colour_of_8_bits(tmp_path, kind):
    expected = write(tmp_path / 'image', kind)
    found = read_image(tmp_path / 'image')
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('name', ['LoadImageFromFile', 'LoadImageFromNDArray'])
def test_the_transforms_of_mmseg_follow_the_rule(tmp_path, kind, name):
    """As configs and mmseg's `inference_model` name them, of a file and of an array."""
    init_default_scope('mmseg')
    expected = write(tmp_path / 'image', kind)
    load = Compose([TRANSFORMS.build(dict(type=name, imdecode_backend='pillow'))])
    found = load(dict(img_path=str(tmp_path / 'image')))
    np.testing.assert_array_equal(found['img'], expected)
    assert found['ori_shape'] == found['img_shape'] == expected.shape[:2]
    again = load(dict(img=found['img'].copy()))
    np.testing.assert_array_equal(again['img'], expected)


@pytest.mark.parametrize('channels', [None, 1, 2, 3, 4])
def test_arrays_become_colour(channels):
    shape = (3, 2) if channels is None else (3, 2, channels)
    array = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    found = to_colour(array)
    assert found.shape == (3, 2, 3)
    if channels in (3, 4):
        np.testing.assert_array_equal(found, array[..., :3])
    else:
        first = array if channels is None else array[..., 0]
        np.testing.assert_array_equal(found, np.dstack([first] * 3))


@pytest.mark.parametrize(
    'array',
    [
        np.zeros((2, 2), np.uint16),
        np.zeros((2, 2, 3)),
        np.zeros((2, 2, 5), np.uint8),
        np.zeros(3, np.uint8),
    ],
)
def test_arrays_that_are_no_images_are_refused(array):
    with pytest.raises(ValueError, match='an image must'):
        to_colour(array)


@pytest.mark.parametrize('mode', ['I;16', 'I', 'F'])
def test_grey_of_more_than_8_bits_is_refused_by_name(tmp_path, mode):
    Image.new(mode, (4, 4)).save(tmp_path / 'wide.tif')
    with pytest.raises(ValueError, match='wide.tif must have levels from 0 to 255'):
        read_image(tmp_path / 'wide.tif')


def bomb() -> bytes:
    """A PNG of 30,000 x 30,000 pixels in a few bytes."""
    header = struct.pack('>IIBBBBB', 30000, 30000, 8, 0, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        )

    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(b''))


def half(form: str) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()[: len(buffer.getvalue()) // 2]


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'', 'cannot be read as an image'),
        (b'hello', 'cannot be read as an image'),
        (half('PNG'), 'cannot be read as an image'),
        (half('JPEG'), 'cannot be read as an image'),
        (bomb(), 'must have at most'),
    ],
)
def test_damaged_files_and_bombs_are_named_in_one_sentence(tmp_path, content, words):
    path = tmp_path / 'broken.png'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'broken.png {words}') as caught:
        read_image(path)
    assert '\n' not in str(caught.value)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / 'pipe.png')
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / 'socket.png'))
        for name, kind in (('pipe.png', 'named pipe'), ('socket.png', 'socket')):
            with pytest.raises(ValueError, match=f'must be a regular file, but is a {kind}'):
                read_image(tmp_path / name)
    with pytest.raises(ValueError, match='is a folder'):
        read_image(tmp_path)


@pytest.mark.parametrize('name', [b'\xff\xfe.png', b'two\nlines.png', b'x' * 246 + b'.png'])
def test_any_name_of_a_file_is_read_and_shown_on_one_line(tmp_path, name):
    path = os.fsdecode(os.fsencode(tmp_path) + b'/' + name)
    Image.fromarray(RGB).save(path, 'PNG')
    np.testing.assert_array_equal(read_image(path), BGR)
    with open(path, 'wb') as file:
        file.write(b'no image')
    with pytest.raises(ValueError) as caught:
        read_image(path)
    assert str(caught.value).isprintable()
