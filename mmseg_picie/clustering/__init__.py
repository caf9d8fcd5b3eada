"""K-means over pixel features and matching of clusters to classes: plain torch, numpy and scipy."""

from .kmeans import (
    Assignment,
    ClusterSums,
    KMeansState,
    assign,
    centroid_scores,
    check_finite,
    cluster_sums,
    describe_backend,
    import_faiss,
    initial_fit,
    lloyd_fit,
    minibatch_update,
)
from .matching import (
    UNMATCHED,
    Scores,
    class_scores,
    confusion_matrix,
    match_clusters,
    to_class_confusion,
)
from .streaming import Clustering, Communicator, SingleProcess, StreamingKMeans

__all__ = [
    'UNMATCHED',
    'Assignment',
    'ClusterSums',
    'Clustering',
    'Communicator',
    'KMeansState',
    'Scores',
    'SingleProcess',
    'StreamingKMeans',
    'assign',
    'centroid_scores',
    'check_finite',
    'class_scores',
    'cluster_sums',
    'confusion_matrix',
    'describe_backend',
    'import_faiss',
    'initial_fit',
    'lloyd_fit',
    'match_clusters',
    'minibatch_update',
    'to_class_confusion',
]
