"""Transforms: paired views for training, labels and centre crops for evaluation."""

from .evaluation import RemapLabels, ResizeCenterCrop
from .loading import LoadImage
from .paired_views import PackPairedViews, PairedViews
from .rg_labels import LoadRGAnnotations, decode_rg

__all__ = [
    'LoadImage',
    'LoadRGAnnotations',
    'PackPairedViews',
    'PairedViews',
    'RemapLabels',
    'ResizeCenterCrop',
    'decode_rg',
]
