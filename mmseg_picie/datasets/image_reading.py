"""One rule for reading an image, whatever reads it: training, validation, prediction, overlays.

What comes out is colour of 8 bits a channel, (H, W, 3) uint8 BGR as everywhere in the toolbox:

- grey and two levels (1 bit): the level in all three channels;
- a palette: its colours; CMYK, YCbCr, HSV: as Pillow turns them into RGB;
- alpha: dropped, so that the colours below it are seen;
- 16 bits a channel in colour: the upper 8 of them;
- grey of more than 8 bits: refused, as nothing says which of its levels are black and white;
- with a rule for that (:mod:`.stretching`), levels of more than 8 bits, of grey and colours, are
  mapped by it, and those of 8 bits stay as they are;
- what Pillow does not turn into RGB: refused, but for TIFF files that rasterio (extra ``geo``) can
  read; of more than four bands the first three are red, green and blue;
- turned as its EXIF data say; of several pages or frames the first.
"""

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from mmengine import fileio
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ..printing import show_name
from .raster_files import has_rasterio, open_raster
from .stretching import explain_refusal, find_limits, sampling_step, stretch_levels

# Grey levels as integers or floating-point numbers of 16 or 32 bits.
_WIDE_MODES = ('I', 'F')
_TIFF_STARTS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_STRIP_BYTES = 1 << 25
_FIX = 'repair it, or take it out of the data set.'
_KINDS: dict[str, Callable[[int], bool]] = {
    'a folder': stat.S_ISDIR,
    'a named pipe': stat.S_ISFIFO,
    'a socket': stat.S_ISSOCK,
    'a device': lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}


def read_image(
    path: str | Path, backend_args: dict | None = None, stretch: str = 'none'
) -> NDArray[np.uint8]:
    """Read an image by the rule of this module.

    Args:
        path (str or Path): file, or an address that mmengine can read.
        backend_args (dict, optional): as of ``mmengine.fileio.get``.
        stretch (str): which levels of more than 8 bits become black and white: 'none' refuses grey
            ones, 'full' takes the range of their type, 'percentile' those that 2 % of an image's
            levels are below and above.

    Returns:
        NDArray: (H, W, 3) uint8 BGR.

    Raises:
        FileNotFoundError: If it does not exist; the message names it.
        ValueError: If it cannot be read, or the rule refuses it; likewise.
    """
    if is_for_rasterio(path):
        with open_raster(path, stretch) as file:
            if file is not None:
                return file.read(0, file.shape[0])
    with open_image(path, backend_args) as image:
        if is_wide(image):
            if stretch != 'none':
                levels = _read_levels(image, path, backend_args)
                return _stretch(levels, stretch, show_name(path))
            refuse_wide(image.mode, path)
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode in ('La', 'RGBa'):  # colours that alpha is multiplied into
            image = image.convert(image.mode.upper())
        if image.mode != 'RGB':
            image = image.convert('RGB')
        return _to_array(image)[..., ::-1]


