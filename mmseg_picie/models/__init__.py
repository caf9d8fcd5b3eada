"""Data preprocessor, decoder, head and segmentor."""

from . import efficientnet_lite0  # noqa: F401 - registers where its weights come from
from .centroid_head import CentroidHead
from .picie import PiCIE
from .preprocessor import PairedViewDataPreProcessor
from .sum_fpn import SumFPN

__all__ = ['CentroidHead', 'PairedViewDataPreProcessor', 'PiCIE', 'SumFPN']
