"""CamVid, 11 classes."""

from mmseg.registry import DATASETS

from .base import KeyedSegDataset


@DATASETS.register_module()
class CamVidDataset(KeyedSegDataset):
    """CamVid street scenes, 367 / 101 / 233 images of 480 x 360 in the common 11 classes.

    Layout: ``images/{train,val,test}/*.png`` (or jpg) and ``annotations/{train,val,test}/*.png``
    with ids 0-10 and 255 for void; ``tools/dataset_converters/camvid.py`` makes it from the
    public release. Brostow et al., Semantic object classes in video, 2009. See
    :class:`KeyedSegDataset` for the arguments.
    """

    METAINFO = dict(
        classes=(
            'sky',
            'building',
            'pole',
            'road',
            'pavement',
            'tree',
            'sign',
            'fence',
            'car',
            'pedestrian',
            'bicyclist',
        ),
        palette=[
            [128, 128, 128],
            [128, 0, 0],
            [192, 192, 128],
            [128, 64, 128],
            [0, 0, 192],
            [128, 128, 0],
            [192, 128, 128],
            [64, 64, 128],
            [64, 0, 128],
            [64, 64, 0],
            [0, 128, 192],
        ],
        # As Cityscapes divides its classes: what comes in instances, and the rest.
        groups=dict(things=(8, 9, 10), stuff=(0, 1, 2, 3, 4, 5, 6, 7)),
    )
