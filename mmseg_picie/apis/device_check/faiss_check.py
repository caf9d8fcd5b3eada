"""Whether k-means of this package finds what faiss does, on a GPU."""

import time
from typing import Any

import torch

from ...clustering import cluster_sums, lloyd_fit
from ..devices import time_call
from .cases import LeftOut
from .clustering_cases import D, draw_points
from .rows import Found

#: Share by which the mean squared distances to centroids may differ.
INERTIA = 0.01
K, NUM_ITERS = 27, 20


def check_faiss(device: torch.device, quick: bool) -> Found:
    """Compare with faiss on a GPU.

    Args:
        device (torch.device): of this package's k-means.
        quick (bool): fewer points.

    Returns:
        Found: inertias and seconds.

    Raises:
        LeftOut: If faiss is not there, or sees no GPU.
    """
    if device.type != 'cuda':
        raise LeftOut('this is a check of CUDA; on a CPU, the tests compare with faiss')
    try:
        import faiss
    except (ImportError, RuntimeError) as error:  # a broken one raises either
        raise LeftOut('faiss is not installed; install faiss-gpu to compare') from error
    if not hasattr(faiss, 'StandardGpuResources') or not faiss.get_num_gpus():
        raise LeftOut('the faiss that is installed sees no GPU; install faiss-gpu to compare')
    return compare_with_faiss(faiss, device, 20_000 if quick else 200_000, on_gpu=True)


def compare_with_faiss(faiss: Any, device: torch.device, number: int, on_gpu: bool) -> Found:
    """Fit the same points by faiss and by torch.

    Args:
        faiss (Any): the package.
        device (torch.device): of this package's k-means.
        number (int): points.
        on_gpu (bool): whether faiss uses a GPU.

    Returns:
        Found: inertias and seconds.
    """
    points = draw_points(1, number, spread=0.3)
    kmeans = faiss.Kmeans(D, K, niter=NUM_ITERS, seed=0, gpu=on_gpu, max_points_per_centroid=number)
    start = time.perf_counter()
    kmeans.train(points.numpy())
    theirs_seconds = time.perf_counter() - start
    here = points.to(device)
    ours_seconds, centroids = time_call(lambda: lloyd_fit(here, K, NUM_ITERS, 0), device)
    theirs = torch.from_numpy(kmeans.centroids).to(device)
    inertias = [
        float(cluster_sums(here, each).sq_distance) / number for each in (centroids, theirs)
    ]
    apart = abs(inertias[0] / inertias[1] - 1)
    text = (
        f'inertia {inertias[0]:.5f}, of faiss {inertias[1]:.5f}, {apart:.2%} apart; '
        f'{ours_seconds:.3f} s, of faiss {theirs_seconds:.3f} s'
    )
    values = dict(apart=apart, seconds=ours_seconds, faiss_seconds=theirs_seconds)
    return Found(apart <= INERTIA, text, f'{INERTIA:.0%} apart', values)
