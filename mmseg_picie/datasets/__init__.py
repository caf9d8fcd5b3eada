"""Data sets, sampler and transforms."""

from .base import KeyedSegDataset
from .camvid import CamVidDataset
from .cityscapes19 import Cityscapes19Dataset
from .cityscapes27 import Cityscapes27Dataset
from .cocostuff27 import COCOStuff27Dataset
from .cocostuff171 import COCOStuff171Dataset
from .image_folder import ImageFolderDataset
from .imagenet_s50 import ImageNetS50Dataset
from .potsdam3 import Potsdam3Dataset
from .sampler import EpochKeySampler, SampleKey
from .scenes.synthetic_scenes import SyntheticScenesDataset
from .transforms import (
    LoadImage,
    LoadRGAnnotations,
    PackPairedViews,
    PairedViews,
    RemapLabels,
    ResizeCenterCrop,
)
from .voc21 import VOC21Dataset

__all__ = [
    'COCOStuff171Dataset',
    'COCOStuff27Dataset',
    'CamVidDataset',
    'Cityscapes19Dataset',
    'Cityscapes27Dataset',
    'EpochKeySampler',
    'ImageFolderDataset',
    'ImageNetS50Dataset',
    'KeyedSegDataset',
    'LoadImage',
    'LoadRGAnnotations',
    'PackPairedViews',
    'PairedViews',
    'Potsdam3Dataset',
    'RemapLabels',
    'ResizeCenterCrop',
    'SampleKey',
    'SyntheticScenesDataset',
    'VOC21Dataset',
]
