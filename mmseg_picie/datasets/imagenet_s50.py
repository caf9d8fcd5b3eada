"""ImageNet-S-50: fifty object classes and the background."""

import colorsys

from mmseg.registry import DATASETS

from .base import KeyedSegDataset

#: Synsets in the order of their labels, 1 to 50, and what WordNet calls them.
SYNSETS: dict[str, str] = {
    'n01443537': 'goldfish',
    'n01491361': 'tiger shark',
    'n01531178': 'goldfinch',
    'n01644373': 'tree frog',
    'n02104029': 'kuvasz',
    'n02119022': 'red fox',
    'n02123597': 'Siamese cat',
    'n02133161': 'American black bear',
    'n02165456': 'ladybug',
    'n02281406': 'sulphur butterfly',
    'n02325366': 'wood rabbit',
    'n02342885': 'hamster',
    'n02396427': 'wild boar',
    'n02483362': 'gibbon',
    'n02504458': 'African elephant',
    'n02510455': 'giant panda',
    'n02690373': 'airliner',
    'n02747177': 'ashcan',
    'n02783161': 'ballpoint',
    'n02814533': 'beach wagon',
    'n02859443': 'boathouse',
    'n02917067': 'bullet train',
    'n02992529': 'cellular telephone',
    'n03014705': 'chest',
    'n03047690': 'clog',
    'n03095699': 'container ship',
    'n03197337': 'digital watch',
    'n03201208': 'dining table',
    'n03445777': 'golf ball',
    'n03452741': 'grand piano',
    'n03584829': 'iron',
    'n03630383': 'lab coat',
    'n03775546': 'mixing bowl',
    'n03791053': 'motor scooter',
    'n03874599': 'padlock',
    'n03891251': 'park bench',
    'n04026417': 'purse',
    'n04335435': 'streetcar',
    'n04380533': 'table lamp',
    'n04404412': 'television',
    'n04447861': 'toilet seat',
    'n04507155': 'umbrella',
    'n04522168': 'vase',
    'n04557648': 'water bottle',
    'n04562935': 'water tower',
    'n04612504': 'yawl',
    'n06794110': 'street sign',
    'n07749582': 'lemon',
    'n07831146': 'carbonara',
    'n12998815': 'agaric',
}

#: Images of the published splits.
PUBLISHED_COUNTS = {'train': 64431, 'validation': 752, 'test': 1682}


def _make_palette(num_objects: int) -> list[list[int]]:
    """Black for the background, then hues in equal steps, in three shades by turns."""
    shades = (1.0, 0.8, 0.6)
    colours = [
        colorsys.hsv_to_rgb(i / num_objects, 0.9, shades[i % len(shades)])
        for i in range(num_objects)
    ]
    return [[0, 0, 0]] + [[round(255 * channel) for channel in colour] for colour in colours]


@DATASETS.register_module()
class ImageNetS50Dataset(KeyedSegDataset):
    """ImageNet-S-50, a benchmark of large-scale unsupervised segmentation (Gao et al.).

    Layout: ``{train,validation}/nXXXXXXXX/*.JPEG``, ``validation-segmentation/nXXXXXXXX/*.png`` and
    ``test/*.JPEG``, 64,431 / 752 / 1,682 images; the test labels are not public. Label maps store
    ids as red + 256 green: 0 background, 1-50 in the order of :data:`SYNSETS`, 1000 no class; the
    pipeline needs :class:`LoadRGAnnotations`. ``tools/dataset_converters/imagenet_s50.py`` makes
    the layout from ImageNet-1k. See :class:`KeyedSegDataset` for the arguments.
    """

    METAINFO = dict(
        classes=('background', *SYNSETS.values()),
        palette=_make_palette(len(SYNSETS)),
        groups=dict(foreground=tuple(range(1, 51)), background=(0,)),
    )
    LABEL_CHANNELS = 3
