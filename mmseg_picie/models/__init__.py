"""Data preprocessor, decoder, head and segmentor."""

from . import efficientnet_lite0  # noqa: F401 - registers where its weights come from
from .centroid_head import CentroidHead
from .deep_cluster_head import DeepClusterHead
from .dense_crf import DenseCRF
from .frozen_encoder import FrozenEncoder
from .iic_head import IICHead
from .picie import PiCIE
from .preprocessor import PairedViewDataPreProcessor
from .sum_fpn import SumFPN
from .timm_vit import TIMMViT
from .view_head import ViewHead
from .view_tta import ViewTTAModel

__all__ = [
    'CentroidHead',
    'DeepClusterHead',
    'DenseCRF',
    'FrozenEncoder',
    'IICHead',
    'PairedViewDataPreProcessor',
    'PiCIE',
    'SumFPN',
    'TIMMViT',
    'ViewHead',
    'ViewTTAModel',
]
