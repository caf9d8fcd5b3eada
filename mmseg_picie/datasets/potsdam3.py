"""ISPRS Potsdam in three classes."""

import numpy as np
from mmseg.registry import DATASETS
from numpy.typing import NDArray

from .base import KeyedSegDataset

#: The six classes in the order of their ids, and their RGB colours in the ISPRS label files.
SIX_CLASSES: dict[str, tuple[int, int, int]] = {
    'road': (255, 255, 255),
    'building': (0, 0, 255),
    'low vegetation': (0, 255, 255),
    'tree': (0, 255, 0),
    'car': (255, 255, 0),
    'clutter': (255, 0, 0),
}

#: Tiles of the published splits.
PUBLISHED_COUNTS = {'train': 4545, 'test': 855}

_UNKNOWN = 255


def decode_colours(image: NDArray[np.uint8], path: str, tolerance: int = 0) -> NDArray[np.uint8]:
    """Turn an ISPRS label image into ids.

    Args:
        image (NDArray): (H, W, 3) RGB, uint8.
        path (str): file that it comes from, for the message.
        tolerance (int): largest difference, per channel, from the colour of a class, in [0, 127].

    Returns:
        NDArray: (H, W) uint8 ids 0-5 of :data:`SIX_CLASSES`.

    Raises:
        ValueError: If a pixel has none of the six colours.
    """
    # All channels of the six colours are 0 or 255, so a colour is a number of three bits.
    table = np.full(8, _UNKNOWN, dtype=np.uint8)
    for index, colour in enumerate(SIX_CLASSES.values()):
        table[sum((channel > 0) << bit for bit, channel in enumerate(colour))] = index
    high = image >= 255 - tolerance
    red, green, blue = np.moveaxis(high.view(np.uint8), -1, 0)  # bytes, as scenes are large
    ids = table[red + 2 * green + 4 * blue]
    wrong = (ids == _UNKNOWN) | ~(high | (image <= tolerance)).all(-1)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f'{path} must have the colours of the six classes only, got '
            f'{tuple(image[row, column].tolist())} in row {row}, column {column} and '
            f'{np.count_nonzero(wrong)} such pixels in all; take the labels with boundaries, or '
            'allow small differences by --tolerance'
        )
    return ids


@DATASETS.register_module()
class Potsdam3Dataset(KeyedSegDataset):
    """Aerial images of Potsdam: 200 x 200 tiles, 4,545 for training and 855 for testing.

    The six classes of the ISPRS benchmark are merged by two when they are read: road with car,
    building with clutter, low vegetation with tree. Layout: ``images/{train,test}/*.png`` and
    ``annotations/{train,test}/*.png`` with the six ids 0-5 of :data:`SIX_CLASSES`;
    ``tools/dataset_converters/potsdam3.py`` makes it from the ISPRS scenes. See
    :class:`KeyedSegDataset` for the arguments.
    """

    METAINFO = dict(
        classes=('roads and cars', 'buildings and clutter', 'vegetation'),
        palette=[[255, 255, 255], [0, 0, 255], [0, 255, 0]],
    )
    RAW_LABELS = (0, 1, 2, 2, 0, 1)
