"""K-means over pixel features and matching of clusters to classes, without the toolbox."""

from .kmeans import (
    Assignment,
    ClusterSums,
    KMeansState,
    assign,
    centroid_scores,
    check_finite,
    cluster_sums,
    minibatch_update,
    scale_counts,
)
from .lloyd import choose_points, initial_fit, lloyd_fit
from .matching import (
    UNMATCHED,
    Scores,
    class_scores,
    confusion_matrix,
    legacy_group_confusion,
    match_clusters,
    match_images,
    match_many_to_one,
    to_class_confusion,
)
from .merging import merge_centroids, merge_scores
from .naming import ClusterNames, name_clusters, translate_map
from .principal import Moments, Projection, moments, principal_projection
from .streaming import Clustering, Communicator, SingleProcess, StreamingKMeans

__all__ = [
    'UNMATCHED',
    'Assignment',
    'ClusterSums',
    'ClusterNames',
    'Clustering',
    'Communicator',
    'KMeansState',
    'Moments',
    'Projection',
    'Scores',
    'SingleProcess',
    'StreamingKMeans',
    'assign',
    'centroid_scores',
    'check_finite',
    'choose_points',
    'class_scores',
    'cluster_sums',
    'confusion_matrix',
    'initial_fit',
    'legacy_group_confusion',
    'lloyd_fit',
    'match_clusters',
    'match_images',
    'match_many_to_one',
    'merge_centroids',
    'merge_scores',
    'minibatch_update',
    'moments',
    'name_clusters',
    'principal_projection',
    'scale_counts',
    'to_class_confusion',
    'translate_map',
]