def _to_array(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels (H, W, 3), copied in strips: Pillow's own way holds them three times."""
    array = np.empty((image.height, image.width, 3), dtype=np.uint8)
    rows = max(1, _STRIP_BYTES // (3 * image.width))
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(image.height, top + rows))
        array[top : box[3]] = np.asarray(image.crop(box) if rows < image.height else image)
    return array


def is_wide(image: Image.Image) -> bool:
    """Whether an image, not decoded yet, has levels of more than 8 bits."""
    tiles = getattr(image, 'tile', None) or [('',)]
    return image.mode.startswith(_WIDE_MODES) or ';16' in str(tiles[0][-1])


def _read_levels(image: Image.Image, path: str | Path, backend_args: dict | None) -> NDArray:
    """(H, W, 1) or (H, W, 3) BGR levels, in all their bits, of an image that :func:`is_wide`."""
    if image.mode.startswith(_WIDE_MODES):
        return np.asarray(ImageOps.exif_transpose(image))[..., None]
    content = np.frombuffer(read_file(path, backend_args), dtype=np.uint8)
    levels = cv2.imdecode(content, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    if levels is None:
        raise ValueError('OpenCV cannot decode it')
    return levels.reshape(*levels.shape[:2], -1)


def _stretch(levels: NDArray, stretch: str, name: str = 'in memory') -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of (H, W, 1 or 3) levels."""
    step = sampling_step(*levels.shape[:2])
    found = stretch_levels(levels, find_limits(levels[::step, ::step], stretch, name))
    return np.repeat(found, 3, axis=2) if found.shape[2] == 1 else found


def is_for_rasterio(path: str | Path) -> bool:
    """Whether a file is a TIFF that Pillow does not know, such as one of many bands."""
    if '://' in str(path) or not has_rasterio() or not os.path.isfile(path):
        return False
    with open(path, 'rb') as file:
        if file.read(4) not in _TIFF_STARTS:
            return False
    try:
        with Image.open(path):
            return False
    except UnidentifiedImageError:
        return True
    except Exception:  # of many types; what is wrong is told by who reads it
        return False


def to_colour(array: NDArray, stretch: str = 'none') -> NDArray[np.uint8]:
    """The rule of this module for an image that is in memory already.

    Args:
        array (NDArray): (H, W), (H, W, 1) grey or (H, W, 2) grey and alpha, (H, W, 3) BGR or
            (H, W, 4) BGR and alpha; uint8, or bool of two levels, or with a rule other numbers.
        stretch (str): as of :func:`read_image`.

    Returns:
        NDArray: (H, W, 3) uint8 BGR.

    Raises:
        ValueError: If it has another shape or other numbers.
    """
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    is_number = array.dtype.kind in 'iuf'
    if array.dtype != np.uint8 and (stretch == 'none' or not is_number):
        raise ValueError(
            f'an image must be an array of uint8, from 0 to 255, but got {array.dtype}; scale it '
            "as it is to be seen, and convert it, or let stretch='percentile' do so."
        )
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.size == 0 or array.shape[2] > 4:
        raise ValueError(
            'an image must have the shape (H, W) or (H, W, C) with 1 to 4 channels, but got '
            f'{array.shape}; put the channels last.'
        )
    array = array[..., : 1 if array.shape[2] < 3 else 3]
    if array.dtype != np.uint8:
        return _stretch(array, stretch)
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array


def refuse_wide(mode: str, path: str | Path) -> None:
    """Refuse grey levels of more than 8 bits.

    Args:
        mode (str): Pillow's word for the pixels.
        path (str or Path): file, for the message.

    Raises:
        ValueError: If they are; the message names the file.
    """
    if mode.startswith(_WIDE_MODES):
        raise ValueError(explain_refusal(show_name(path), mode))


@contextmanager
def open_image(path: str | Path, backend_args: dict | None = None) -> Iterator[Image.Image]:
    """Open an image; within, Pillow's many errors become one that names the file.

    Args:
        path (str or Path): as of :func:`read_image`.
        backend_args (dict, optional): likewise.

    Yields:
        Image: not decoded yet.

    Raises:
        FileNotFoundError: As of :func:`read_image`.
        ValueError: Likewise.
    """
    content = read_file(path, backend_args)
    try:
        with Image.open(io.BytesIO(content)) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise ValueError(
            f'image {show_name(path)} must have at most {2 * (Image.MAX_IMAGE_PIXELS or 0):,} '
            f'pixels ({error}); make it smaller.'
        ) from error
    except Exception as error:
        if isinstance(error, ValueError) and show_name(path) in str(error):  # said already
            raise
        reason = 'of no known format' if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(
            f'{show_name(path)} cannot be read as an image ({reason}); {_FIX}'
        ) from error


def read_file(path: str | Path, backend_args: dict | None = None) -> bytes:
    """The bytes of a file; a named pipe or a device would be waited for without end.

    Args:
        path (str or Path): as of :func:`read_image`.
        backend_args (dict, optional): likewise.

    Returns:
        bytes: all of them.

    Raises:
        FileNotFoundError: As of :func:`read_image`.
        ValueError: If it is no regular file, or cannot be read; the message names it.
    """
    try:
        if backend_args or '://' in str(path):
            return fileio.get(path, backend_args=backend_args)
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            with open(path, 'rb') as file:
                return file.read()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{show_name(path)} does not exist; correct the path or the link, or data_root, '
            'data_prefix, ann_file and img_suffix of the dataset that names it.'
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(
            f'{show_name(path)} cannot be read as an image ({reason}); {_FIX}'
        ) from error
    kind = next((name for name, is_kind in _KINDS.items() if is_kind(mode)), 'something else')
    raise ValueError(f'{show_name(path)} must be a regular file, but is {kind}; {_FIX}')
