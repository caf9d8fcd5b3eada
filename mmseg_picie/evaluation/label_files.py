"""Write predictions as label maps."""

import errno
import os
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..clustering import UNMATCHED
from ..whole_files import write_whole


class Ids(NamedTuple):
    """The ids of a prediction.

    Attributes:
        kind (str): 'class' or 'cluster'.
        of_clusters (NDArray): (K,) the id of each cluster.
        no_class (int, optional): the id of clusters without a class; None for ids of clusters.
    """

    kind: str
    of_clusters: NDArray[np.int64]
    no_class: int | None = None

    def apply(self, clusters: NDArray) -> NDArray:
        """The ids of a map of clusters.

        Args:
            clusters (NDArray): (H, W) in [0, K).

        Returns:
            NDArray: (H, W). uint8 if all ids that there may be fit, else uint16.
        """
        if self.no_class is None:
            narrow = len(self.of_clusters) <= 256
            return clusters.astype(np.uint8 if narrow else np.uint16, copy=False)
        return self.of_clusters.astype(np.uint8 if self.no_class <= 255 else np.uint16)[clusters]


def make_ids(cluster_to_class: NDArray | None, num_clusters: int) -> Ids:
    """Choose the ids of label maps: classes if any is known, else clusters.

    Args:
        cluster_to_class (NDArray, optional): (K,) class of each cluster, -1 where unknown.
        num_clusters (int): K, up to 65,535.

    Returns:
        Ids: classes, with the largest id that fits for clusters without one; or clusters.
    """
    if cluster_to_class is None or (cluster_to_class == UNMATCHED).all():
        return Ids('cluster', np.arange(num_clusters))
    no_class = 255 if int(cluster_to_class.max()) + 1 <= 255 else 65535
    table = np.where(cluster_to_class == UNMATCHED, no_class, cluster_to_class)
    return Ids('class', table, no_class)


def read_ids(path: str | os.PathLike[str]) -> NDArray | None:
    """Read a label map that was written here.

    Args:
        path (str or Path): PNG or TIFF file.

    Returns:
        NDArray or None: (H, W) uint8 or uint16; None if it is no such file, or has
            more than 2^30 pixels.

    Raises:
        OSError: If it cannot be opened.
    """
    data = np.fromfile(path, dtype=np.uint8)
    try:
        ids = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except cv2.error:  # more pixels than OpenCV reads
        return None
    return ids if ids is not None and ids.ndim == 2 else None


def write_image(path: str, image: NDArray[np.uint8]) -> None:
    """Write an image, complete or not at all.

    Args:
        path (str): file to write, in a folder that exists; its suffix gives the format.
        image (NDArray): (H, W) grey or (H, W, 3) BGR, uint8.

    Raises:
        OSError: If it cannot be written.
    """
    suffix = os.path.splitext(path)[1]
    # OpenCV is given no name: it crashes at one that is no UTF-8.
    if not suffix.isascii() or not cv2.haveImageWriter(f'image{suffix}'):
        raise OSError(f'{path} cannot be written, as {suffix!r} is no suffix of an image format.')
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.exists(folder):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
    _, data = cv2.imencode(suffix, image)
    write_whole(path, data.tobytes())
