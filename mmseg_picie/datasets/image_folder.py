"""A folder of images without any annotation."""

from mmseg.registry import DATASETS

from .base import KeyedSegDataset


@DATASETS.register_module()
class ImageFolderDataset(KeyedSegDataset):
    """All images below a folder, nested or flat, without labels: enough to train PiCIE.

    Point ``data_root`` at the folder. ``ann_file`` may restrict it to listed names. See
    :class:`KeyedSegDataset` for the arguments.
    """
