"""Cityscapes in the 19 classes of its own benchmark."""

from mmseg.datasets import CityscapesDataset
from mmseg.registry import DATASETS

from .cityscapes27 import FIRST_LABEL_ID, VOID, Cityscapes27Dataset

_CLASSES = CityscapesDataset.METAINFO['classes']


@DATASETS.register_module()
class Cityscapes19Dataset(Cityscapes27Dataset):
    """Cityscapes on the public layout in its 19 classes, all other label ids ignored.

    Files and arguments are those of :class:`Cityscapes27Dataset`, whose other 8 classes (such as
    parking and bridge) are left out of the score, as the benchmark of supervised methods does.
    """

    METAINFO = dict(
        **CityscapesDataset.METAINFO,
        groups=dict(things=tuple(range(11, 19)), stuff=tuple(range(11))),
    )
    RAW_LABELS = (
        *[VOID] * FIRST_LABEL_ID,
        *(
            _CLASSES.index(name) if name in _CLASSES else VOID
            for name in Cityscapes27Dataset.METAINFO['classes']
        ),
    )
