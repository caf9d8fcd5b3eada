"""When to cluster, to name and to draw."""

from .cluster_to_class_hook import ClusterToClassHook
from .console_hook import ConsoleHook
from .fitting_weights_hook import FittingWeightsHook
from .kmeans_centroid_hook import KMeansCentroidHook
from .matched_visualization_hook import MatchedVisualizationHook
from .principal_decoder_hook import PrincipalDecoderHook
from .whole_checkpoint_hook import WholeCheckpointHook

__all__ = [
    'ClusterToClassHook',
    'ConsoleHook',
    'FittingWeightsHook',
    'KMeansCentroidHook',
    'MatchedVisualizationHook',
    'PrincipalDecoderHook',
    'WholeCheckpointHook',
]
