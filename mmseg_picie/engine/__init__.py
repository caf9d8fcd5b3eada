"""When to cluster, what to store, what to draw; mixed precision on a CPU."""

from .centroid_hook import KMeansCentroidHook
from .class_map_hook import ClusterToClassHook
from .cpu_amp import CPUAmpOptimWrapper
from .visualization_hook import MatchedVisualizationHook
from .visualizer import SegmentVisualizer

__all__ = [
    'CPUAmpOptimWrapper',
    'ClusterToClassHook',
    'KMeansCentroidHook',
    'MatchedVisualizationHook',
    'SegmentVisualizer',
]
