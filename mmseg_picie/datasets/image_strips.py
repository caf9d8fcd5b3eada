"""Images of any size, read in strips of rows, and resized in strips.

A file that rasterio can read in parts is never decoded as a whole: a GeoTIFF, and any file of more
than :data:`MOST_WHOLE` pixels.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from ..printing import show_name
from .image_reading import is_for_rasterio, read_image
from .raster_files import Place, has_rasterio, open_raster

#: Pixels of a file that is decoded as a whole, if rasterio is there to read it in parts.
MOST_WHOLE = 64_000_000
#: Pixels of an image at most: labels, a byte each, are held as a whole.
MOST_PIXELS = 1 << 31
_STRIP_BYTES = 1 << 25
# TIFF tags: a scale, tie points or a matrix that place the image on the earth.
_PLACE_TAGS = (33550, 33922, 34264)
_TURNED = ExifTags.Base.Orientation


class Strips(Protocol):
    """An image of which rows can be read.

    Attributes:
        shape (tuple[int, int]): (H, W).
        place (Place, optional): where it lies on the earth, if that is known.
    """

    shape: tuple[int, int]
    place: Place | None

    def read(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows from one index up to another: (rows, W, 3) uint8 BGR."""


class ArrayStrips:
    """An image in memory.

    Args:
        image (NDArray): (H, W, 3) uint8 BGR.
    """

    place: Place | None = None

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.image = image
        self.shape = (image.shape[0], image.shape[1])

    def read(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows from one index up to another: (rows, W, 3)."""
        return self.image[top:bottom]


@contextmanager
def open_strips(path: str | Path, stretch: str = 'none') -> Iterator[Strips]:
    """Open an image file.

    Args:
        path (str or Path): file.
        stretch (str): as of :func:`.image_reading.read_image`.

    Yields:
        Strips: the image, turned as its EXIF data say.

    Raises:
        FileNotFoundError: If it does not exist; the message names it.
        ValueError: If it cannot be read, is refused by the rule of :mod:`.image_reading`, or is too
            large; likewise.
    """
    if needs_parts(path):
        if not has_rasterio():
            if _is_bomb(path):
                raise ValueError(
                    f'image {show_name(path)} is so large that it must be read in parts, for which '
                    "rasterio is not installed; run `pip install 'mmseg_picie[geo]'`."
                )
        else:
            with open_raster(path, stretch) as file:
                if file is not None:
                    _check_pixels(file.shape, path)
                    yield file
                    return
    yield ArrayStrips(read_image(path, stretch=stretch))


def needs_parts(path: str | Path) -> bool:
    """Whether a file is too large to be decoded as a whole, placed on the earth, or for rasterio.

    Args:
        path (str or Path): file.

    Returns:
        bool: False of files that are to be refused for another reason.
    """
    try:
        if not os.path.isfile(path):
            return False
        with Image.open(path) as image:
            if image.getexif().get(_TURNED, 1) != 1:  # rasterio does not turn it
                return False
            tags = getattr(image, 'tag_v2', {})
            is_large = image.width * image.height > MOST_WHOLE
            return is_large or any(tag in tags for tag in _PLACE_TAGS)
    except Image.DecompressionBombError:
        return True
    except UnidentifiedImageError:
        return is_for_rasterio(path)
    except Exception:  # of many types; what is wrong is told by who reads it
        return False


def _is_bomb(path: str | Path) -> bool:
    """Whether Pillow refuses a file for its size."""
    try:
        with Image.open(path):
            return False
    except Image.DecompressionBombError:
        return True


def _check_pixels(shape: tuple[int, int], path: str | Path) -> None:
    if shape[0] * shape[1] > MOST_PIXELS:
        raise ValueError(
            f'image {show_name(path)} must have at most {MOST_PIXELS:,} pixels, but is {shape[1]} '
            f'x {shape[0]}; cut it into parts.'
        )


class ResizedStrips:
    """Rows of an image at another size, equal to those of the whole image resized by Pillow.

    Args:
        strips (Strips): the image.
        size (tuple[int, int]): (h, w) of the result.
    """

    place: Place | None = None

    def __init__(self, strips: Strips, size: tuple[int, int]) -> None:
        self.strips, self.shape = strips, size
        self._scale = strips.shape[0] / size[0]
        width = max(strips.shape[1], size[1])
        per_row = 3 * width * max(1, self._scale)
        self._most = max(1, int(_STRIP_BYTES / per_row))
        self._first = 0
        self._kept = np.empty((0, size[1], 3), dtype=np.uint8)

    def read(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows from one index up to another: (rows, w, 3); those of the last call are kept."""
        end = self._first + len(self._kept)
        parts = [self._kept[top - self._first :]] if self._first <= top < end else []
        start = max(top, end) if parts else top
        parts += [
            self._resize(row, min(bottom, row + self._most))
            for row in range(start, bottom, self._most)
        ]
        self._first, self._kept = top, np.concatenate(parts) if len(parts) > 1 else parts[0]
        return self._kept[: bottom - top]

    def _resize(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows that are not kept."""
        height, width = self.strips.shape
        if (height, width) == self.shape:
            return np.ascontiguousarray(self.strips.read(top, bottom))
        start, end = top * self._scale, min(float(height), bottom * self._scale)
        margin = int(max(1, self._scale)) + 2  # the filter looks beyond the box
        first, last = max(0, int(start) - margin), min(height, int(end) + 1 + margin)
        pixels = self.strips.read(first, last)
        is_turned = pixels[..., ::-1].flags.c_contiguous  # what Pillow has decoded: no copy needed
        image = Image.fromarray(pixels[..., ::-1] if is_turned else np.ascontiguousarray(pixels))
        box = (0, start - first, width, min(end, last) - first)
        size = (self.shape[1], bottom - top)
        resized = np.array(image.resize(size, Image.Resampling.BILINEAR, box=box))
        return resized[..., ::-1] if is_turned else resized
