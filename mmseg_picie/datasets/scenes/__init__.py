"""The embedded scenes: what is on them, how they are painted, and the data set that they make."""

from .synthetic_scenes import SyntheticScenesDataset, draw_scene

__all__ = ['SyntheticScenesDataset', 'draw_scene']
