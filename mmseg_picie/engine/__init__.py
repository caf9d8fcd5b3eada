"""Hooks: when to cluster, what to store, what to draw."""

from .centroid_hook import KMeansCentroidHook
from .class_map_hook import ClusterToClassHook
from .visualization_hook import MatchedVisualizationHook
from .visualizer import SegmentVisualizer

__all__ = [
    'ClusterToClassHook',
    'KMeansCentroidHook',
    'MatchedVisualizationHook',
    'SegmentVisualizer',
]
