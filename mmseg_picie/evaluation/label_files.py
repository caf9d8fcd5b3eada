"""Write predictions as label maps."""

import errno
import os

import cv2
import numpy as np
from numpy.typing import NDArray

from ..clustering import UNMATCHED
from ..whole_files import write_whole

#: Id of pixels of unmatched clusters in label maps of class ids.
NO_CLASS = 255


def to_label_ids(clusters: NDArray, cluster_to_class: NDArray | None) -> NDArray[np.uint8]:
    """Ids to write for a map of clusters.

    Args:
        clusters (NDArray): (H, W) clusters in [0, K), K <= 256.
        cluster_to_class (NDArray, optional): (K,) class of each cluster, -1 where unknown.

    Raises:
        ValueError: If a cluster does not fit into 8 bits.

    Returns:
        NDArray: (H, W) uint8. Class ids, and :data:`NO_CLASS` for unmatched clusters, if any class
            is known; cluster ids otherwise.
    """
    if cluster_to_class is None or (cluster_to_class == UNMATCHED).all():
        if clusters.max(initial=0) > 255:
            raise ValueError(
                f'a label map holds ids up to 255, but got cluster {clusters.max()}; use a model '
                'with at most 256 clusters, or one that knows the classes of its clusters.'
            )
        return clusters.astype(np.uint8)
    table = np.where(cluster_to_class == UNMATCHED, NO_CLASS, cluster_to_class)
    return table[clusters].astype(np.uint8)


def write_image(path: str, image: NDArray[np.uint8]) -> None:
    """Write an image, complete or not at all.

    Args:
        path (str): file to write, in a folder that exists; its suffix gives the format.
        image (NDArray): (H, W) grey or (H, W, 3) BGR, uint8.

    Raises:
        OSError: If it cannot be written.
    """
    suffix = os.path.splitext(path)[1]
    if not cv2.haveImageWriter(os.path.basename(path)):
        raise OSError(f'{path} cannot be written, as {suffix!r} is no suffix of an image format.')
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.exists(folder):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
    _, data = cv2.imencode(suffix, image)
    write_whole(path, data.tobytes())
