"""Metrics, names of clusters and label files."""

from ..clustering import ClusterNames, name_clusters
from .hungarian_iou import HungarianIoUMetric
from .imagenet_s_format import ImageNetSSubmission, to_rg_image

__all__ = [
    'ClusterNames',
    'HungarianIoUMetric',
    'ImageNetSSubmission',
    'name_clusters',
    'to_rg_image',
]
