"""Hooks, the clustering pass, optimiser wrappers, and what ranks tell each other."""

from typing import Any

from ..moved import get_moved
from .hooks import (
    ClusterToClassHook,
    ConsoleHook,
    KMeansCentroidHook,
    MatchedVisualizationHook,
    PrincipalDecoderHook,
    WholeCheckpointHook,
)
from .optimizers import CPUAmpOptimWrapper

__all__ = [
    'CPUAmpOptimWrapper',
    'ClusterToClassHook',
    'ConsoleHook',
    'KMeansCentroidHook',
    'MatchedVisualizationHook',
    'PrincipalDecoderHook',
    'WholeCheckpointHook',
]


def __getattr__(name: str) -> Any:
    return get_moved(__name__, name)
