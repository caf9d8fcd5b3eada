"""COCO-Stuff in all the 171 classes that occur."""

from mmseg.datasets import COCOStuffDataset
from mmseg.registry import DATASETS

from .base import INVALID_LABEL, KeyedSegDataset
from .cocostuff27 import NUM_RAW_LABELS

NUM_THINGS = 80

#: Values of the public label maps (id - 1 in COCO's numbering) that COCO reserves but never uses:
#: street sign, hat, shoe, eye glasses, plate, mirror, window, desk, door, blender, hair brush.
ABSENT_RAW_LABELS = frozenset((11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90))


def _number(absent: frozenset[int]) -> tuple[int, ...]:
    """Class of each raw label: those that occur are counted in order."""
    present = iter(range(NUM_RAW_LABELS - len(absent)))
    return tuple(INVALID_LABEL if raw in absent else next(present) for raw in range(NUM_RAW_LABELS))


@DATASETS.register_module()
class COCOStuff171Dataset(KeyedSegDataset):
    """COCO-Stuff-171 on the public layout: 80 things, then 91 kinds of stuff.

    The files are those of :class:`COCOStuff27Dataset`; classes and palette are those of mmseg's
    ``COCOStuffDataset``, which needs converted label maps where this one reads the published ones.
    Values that COCO never uses are refused. See :class:`KeyedSegDataset` for the arguments.
    """

    METAINFO = dict(
        classes=COCOStuffDataset.METAINFO['classes'],
        palette=COCOStuffDataset.METAINFO['palette'],
        groups=dict(things=tuple(range(NUM_THINGS)), stuff=tuple(range(NUM_THINGS, 171))),
    )
    RAW_LABELS = _number(ABSENT_RAW_LABELS)
