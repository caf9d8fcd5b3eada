"""Pascal VOC 2012, 20 classes of things and background."""

from mmseg.datasets import PascalVOCDataset
from mmseg.registry import DATASETS

from .base import KeyedSegDataset

#: Published number of images of each list; trainaug is train and the images of SBD.
SPLIT_SIZES = dict(train=1464, trainaug=10582, val=1449)


@DATASETS.register_module()
class VOC21Dataset(KeyedSegDataset):
    """Pascal VOC 2012 on the public layout, with background as class 0; 255 is ignored.

    ``JPEGImages/*.jpg``, ``SegmentationClass/*.png`` (or ``SegmentationClassAug`` for the labels of
    trainaug) and lists such as ``ImageSets/Segmentation/val.txt``. Training needs a list of images
    alone. Everingham et al., The PASCAL visual object classes challenge, IJCV 2010; Hariharan et
    al., Semantic contours from inverse detectors, ICCV 2011.

    ``ann_file`` and ``img_suffix`` must be set; see :class:`KeyedSegDataset` for all arguments.
    """

    METAINFO = dict(
        **PascalVOCDataset.METAINFO, groups=dict(things=tuple(range(1, 21)), stuff=(0,))
    )
