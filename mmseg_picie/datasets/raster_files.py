"""Read parts of images by rasterio (extra ``geo``), and where on the earth they lie.

Only files are read by it whose numbers are levels of grey or colours: others are left to Pillow,
which turns palettes and inks into colours.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..printing import show_name
from .stretching import (
    Limits,
    check_levels,
    explain_refusal,
    find_limits,
    sampling_step,
    stretch_levels,
)

#: Formats that are read: of pictures, none that refers to other files.
_DRIVERS = ['GTiff', 'PNG', 'JPEG', 'WEBP', 'BMP']
#: MiB for parts of files that may be asked for again; and no files beside the image are read.
_SETTINGS = dict(GDAL_CACHEMAX=128, GDAL_DISABLE_READDIR_ON_OPEN='EMPTY_DIR')
_STRIP_BYTES = 1 << 25
#: A type of GDAL that numpy lacks, and the one that holds it.
_COMPLEX = dict(complex_int16='complex64')


class Place(NamedTuple):
    """Where an image lies on the earth.

    Attributes:
        crs (Any): rasterio's coordinate reference system.
        transform (Any): rasterio's affine map from pixels to its coordinates.
    """

    crs: Any
    transform: Any


def has_rasterio() -> bool:
    """Whether the extra ``geo`` is installed."""
    return importlib.util.find_spec('rasterio') is not None


@contextmanager
def open_raster(path: str | Path, stretch: str) -> Iterator[RasterFile | None]:
    """Open an image by rasterio.

    Args:
        path (str or Path): file.
        stretch (str): as of :func:`.image_reading.read_image`.

    Yields:
        RasterFile or None: None if it is none of rasterio's, or not of grey levels or colours.

    Raises:
        ValueError: If its levels are refused.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    with rasterio.Env(**_SETTINGS), warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        for driver in _DRIVERS:
            try:
                file = rasterio.open(path, driver=driver)
            except RasterioError:
                continue
            with file:
                yield RasterFile(file, stretch) if _has_levels(file) else None
            return
        yield None


def _has_levels(file: Any) -> bool:
    """Whether the numbers of a file are grey levels or red, green and blue."""
    structure = file.tags(ns='IMAGE_STRUCTURE') | file.tags(1, ns='IMAGE_STRUCTURE')
    kinds = {kind.name for kind in file.colorinterp}
    inverted = structure.get('MINISWHITE') == 'YES'
    return (
        not (inverted or kinds & {'palette', 'cyan', 'hue', 'Y'}) and file.width * file.height > 0
    )


class RasterFile:
    """An image of which rows can be read; of more than four bands the first three are its colours.

    Args:
        file (DatasetReader): of rasterio.
        stretch (str): as of :func:`.image_reading.read_image`.

    Attributes:
        shape (tuple[int, int]): (H, W).
        place (Place, optional): where it lies on the earth, if the file says so.
    """

    def __init__(self, file: Any, stretch: str) -> None:
        self.shape = (file.height, file.width)
        self.place = Place(file.crs, file.transform) if file.crs else None
        names = [kind.name for kind in file.colorinterp]
        if {'red', 'green', 'blue'} <= set(names):
            self._bands = [names.index(name) + 1 for name in ('blue', 'green', 'red')]
        else:
            self._bands = [3, 2, 1] if file.count > 2 else [1]
        self._file = file
        self._name = show_name(file.name)
        self._type = np.dtype(_COMPLEX.get(file.dtypes[0], file.dtypes[0]))
        check_levels(self._name, self._type)
        bits = int(file.tags(1, ns='IMAGE_STRUCTURE').get('NBITS', 8 * self._type.itemsize))
        self._factor = 255 // (2**bits - 1) if bits < 8 else 1
        self._limits = self._find_limits(stretch) if self._type != np.uint8 else None

    def read(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows of the image.

        Args:
            top (int): the first.
            bottom (int): the one behind the last.

        Returns:
            NDArray: (rows, W, 3) uint8 BGR.

        Raises:
            ValueError: If the file is damaged.
        """
        levels = self._read_levels(top, bottom)
        if self._limits is not None:
            levels = stretch_levels(levels, self._limits)
        elif self._type == np.uint16:
            levels = (levels >> 8).astype(np.uint8)
        elif self._factor > 1:
            levels = levels * np.uint8(self._factor)
        return np.repeat(levels, 3, axis=2) if levels.shape[2] == 1 else levels

    def _read_levels(self, top: int, bottom: int) -> NDArray:
        from rasterio.errors import RasterioError

        try:
            bands = self._file.read(
                self._bands, window=((top, bottom), (0, self.shape[1])), out_dtype=self._type
            )
        except RasterioError as error:
            reason = ' '.join(str(error.__cause__ or error).split())
            raise ValueError(
                f'{self._name} cannot be read as an image ({reason}); repair it, or take it out.'
            ) from error
        return np.ascontiguousarray(bands.transpose(1, 2, 0))

    def _find_limits(self, stretch: str) -> Limits | None:
        """What becomes black and white; None if the upper 8 bits of colours are kept."""
        if stretch == 'none':
            if len(self._bands) == 1 or self._type != np.uint16:
                raise ValueError(explain_refusal(self._name, str(self._type)))
            return None
        height, width = self.shape
        step = sampling_step(height, width)
        if stretch == 'full':
            empty = np.zeros((1, len(self._bands)), self._type)
            return find_limits(empty, stretch, self._name)
        most = max(1, _STRIP_BYTES // (width * len(self._bands) * self._type.itemsize))
        most = max(step, most // step * step)
        strips = range(0, height, most)
        sample = [self._read_levels(top, min(height, top + most))[::step, ::step] for top in strips]
        return find_limits(np.concatenate(sample), stretch, self._name)
