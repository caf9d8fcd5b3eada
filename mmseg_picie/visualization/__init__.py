"""Pictures of segments, and where a run keeps pictures and scores."""

from .segment_visualizer import SegmentVisualizer
from .whole_vis_backend import WholeVisBackend

__all__ = ['SegmentVisualizer', 'WholeVisBackend']
