"""Metrics, names of clusters and label files."""

from .hungarian_iou import HungarianIoUMetric
from .naming import ClusterNames, name_clusters

__all__ = ['ClusterNames', 'HungarianIoUMetric', 'name_clusters']
