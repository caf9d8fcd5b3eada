"""ISPRS Potsdam in three classes."""

from mmseg.registry import DATASETS

from .base import KeyedSegDataset

#: The six classes of the label maps, in the order of their ids.
SIX_CLASSES = ('road', 'building', 'low vegetation', 'tree', 'car', 'clutter')


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
