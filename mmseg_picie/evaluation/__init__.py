"""Metrics, names of clusters and label files."""

from .hungarian_iou import HungarianIoUMetric
from .imagenet_s_format import ImageNetSSubmission, to_rg_image
from .naming import ClusterNames, name_clusters

__all__ = [
    'ClusterNames',
    'HungarianIoUMetric',
    'ImageNetSSubmission',
    'name_clusters',
    'to_rg_image',
]
