"""Pictures and label maps as text that goes into a page."""

import base64
import io
import zlib
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: A cluster lies where more of it is.
MOST = 0.55
# Qualities that are tried in turn, until a picture is small enough.
_QUALITIES = (82, 70, 55, 40)
# Colour of places that a cluster covers; how often is told by the opacity.
_INK = (0, 114, 178)


def fit_within(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """The size of an image whose longer side has at most so many pixels.

    Args:
        shape (tuple[int, ...]): (H, W, ...).
        side (int): at least 1.

    Returns:
        tuple[int, int]: height and width, each at least 1; those of the image if it is smaller.
    """
    height, width = shape[:2]
    scale = min(1.0, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def to_size(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a picture, with care for detail when it becomes smaller.

    Args:
        image (NDArray): (H, W, 3), uint8.
        size (tuple[int, int]): height and width.
    """
    if image.shape[:2] == size:
        return image
    smaller = size[0] * size[1] < image.shape[0] * image.shape[1]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=way), np.uint8)


def encode_jpeg(image: NDArray[np.uint8], max_bytes: int) -> str:
    """A JPEG as a data URI.

    Args:
        image (NDArray): (H, W, 3) BGR, uint8.
        max_bytes (int): that the text may have; its quality, and then its size in pixels, is
            lowered until it fits.
    """
    while True:
        for quality in _QUALITIES:
            options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
            content = cv2.imencode('.jpg', image, options)[1].tobytes()
            if len(content) * 4 // 3 <= max_bytes or min(image.shape[:2]) < 32:
                return _to_uri('image/jpeg', content)
        height, width = image.shape[:2]
        image = to_size(image, (height * 2 // 3, width * 2 // 3))


class Segments(NamedTuple):
    """Clusters of an image as :class:`.facts.ImageFacts` holds them.

    Attributes:
        text (str): the compressed clusters.
        width (int): pixels.
        height (int): pixels.
    """

    text: str
    width: int
    height: int


def encode_segments(clusters: NDArray, num_clusters: int, max_bytes: int) -> Segments:
    """Compress the clusters of an image.

    Args:
        clusters (NDArray): (H, W) in [0, K).
        num_clusters (int): K.
        max_bytes (int): that the text may have; the map is made smaller until it fits.
    """
    kind = np.dtype('<u2' if num_clusters > 256 else 'u1')
    clusters = clusters.astype(kind)
    while True:
        text = base64.b64encode(zlib.compress(clusters.tobytes(), 6)).decode()
        height, width = clusters.shape
        if len(text) <= max_bytes or min(height, width) < 32:
            return Segments(text, width, height)
        size = (width * 2 // 3, height * 2 // 3)
        clusters = cv2.resize(clusters, size, interpolation=cv2.INTER_NEAREST_EXACT)


def encode_places(shares: NDArray) -> str:
    """How often a cluster covers each place of an image, as the data URI of a small picture.

    Args:
        shares (NDArray): (rows, columns) at least 0; the largest is painted in full.
    """
    opacity = np.round(255 * shares / max(shares.max(), np.finfo(float).tiny))
    pixels = np.empty((*shares.shape, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = _INK, opacity
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'PNG', optimize=True)
    return _to_uri('image/png', file.getvalue())


def describe_places(shares: NDArray) -> str:
    """Where in an image a cluster lies, in words.

    Args:
        shares (NDArray): (rows, columns) at least 0, not all 0.

    Returns:
        str: the third of the height and that of the width that hold at least :data:`MOST` of it,
            such as 'bottom' or 'top, left'; 'all over' if there are none.
    """
    words = []
    for axis, names in ((1, ('top', 'middle', 'bottom')), (0, ('left', 'centre', 'right'))):
        thirds = [third.sum() for third in np.array_split(shares.sum(axis), 3)]
        if max(thirds) >= MOST * sum(thirds):
            words.append(names[int(np.argmax(thirds))])
    return ', '.join(words) or 'all over'


def _to_uri(kind: str, content: bytes) -> str:
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'
