"""One rule for reading an image, whatever reads it: training, validation, prediction, overlays.

What comes out is colour of 8 bits a channel, (H, W, 3) uint8 BGR as everywhere in the toolbox:

- grey and two levels (1 bit): the level in all three channels;
- a palette: its colours; CMYK, YCbCr, HSV: as Pillow turns them into RGB;
- alpha: dropped, so that the colours below it are seen;
- 16 bits a channel in colour: the upper 8 of them;
- grey of more than 8 bits, and whatever Pillow does not turn into RGB: refused, as nothing says
  which of its levels are black and white;
- turned as its EXIF data say; of several pages or frames the first.
"""

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from mmengine import fileio
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

# Grey levels as integers or floating-point numbers of 16 or 32 bits.
_WIDE_MODES = ('I', 'F')
_FIX = 'repair it, or take it out of the data set.'
_KINDS: dict[str, Callable[[int], bool]] = {
    'a folder': stat.S_ISDIR,
    'a named pipe': stat.S_ISFIFO,
    'a socket': stat.S_ISSOCK,
    'a device': lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}


def read_image(path: str | Path, backend_args: dict | None = None) -> NDArray[np.uint8]:
    """Read an image by the rule of this module.

    Args:
        path (str or Path): file, or an address that mmengine can read.
        backend_args (dict, optional): as of ``mmengine.fileio.get``.

    Returns:
        NDArray: (H, W, 3) uint8 BGR.

    Raises:
        FileNotFoundError: If it does not exist; the message names it.
        ValueError: If it cannot be read, or the rule refuses it; likewise.
    """
    with open_image(path, backend_args) as image:
        refuse_wide(image.mode, path)
        colour = ImageOps.exif_transpose(image)
        if colour.mode in ('La', 'RGBa'):  # colours that alpha is multiplied into
            colour = colour.convert(colour.mode.upper())
        return np.array(colour.convert('RGB'))[..., ::-1]


def to_colour(array: NDArray) -> NDArray[np.uint8]:
    """The rule of this module for an image that is in memory already.

    Args:
        array (NDArray): (H, W), (H, W, 1) grey or (H, W, 2) grey and alpha, (H, W, 3) BGR or
            (H, W, 4) BGR and alpha; uint8, or bool of two levels.

    Returns:
        NDArray: (H, W, 3) uint8 BGR.

    Raises:
        ValueError: If it has another shape or other numbers.
    """
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.dtype != np.uint8:
        raise ValueError(
            f'an image must be an array of uint8, from 0 to 255, but got {array.dtype}; scale it '
            'as it is to be seen, and convert it.'
        )
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.size == 0 or array.shape[2] > 4:
        raise ValueError(
            'an image must have the shape (H, W) or (H, W, C) with 1 to 4 channels, but got '
            f'{array.shape}; put the channels last.'
        )
    if array.shape[2] < 3:
        return np.repeat(array[..., :1], 3, axis=2)
    return array[..., :3]


def refuse_wide(mode: str, path: str | Path) -> None:
    """Refuse grey levels of more than 8 bits.

    Args:
        mode (str): Pillow's word for the pixels.
        path (str or Path): file, for the message.

    Raises:
        ValueError: If they are; the message names the file.
    """
    if mode.startswith(_WIDE_MODES):
        raise ValueError(
            f'image {show_name(path)} must have at most 8 bits a channel, but its mode is '
            f'{mode!r}; convert it to grey levels from 0 to 255, scaled as it is to be seen.'
        )


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
            f'{show_name(path)} does not exist; check data_root, data_prefix, ann_file and '
            'img_suffix of the dataset.'
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(
            f'{show_name(path)} cannot be read as an image ({reason}); {_FIX}'
        ) from error
    kind = next((name for name, is_kind in _KINDS.items() if is_kind(mode)), 'something else')
    raise ValueError(f'{show_name(path)} must be a regular file, but is {kind}; {_FIX}')


def show_name(path: str | Path) -> str:
    """A file's name as it can be printed in one line, whatever bytes it is made of."""
    return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in str(path))
