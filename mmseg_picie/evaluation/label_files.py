"""Write predictions as label maps."""

import errno
import os

import cv2
import numpy as np
from numpy.typing import NDArray

from ..clustering import UNMATCHED
from ..whole_files import write_whole


def no_class_id(count: int) -> int:
    """Id of pixels without a class, in label maps of so many ids: the largest that fits."""
    return 255 if count <= 255 else 65535


def to_label_ids(clusters: NDArray, cluster_to_class: NDArray | None, num_clusters: int) -> NDArray:
    """Ids to write for a map of clusters.

    Args:
        clusters (NDArray): (H, W) clusters in [0, K).
        cluster_to_class (NDArray, optional): (K,) class of each cluster, -1 where unknown.
        num_clusters (int): K, up to 65,535.

    Returns:
        NDArray: (H, W). Class ids, and :func:`no_class_id` for unmatched clusters, if any class is
            known; cluster ids otherwise. uint8 if all ids that there may be fit, else uint16.
    """
    if cluster_to_class is None or (cluster_to_class == UNMATCHED).all():
        return clusters.astype(np.uint8 if num_clusters <= 256 else np.uint16, copy=False)
    count = int(cluster_to_class.max()) + 1
    table = np.where(cluster_to_class == UNMATCHED, no_class_id(count), cluster_to_class)
    return table.astype(np.uint8 if count <= 255 else np.uint16)[clusters]


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
