"""Whether a device computes what a CPU does, how fast, and with how much memory."""

from . import acceleration_cases, clustering_cases, model_cases, segmentor_cases
from .cases import CASES
from .report import Report, check, print_report

__all__ = [
    'CASES',
    'Report',
    'acceleration_cases',
    'check',
    'clustering_cases',
    'model_cases',
    'print_report',
    'segmentor_cases',
]
