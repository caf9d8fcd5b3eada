"""Data sets, sampler and transforms."""

from .base import KeyedSegDataset
from .camvid import CamVidDataset
from .cocostuff27 import COCOStuff27Dataset
from .image_folder import ImageFolderDataset
from .sampler import EpochKeySampler, SampleKey
from .synthetic_scenes import SyntheticScenesDataset
from .transforms import PackPairedViews, PairedViews, RemapLabels, ResizeCenterCrop

__all__ = [
    'COCOStuff27Dataset',
    'CamVidDataset',
    'EpochKeySampler',
    'ImageFolderDataset',
    'KeyedSegDataset',
    'PackPairedViews',
    'PairedViews',
    'RemapLabels',
    'ResizeCenterCrop',
    'SampleKey',
    'SyntheticScenesDataset',
]
