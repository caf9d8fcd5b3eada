"""Mini-batch k-means over a stream of batches, on one process or several."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..device_limits import to_float64
from .kmeans import (
    ClusterSums,
    KMeansState,
    cluster_sums,
    minibatch_update,
    scale_counts,
)
from .lloyd import initial_fit
from .point_buffer import PointBuffer


class Communicator(Protocol):
    """What processes that share one stream need of each other. All of them make every call."""

    def gather(self, features: Tensor) -> Tensor | None:
        """Images of all processes, (n, P, D) each, in the order of the stream; None elsewhere."""

    def broadcast(self, tensor: Tensor) -> Tensor:
        """The first process's tensor, on every process."""

    def reduce(self, sums: ClusterSums) -> ClusterSums:
        """Sums over all processes, on every process."""

    def fail_together(self, failure: Exception | None) -> None:
        """Raise on every process if any of them has a failure to tell."""


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

    def fail_together(self, failure: Exception | None) -> None:
        """Raise the failure, if there is one."""
        if failure is not None:
            raise failure


class Clustering(NamedTuple):
    """Result of a pass.

    Attributes:
        centroids (Tensor): (K, D) float32.
        counts (Tensor): (K,) int64, points assigned to each cluster over the pass. Points that a
            sampled initial fit leaves out are counted as the sample is.
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

    A batch may come in parts. Centroids stay as they are within an update, so only sums over the
    parts are kept, and after the initial fit memory does not depend on the size of a batch.

    Of several processes, all take the same number of parts and end batches at the same parts. If
    one of them cannot go on (features are not finite, a fit fails), all of them raise.

    Args:
        num_clusters (int): K.
        num_init_batches (int): batches of the initial fit, at least 1. The first process holds
            their points in memory.
        num_iters (int): Lloyd iterations of the initial fit.
        batches_per_update (int): batches per update, at least 1.
        seed (int): seed of the initial fit, in [0, 2^31).
        communicator (Communicator, optional): other processes; none by default.
        num_init_images (int): images that the initial fit will hold, if that is known, so that
            memory for them is taken once.
        start (Tensor, optional): (K, D) centroids that the initial fit begins with.
    """

    def __init__(
        self,
        num_clusters: int,
        num_init_batches: int,
        num_iters: int,
        batches_per_update: int = 1,
        seed: int = 0,
        communicator: Communicator | None = None,
        num_init_images: int = 0,
        start: Tensor | None = None,
    ) -> None:
        self.num_clusters = num_clusters
        self.num_init_batches = num_init_batches
        self.num_iters = num_iters
        self.batches_per_update = batches_per_update
        self.seed = seed
        self._communicator = communicator or SingleProcess()
        self._blank: Tensor  # (K, D), where other processes receive centroids
        self._num_init_images = num_init_images
        self._start = start
        self._points: PointBuffer | None = None  # on the first process
        self._sampling = (1, 1)  # so many pixels are stood for by so many points
        self._num_batches = 0
        self._total: ClusterSums | None = None
        self._failure: Exception | None = None
        self._state: KMeansState | None = None
        self._losses: list[float] = []

    def add(self, features: Tensor) -> None:
        """Take one batch.

        Args:
            features (Tensor): (n, P, D) float32: P points of each of n images; n may be 0, if
                other processes have images left.

        Raises:
            ValueError: If a feature is not finite, or there are fewer points than clusters.
        """
        self.add_part(features)
        self.end_batch()

    def add_part(self, features: Tensor, pixels_per_image: int | None = None) -> None:
        """Take a part of a batch, which :meth:`end_batch` ends.

        Args:
            features (Tensor): as of :meth:`add`.
            pixels_per_image (int, optional): pixels that the P points of an image stand for in the
                initial fit, P by default. Counts are scaled by it, so that a sample weighs as much
                in the updates as all pixels would.
        """
        if self._state is None:
            self._blank = features.new_empty(self.num_clusters, features.shape[-1])
            if len(features):
                self._sampling = (pixels_per_image or features.shape[1], features.shape[1])
            gathered = self._communicator.gather(features)
            if gathered is not None:
                if self._points is None:
                    self._points = PointBuffer(self._num_init_images * gathered.shape[1])
                self._points.append(gathered.flatten(0, 1))
            return
        part = self._sum(features.flatten(0, 1), self._state.centroids)
        self._total = part if self._total is None else _add(self._total, part)

    def end_batch(self) -> None:
        """End a batch: fit or update if it is time for it.

        Raises:
            ValueError: If a feature is not finite, or there are fewer points than clusters.
        """
        self._num_batches += 1
        if self._state is None:
            if self._num_batches == self.num_init_batches:
                self._fit()
        elif (self._num_batches - self.num_init_batches) % self.batches_per_update == 0:
            total = self._reduce_total()
            self._record(total)
            self._state = minibatch_update(self._state, total)

    def finish(self) -> Clustering:
        """End the stream.

        Returns:
            Clustering: the same on every process.

        Raises:
            ValueError: If there was no batch, fewer points than clusters, or a feature that is not
                finite.
        """
        if self._state is None:
            if not self._num_batches:
                raise ValueError('k-means needs at least one batch, but the data set gave none.')
            self._fit()
        elif self._total is not None:
            self._reduce_total()  # dropped, but a diverged network is not passed over
        assert self._state is not None
        losses = self._losses
        return Clustering(
            self._state.centroids, self._state.counts, sum(losses) / len(losses), len(losses) - 1
        )

    def _fit(self) -> None:
        """Fit the gathered points on the first process, and tell the others."""
        centroids = self._blank
        counts = torch.zeros(self.num_clusters, dtype=torch.int64, device=centroids.device)
        sq_distance = to_float64(centroids.new_zeros(()))
        if self._points is not None:
            try:
                centroids, counts, sq_distance = self._fit_points(self._points.take())
            except Exception as failure:  # whatever it is, others wait for this process
                self._failure = failure
                sq_distance.fill_(torch.nan)
        fit = ClusterSums(
            *(self._communicator.broadcast(part) for part in (centroids, counts, sq_distance))
        )
        self._check(fit)
        self._state = KMeansState(fit.sums, fit.counts)
        self._record(fit)

    def _fit_points(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Centroids, and counts and distances of all pixels that the points stand for."""
        centroids = initial_fit(points, self.num_clusters, self.num_iters, self.seed, self._start)
        _, counts, sq_distance = cluster_sums(points, centroids)
        pixels, held = self._sampling
        return centroids, scale_counts(counts, pixels, held), sq_distance * (pixels / held)

    def _sum(self, points: Tensor, centroids: Tensor) -> ClusterSums:
        """Sums of a part; NaN tells the other processes that this one cannot make any."""
        try:
            return cluster_sums(points, centroids)
        except ValueError as failure:
            self._failure = self._failure or failure
            nothing = cluster_sums(points[:0], centroids)
            return nothing._replace(sq_distance=nothing.sq_distance.fill_(torch.nan))

    def _reduce_total(self) -> ClusterSums:
        """Sums of the batches since the last update over all processes."""
        assert self._total is not None
        total = self._communicator.reduce(self._total)
        self._total = None
        self._check(total)
        return total

    def _check(self, total: ClusterSums) -> None:
        """Raise on every process what has gone wrong on any."""
        if total.sq_distance.isnan():
            self._communicator.fail_together(self._failure)

    def _record(self, total: ClusterSums) -> None:
        self._losses.append(float(total.sq_distance) / max(1, int(total.counts.sum())))


def _add(first: ClusterSums, second: ClusterSums) -> ClusterSums:
    """Sums of a union of two batches."""
    return ClusterSums(*(a + b for a, b in zip(first, second, strict=True)))
