"""Whether a device computes what a CPU does, and how fast."""

from . import acceleration_cases, clustering_cases, model_cases, segmentor_cases
from .cases import CASES

__all__ = ['CASES', 'acceleration_cases', 'clustering_cases', 'model_cases', 'segmentor_cases']
