"""What is counted while images go by, for a report: its size depends on K alone."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..clustering import confusion_matrix
from ..device_limits import to_float64
from ..visualization.report.findings import LINE_WIDTH
from ..visualization.report.pictures import to_size
from .report_images import SeenImage

#: Rows and columns of the map of places.
PLACES = (18, 24)
#: Label of pixels without a class.
IGNORED = 255


class Tally:
    """Counts of K clusters over images.

    Args:
        num_clusters (int): K.
        num_classes (int): C, 0 without labels.

    Attributes:
        num_images (int): that were counted.
        pixels (NDArray): (K,) of the files.
        images (NDArray): (K,) images that have the cluster.
        largest (NDArray): (K,) pixels in the image that has most of them.
        largest_names (list[str]): K names of these images.
        inner (NDArray): (K,) pixels with nothing but their cluster within half of a line's width.
        colours (NDArray): (K, 3) sums of RGB over pixels.
        places (NDArray): (K, rows, columns) shares of images.
        confusion (NDArray): (C, K) labelled pixels.
        num_labelled (int): images that have labels.
    """

    def __init__(self, num_clusters: int, num_classes: int = 0) -> None:
        self.num_images = 0
        self.pixels = np.zeros(num_clusters)
        self.images = np.zeros(num_clusters, np.int64)
        self.largest = np.zeros(num_clusters)
        self.largest_names = [''] * num_clusters
        self.inner = np.zeros(num_clusters)
        self.colours = np.zeros((num_clusters, 3))
        self.places = np.zeros((num_clusters, *PLACES))
        self.confusion = np.zeros((num_classes, num_clusters), np.int64)
        self.num_labelled = 0
        self._features: torch.Tensor | None = None

    def add(self, seen: SeenImage) -> NDArray[np.float64]:
        """Count an image.

        Args:
            seen (SeenImage): the image.

        Returns:
            NDArray: (K,) shares of the image.
        """
        number = len(self.pixels)
        flat = seen.clusters.ravel()
        counts = np.bincount(flat, minlength=number)
        weight = seen.area / seen.clusters.size
        picture = to_size(seen.detail, seen.clusters.shape).reshape(-1, 3)
        for channel in range(3):  # BGR
            sums = np.bincount(flat, picture[:, channel], number)
            self.colours[:, 2 - channel] += weight * sums
        self.pixels += weight * counts
        self.images += counts > 0
        larger = weight * counts > self.largest
        self.largest[larger] = weight * counts[larger]
        for cluster in np.flatnonzero(larger):
            self.largest_names[cluster] = seen.source.name
        self._add_places(seen.clusters)
        reach = max(1, round(LINE_WIDTH / 2 * min(seen.clusters.shape)))
        inner = inner_pixels(seen.clusters, reach)
        self.inner += weight * np.bincount(seen.clusters[inner], minlength=number)
        self._add_features(seen, number)
        self.num_images += 1
        return counts / flat.size

    def _add_places(self, clusters: NDArray) -> None:
        rows, columns = (
            np.minimum(np.arange(length) * parts // length, parts - 1)
            for length, parts in zip(clusters.shape, PLACES, strict=True)
        )
        size = PLACES[0] * PLACES[1]
        places = clusters * size + rows[:, None] * PLACES[1] + columns
        counts = np.bincount(places.ravel(), minlength=len(self.pixels) * size)
        self.places += counts.reshape(self.places.shape) / clusters.size

    def _add_features(self, seen: SeenImage, number: int) -> None:
        points = to_float64(seen.features.flatten(1).T)
        if self._features is None:
            self._features = points.new_zeros(number, points.shape[1])
        self._features.index_add_(0, torch.from_numpy(seen.cells.ravel()).to(points.device), points)

    def add_labels(self, seen: SeenImage, labels: NDArray) -> None:
        """Count the classes of an image.

        Args:
            seen (SeenImage): the image.
            labels (NDArray): (H, W) classes, :data:`IGNORED` where there is none.
        """
        height, width = seen.clusters.shape
        small = cv2.resize(
            labels.astype(np.int32), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
        )
        self.confusion += confusion_matrix(small, seen.clusters, *self.confusion.shape, IGNORED)
        self.num_labelled += 1

    def cosines(self) -> NDArray[np.float64]:
        """(K, K) cosines of the clusters' mean features; 0 for a cluster without any pixel."""
        if self._features is None:
            return np.zeros((len(self.pixels),) * 2)
        unit = torch.nn.functional.normalize(self._features, dim=1)
        return (unit @ unit.T).cpu().numpy()

    def mean_colour(self, cluster: int) -> tuple[int, int, int] | None:
        """RGB mean of a cluster's pixels; None if it has none."""
        if not self.pixels[cluster]:
            return None
        red, green, blue = np.round(self.colours[cluster] / self.pixels[cluster]).astype(int)
        return int(red), int(green), int(blue)


def inner_pixels(clusters: NDArray, reach: int = 1) -> NDArray[np.bool_]:
    """Pixels around which, as far as the image goes, all are of the same cluster.

    Args:
        clusters (NDArray): (h, w).
        reach (int): pixels up and down, left and right.

    Returns:
        NDArray: (h, w).
    """
    values = clusters.astype(np.float32)  # exact up to 2 ** 24, and one that OpenCV can erode
    square = np.ones((2 * reach + 1,) * 2, np.uint8)
    edge = cv2.BORDER_REPLICATE
    least = cv2.erode(values, square, borderType=edge)
    return (least == values) & (cv2.dilate(values, square, borderType=edge) == values)
