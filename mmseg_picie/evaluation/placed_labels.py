"""Label maps of images that lie on the earth."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..whole_files import write_whole

_TILE = 512


def write_placed(path: Path, ids: NDArray, crs: Any, transform: Any) -> None:
    """Write a label map as a GeoTIFF in tiles, complete or not at all.

    Args:
        path (Path): file to write; its folder is made if missing.
        ids (NDArray): (H, W) uint8 or uint16.
        crs (Any): coordinate reference system of the image, and so of the label map.
        transform (Any): affine map from pixels to its coordinates, likewise.

    Raises:
        OSError: If it cannot be written.
    """
    import rasterio

    height, width = ids.shape
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver='GTiff',
            height=height,
            width=width,
            count=1,
            dtype=ids.dtype,
            crs=crs,
            transform=transform,
            compress='deflate',
            bigtiff='if_safer',
            tiled=True,
            blockxsize=_TILE,
            blockysize=_TILE,
        ) as file:
            for top in range(0, height, _TILE):
                rows = ids[top : top + _TILE]
                file.write(rows, 1, window=((top, top + len(rows)), (0, width)))
        write_whole(path, memory.getbuffer())
