"""Pictures of segments."""

from .segment_visualizer import SegmentVisualizer

__all__ = ['SegmentVisualizer']
