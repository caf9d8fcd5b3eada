"""The report page: facts about a model's clusters in, one self-contained HTML file out."""

from .facts import (
    ClassShare,
    ClusterFacts,
    Curve,
    Finding,
    ImageFacts,
    Line,
    Neighbour,
    Patch,
    ReportFacts,
)
from .page import render_report

__all__ = [
    'ClassShare',
    'ClusterFacts',
    'Curve',
    'Finding',
    'ImageFacts',
    'Line',
    'Neighbour',
    'Patch',
    'ReportFacts',
    'render_report',
]
