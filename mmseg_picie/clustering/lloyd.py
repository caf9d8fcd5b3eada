"""The first centroids of a pass: Lloyd's k-means over points in memory."""

import numpy as np
import torch
from torch import Tensor

from .compiled import compile_kernel
from .kmeans import assign, check_finite, cluster_sums
from .optional import import_faiss, import_numba

# Up to so many clusters this module's iterations are faster than those of faiss on a CPU; where
# numba compiles them, for any number.
MAX_TORCH_CLUSTERS = 64


def initial_fit(features: Tensor, num_clusters: int, num_iters: int, seed: int) -> Tensor:
    """Fit centroids by Lloyd's algorithm from randomly chosen points.

    Points on a GPU stay there, and torch fits them. Points on a CPU are fitted by
    :func:`lloyd_fit`, or by faiss if it can be imported, numba cannot, and there are more clusters
    than ``MAX_TORCH_CLUSTERS``. Either begins with the points that faiss chooses, so the result is
    the same (but for an empty cluster: faiss splits a large one); without faiss the choice is
    another. Points that lie row by row are not copied.

    Args:
        features (Tensor): (P, D) float32 points, all of which are used.
        num_clusters (int): K, at least 1 and at most P.
        num_iters (int): Lloyd iterations, at least 1.
        seed (int): seed of the initial choice, in [0, 2^31).

    Returns:
        Tensor: (K, D) float32 centroids on the device of ``features``.

    Raises:
        ValueError: If K is larger than P, or a feature is not finite.
    """
    if num_clusters > len(features):
        raise ValueError(
            f'num_clusters must not exceed the number of gathered pixels, but got {num_clusters} '
            f'clusters for {len(features)} pixels; gather more (images, larger views, '
            'num_init_batches, max_init_points) or ask for fewer clusters.'
        )
    check_finite(features)
    faiss = import_faiss()
    on_cpu, many = features.device.type == 'cpu', num_clusters > MAX_TORCH_CLUSTERS
    if faiss is None or not (on_cpu and many) or compile_kernel(num_clusters) is not None:
        return lloyd_fit(features, num_clusters, num_iters, seed)
    kmeans = faiss.Kmeans(
        features.shape[1],
        num_clusters,
        niter=num_iters,
        seed=seed,
        gpu=faiss.get_num_gpus() > 0,
        # faiss would otherwise subsample to 256 points a cluster, and warn below 39.
        max_points_per_centroid=len(features),
        min_points_per_centroid=1,
    )
    kmeans.train(features.contiguous().numpy())
    return torch.from_numpy(kmeans.centroids)


def lloyd_fit(features: Tensor, num_clusters: int, num_iters: int, seed: int) -> Tensor:
    """Lloyd's k-means in torch, from ``num_clusters`` distinct points chosen at random.

    An empty cluster is moved to the point that is farthest from its centroid.

    Args:
        features (Tensor): (P, D) float32, P >= K.
        num_clusters (int): K.
        num_iters (int): number of iterations.
        seed (int): seed of the choice of points.

    Returns:
        Tensor: (K, D) float32 centroids.
    """
    chosen = _choose_points(len(features), num_clusters, seed)
    centroids = features[chosen.to(features.device)].clone()
    for _ in range(num_iters):
        sums, counts, _ = cluster_sums(features, centroids)
        means = sums / counts.clamp(min=1)[:, None]
        empty = (counts == 0).nonzero().flatten()
        if len(empty):
            farthest = assign(features, centroids).sq_distances.topk(len(empty)).indices
            means[empty] = features[farthest]
        centroids = means
    return centroids


def _choose_points(num_points: int, number: int, seed: int) -> Tensor:
    """Indices of distinct points, those that faiss begins with if it is there."""
    faiss = import_faiss()
    if faiss is None:
        generator = torch.Generator().manual_seed(seed)
        return torch.randperm(num_points, generator=generator)[:number]
    order = np.empty(num_points, dtype=np.int32)
    faiss.rand_perm(faiss.swig_ptr(order), num_points, seed + 1)
    return torch.from_numpy(order[:number].astype(np.int64))


def describe_backend() -> str:
    """Say in a few words what k-means runs on."""
    libraries = {'numba': import_numba(), 'faiss': import_faiss()}
    found = [f'{name} {module.__version__}' for name, module in libraries.items() if module]
    missing = [name for name, module in libraries.items() if not module]
    text = 'torch' if not found else f'{" and ".join(found)} on a CPU, torch on a GPU'
    if missing:
        text += f" ({' and '.join(missing)}: not there, pip install 'mmseg_picie[cpu]')"
    return text
