"""Mini-batch k-means over a stream of batches, on one process or several."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .kmeans import ClusterSums, KMeansState, cluster_sums, initial_fit, minibatch_update


class Communicator(Protocol):
    """What processes that share one stream need of each other."""

    def gather(self, features: Tensor) -> Tensor | None:
        """Images of all processes, (n, P, D) each, in the order of the stream; None elsewhere."""

    def broadcast(self, tensor: Tensor) -> Tensor:
        """The first process's tensor, on every process."""

    def reduce(self, sums: ClusterSums) -> ClusterSums:
        """Sums over all processes, on every process."""


class SingleProcess:
    """Communicator of a process that is alone."""

    def gather(self, features: Tensor) -> Tensor:
        """Return the features."""
        return features

    def broadcast(self, tensor: Tensor) -> Tensor:
        """Return the tensor."""
        return tensor

    def reduce(self, sums: ClusterSums) -> ClusterSums:
        """Return the sums."""
        return sums


class Clustering(NamedTuple):
    """Result of a pass.

    Attributes:
        centroids (Tensor): (K, D) float32.
        counts (Tensor): (K,) int64, points assigned to each cluster over the pass.
        inertia (float): mean over the initial fit and the updates of the mean squared distance of
            the batch's points to the nearest centroid before the update.
        num_updates (int): updates after the initial fit.
    """

    centroids: Tensor
    counts: Tensor
    inertia: float
    num_updates: int


class StreamingKMeans:
    """Mini-batch k-means of one view (PiCIE section 3.1).

    The first ``num_init_batches`` batches are gathered and fitted by Lloyd's algorithm; every
    ``batches_per_update`` later batches move the centroids. Batches left over at the end are
    dropped; if the stream ends before the initial fit, what there is is fitted.

    Args:
        num_clusters (int): K.
        num_init_batches (int): batches of the initial fit, at least 1. They are held in memory.
        num_iters (int): Lloyd iterations of the initial fit.
        batches_per_update (int): batches per update, at least 1.
        seed (int): seed of the initial fit, in [0, 2^31).
        communicator (Communicator, optional): other processes; none by default.
    """

    def __init__(
        self,
        num_clusters: int,
        num_init_batches: int,
        num_iters: int,
        batches_per_update: int = 1,
        seed: int = 0,
        communicator: Communicator | None = None,
    ) -> None:
        self.num_clusters = num_clusters
        self.num_init_batches = num_init_batches
        self.num_iters = num_iters
        self.batches_per_update = batches_per_update
        self.seed = seed
        self._communicator = communicator or SingleProcess()
        self._blank: Tensor  # (K, D), where other processes receive centroids
        self._gathered: list[Tensor] = []
        self._num_gathered = 0
        self._pending: list[ClusterSums] = []
        self._state: KMeansState | None = None
        self._losses: list[float] = []

    def add(self, features: Tensor) -> None:
        """Take one batch.

        Args:
            features (Tensor): (n, P, D) float32: P points of each of n images; n may be 0, if
                other processes have images left.
        """
        if self._state is None:
            self._blank = features.new_empty(self.num_clusters, features.shape[-1])
            gathered = self._communicator.gather(features)
            if gathered is not None:
                self._gathered.append(gathered.flatten(0, 1))
            self._num_gathered += 1
            if self._num_gathered == self.num_init_batches:
                self._fit()
            return
        # Centroids stay as they are within an update, so sums can be kept instead of features.
        self._pending.append(cluster_sums(features.flatten(0, 1), self._state.centroids))
        if len(self._pending) == self.batches_per_update:
            total = self._communicator.reduce(_add(self._pending))
            self._pending = []
            self._record(total)
            self._state = minibatch_update(self._state, total)

    def finish(self) -> Clustering:
        """End the stream.

        Returns:
            Clustering: the same on every process.

        Raises:
            ValueError: If there was no batch, or fewer points than clusters.
        """
        if self._state is None:
            if not self._num_gathered:
                raise ValueError('k-means needs at least one batch, but the data set gave none.')
            self._fit()
        assert self._state is not None
        losses = self._losses
        return Clustering(
            self._state.centroids, self._state.counts, sum(losses) / len(losses), len(losses) - 1
        )

    def _fit(self) -> None:
        """Fit the gathered points on the first process, and tell the others."""
        centroids = self._blank
        counts = torch.zeros(self.num_clusters, dtype=torch.int64, device=centroids.device)
        sq_distance = torch.zeros((), dtype=torch.float64, device=centroids.device)
        if self._gathered:
            points = _drain(self._gathered)
            centroids = initial_fit(points, self.num_clusters, self.num_iters, self.seed)
            _, counts, sq_distance = cluster_sums(points, centroids)
        centroids, counts, sq_distance = (
            self._communicator.broadcast(tensor) for tensor in (centroids, counts, sq_distance)
        )
        self._state = KMeansState(centroids, counts)
        self._record(ClusterSums(centroids, counts, sq_distance))

    def _record(self, total: ClusterSums) -> None:
        self._losses.append(float(total.sq_distance) / max(1, int(total.counts.sum())))


def _drain(chunks: list[Tensor]) -> Tensor:
    """Concatenate and empty the list on the way, so that little is held twice."""
    points = chunks[0].new_empty(sum(map(len, chunks)), chunks[0].shape[1])
    start = len(points)
    while chunks:
        chunk = chunks.pop()
        points[start - len(chunk) : start] = chunk
        start -= len(chunk)
    return points


def _add(batches: list[ClusterSums]) -> ClusterSums:
    """Sums of a union of batches."""
    sums, counts, sq_distances = zip(*batches, strict=True)
    return ClusterSums(sum(sums), sum(counts), sum(sq_distances))
