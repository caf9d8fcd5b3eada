"""Cases of k-means and of what is made of its clusters."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ...clustering import (
    ClusterSums,
    KMeansState,
    StreamingKMeans,
    assign,
    centroid_scores,
    check_finite,
    cluster_sums,
    initial_fit,
    lloyd_fit,
    merge_centroids,
    merge_scores,
    minibatch_update,
    moments,
    principal_projection,
    scale_counts,
)
from ...clustering.cluster_numbers import fit_clusters, inertia_of, predict_clusters
from .cases import Results, case, draw, draw_counts

#: Centroids, and channels of a point.
K, D = 7, 16


def draw_points(seed: int, number: int, spread: float = 0.05) -> Tensor:
    """(number, D) points of unit length around K centres that lie apart."""
    centres = F.normalize(draw(0, K, D), dim=1)
    near = centres[torch.arange(number) % K] + spread * draw(seed, number, D)
    return F.normalize(near, dim=1)


@case('scores of centroids')
def score(device: torch.device) -> Results:
    points, centroids = draw(1, 300, D).to(device), draw(2, K, D).to(device)
    maps = draw(3, 2, D, 9, 7).to(device)
    return dict(
        points=centroid_scores(points, centroids),
        odd=centroid_scores(points[:299], centroids),
        maps=centroid_scores(maps, centroids),
    )


@case('nearest centroid of each point')
def find_nearest(device: torch.device) -> Results:
    found = assign(draw(1, 5000, D).to(device), draw(2, K, D).to(device))
    return found._asdict()


@case('sums of clusters')
def sum_clusters(device: torch.device) -> Results:
    points, centroids = draw_points(1, 5000).to(device), draw_points(2, K).to(device)
    return dict(
        some=cluster_sums(points, centroids)._asdict(),
        none=cluster_sums(points[:0], centroids)._asdict(),
    )


@case('refusal of features that are not finite')
def refuse_nan(device: torch.device) -> Results:
    points, centroids = draw_points(1, 50).to(device), draw_points(2, K).to(device)
    check_finite(points)
    points[3, 4] = torch.nan
    kmeans = StreamingKMeans(K, 1, 2)
    kmeans.add(draw_points(1, 50).to(device)[None])
    refused = []
    for function in (
        check_finite,
        lambda values: cluster_sums(values, centroids),
        lambda values: kmeans.add(values[None]),
    ):
        try:
            function(points)
        except ValueError:
            refused.append(True)
    return dict(refused=len(refused))


@case('mini-batch update')
def update(device: torch.device) -> Results:
    # Counts beyond what float32 holds, and a cluster without a point.
    counts = (draw_counts(1, K) + (1 << 24)).to(device)
    batch = draw_counts(2, K)
    batch[3] = 0
    sums = ClusterSums(draw(3, K, D).to(device), batch.to(device), torch.zeros(()))
    return minibatch_update(KMeansState(draw(4, K, D).to(device), counts), sums)._asdict()


@case('counts of a sample, scaled')
def scale(device: torch.device) -> Results:
    return dict(counts=scale_counts(draw_counts(1, K).to(device), 1600, 77))


@case("Lloyd's k-means")
def fit(device: torch.device) -> Results:
    points = draw_points(1, 2000).to(device)
    start = points[:K].clone()
    start[1] = start[0]  # which leaves a cluster empty
    return dict(
        chosen=cluster_sums(points, initial_fit(points.clone(), K, 10, 3))._asdict(),
        started=initial_fit(points.clone(), K, 10, 0, draw_points(5, K).to(device)),
        moved=lloyd_fit(points, K, 10, 0, start),
    )


@case('k-means of a stream')
def stream(device: torch.device) -> Results:
    start = draw_points(9, K).to(device)
    kmeans = StreamingKMeans(K, 2, 5, batches_per_update=2, num_init_images=4, start=start)
    for index in range(6):
        images = draw_points(20 + index, 2 * 210).view(2, 210, D).to(device)
        if index < 2:
            kmeans.add_part(images[:, :105].contiguous(), 210)
            kmeans.end_batch()
        elif index < 5:
            kmeans.add(images)
        else:  # in parts
            kmeans.add_part(images[:1])
            kmeans.add_part(images[1:])
            kmeans.end_batch()
    return kmeans.finish()._asdict()


@case('merging of centroids')
def merge(device: torch.device) -> Results:
    centroids, counts = draw_points(1, 3 * K).to(device), draw_counts(2, 3 * K).to(device)
    merged = merge_centroids(centroids, K, counts)
    return dict(
        merged=merged,
        without_counts=merge_centroids(centroids, K),
        kept=merge_centroids(centroids, 3 * K),
        scores=merge_scores(draw(3, 2, 3 * K, 5, 4).to(device), merged, K),
    )


@case('principal components', slack=10)
def project(device: torch.device) -> Results:
    scales = torch.linspace(3, 1, D)  # so that components are told apart
    found = moments((draw(1, 2000, D) * scales + 1).to(device))
    return dict(
        moments=found._asdict(), projection=principal_projection(found, (6, 10), 4)._asdict()
    )


@case('figures of numbers of clusters')
def count_clusters(device: torch.device) -> Results:
    points = draw_points(1, 1400).to(device)
    fitted = fit_clusters(points, K, 1, 10, 0)
    clusters = predict_clusters(points, fitted)
    two = fit_clusters(points, 3, 2, 10, 0)
    return dict(
        inertia=inertia_of(points, clusters, K),
        clusters=clusters,
        merged=predict_clusters(points, two),
    )
