"""Transforms: paired views for training, labels and centre crops for evaluation."""

from .evaluation import RemapLabels, ResizeCenterCrop
from .paired_views import PackPairedViews, PairedViews

__all__ = ['PackPairedViews', 'PairedViews', 'RemapLabels', 'ResizeCenterCrop']
