"""COCO-Stuff in the 27 super-categories of the IIC and PiCIE benchmarks."""

from mmseg.registry import DATASETS

from .base import KeyedSegDataset

#: Values of the public label maps (id - 1 in COCO-Stuff's own numbering, 0-181) per super-category:
#: 12 of things, then 15 of stuff, as in COCO-Stuff's class hierarchy (Caesar et al., CVPR 2018).
HIERARCHY: dict[str, tuple[int, ...]] = {
    'electronic-things': tuple(range(71, 77)),
    'appliance-things': tuple(range(77, 83)),
    'food-things': tuple(range(51, 61)),
    'furniture-things': tuple(range(61, 71)),
    'indoor-things': tuple(range(83, 91)),
    'kitchen-things': tuple(range(43, 51)),
    'accessory-things': tuple(range(25, 33)),
    'animal-things': tuple(range(15, 25)),
    'outdoor-things': tuple(range(9, 15)),
    'person-things': (0,),
    'sports-things': tuple(range(33, 43)),
    'vehicle-things': tuple(range(1, 9)),
    'ceiling-stuff': tuple(range(101, 103)),
    'floor-stuff': (100, 113, 114, 115, 116, 117),
    'food-stuff': (120, 121, 152, 169),
    'furniture-stuff': (97, 106, 107, 109, 111, 122, 129, 132, 155, 160, 164),
    'rawmaterial-stuff': (99, 131, 138, 142),
    'textile-stuff': (91, 92, 103, 104, 108, 130, 136, 140, 151, 166, 167),
    'wall-stuff': tuple(range(170, 177)),
    'window-stuff': tuple(range(179, 181)),
    'building-stuff': (94, 95, 127, 150, 157, 165),
    'ground-stuff': (110, 124, 125, 135, 139, 143, 144, 146, 148, 153, 158),
    'plant-stuff': (93, 96, 118, 123, 128, 133, 141, 162, 168),
    'sky-stuff': (105, 156),
    'solid-stuff': (126, 134, 149, 159, 161, 181),
    'structural-stuff': (98, 112, 137, 145, 163),
    'water-stuff': (119, 147, 154, 177, 178),
}

NUM_RAW_LABELS = 182


def _invert(hierarchy: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Class of each raw label."""
    class_of = {raw: i for i, members in enumerate(hierarchy.values()) for raw in members}
    return tuple(class_of[raw] for raw in range(NUM_RAW_LABELS))


@DATASETS.register_module()
class COCOStuff27Dataset(KeyedSegDataset):
    """COCO-Stuff-27 on the public layout.

    ``train2017/*.jpg``, ``val2017/*.jpg`` and ``stuffthingmaps/{train2017,val2017}/*.png``, whose
    values are 0-181 and 255. ``ann_file`` takes one image id a line (12 digits); the benchmark's
    lists hold 49,629 and 2,175. See :class:`KeyedSegDataset` for the arguments.
    """

    METAINFO = dict(
        classes=tuple(HIERARCHY),
        palette=[
            [242, 36, 36],
            [109, 148, 242],
            [99, 153, 23],
            [242, 109, 226],
            [36, 242, 208],
            [153, 114, 69],
            [88, 36, 242],
            [115, 242, 109],
            [153, 23, 66],
            [109, 192, 242],
            [225, 242, 36],
            [135, 69, 153],
            [36, 242, 139],
            [242, 137, 109],
            [23, 34, 153],
            [159, 242, 109],
            [242, 36, 174],
            [69, 150, 153],
            [242, 190, 36],
            [170, 109, 242],
            [23, 153, 44],
            [242, 109, 126],
            [36, 123, 242],
            [129, 153, 69],
            [242, 36, 242],
            [109, 242, 203],
            [153, 77, 23],
        ],
        groups=dict(things=tuple(range(12)), stuff=tuple(range(12, 27))),
    )
    RAW_LABELS = _invert(HIERARCHY)
