"""Find images that show the same picture, without comparing each with each."""

from collections import defaultdict

import cv2
import numpy as np
from numpy.typing import NDArray

#: Side in pixels of the small grey image that a fingerprint is made of.
SIDE = 32
#: Bits of 64 in which the fingerprints of the same picture may differ.
MAX_BITS = 4
#: Mean difference of the looks of the same picture, in grey levels of 256.
MAX_LEVELS = 6.0
# Side of the block of low frequencies, and of the look that is compared as well.
_LOW, _LOOK = 8, 16


def fingerprint(grey: NDArray[np.uint8]) -> np.uint64:
    """Signs of the low frequencies of an image: alike after scaling, saving again, brightening.

    Each bit says whether a coefficient of the discrete cosine transform, of the lowest 8 x 8, is
    above their median.

    Args:
        grey (NDArray): (32, 32) uint8 grey levels of the whole image.

    Returns:
        np.uint64: 64 bits.
    """
    low = cv2.dct(grey.astype(np.float32))[:_LOW, :_LOW].ravel()
    return np.packbits(low > np.median(low[1:])).view('>u8')[0].astype(np.uint64)


def shrink_look(grey: NDArray[np.uint8]) -> NDArray[np.int8]:
    """What is kept of an image to confirm that another one is alike, whatever its brightness.

    Args:
        grey (NDArray): (32, 32) uint8.

    Returns:
        NDArray: (256,) int8, half of the grey levels of 16 x 16 pixels above their mean.
    """
    half = SIDE // _LOOK
    blocks = grey.reshape(_LOOK, half, _LOOK, half).mean((1, 3)).ravel()
    return ((blocks - blocks.mean()) / 2).round().astype(np.int8)


def group_alike(
    fingerprints: NDArray[np.uint64], looks: NDArray[np.int8]
) -> list[NDArray[np.int64]]:
    """Groups of images that show the same picture.

    An image joins the first of an earlier group if their fingerprints differ in at most
    :data:`MAX_BITS` bits and their looks by at most :data:`MAX_LEVELS`. Such fingerprints agree in
    at least one of ``MAX_BITS + 1`` parts, so only images that share a part are compared.

    Args:
        fingerprints (NDArray): (n,) of :func:`fingerprint`.
        looks (NDArray): (n, 256) of :func:`shrink_look`.

    Returns:
        list[NDArray]: for each group of two or more the numbers of its images, ascending.
    """
    parts = _split(fingerprints)
    firsts: dict[tuple[int, int], list[int]] = defaultdict(list)
    groups: dict[int, list[int]] = {}
    for index, keys in enumerate(parts.tolist()):
        places = list(enumerate(keys))
        near = np.array(sorted({first for place in places for first in firsts[place]}), np.int64)
        bits = np.bitwise_count(fingerprints[near] ^ fingerprints[index])
        near = near[bits <= MAX_BITS]
        levels = 2 * np.abs(looks[near].astype(np.int16) - looks[index]).mean(1)
        near = near[levels <= MAX_LEVELS]
        if len(near):
            groups[int(near[0])].append(index)
            continue
        groups[index] = [index]
        for place in places:
            firsts[place].append(index)
    return [np.array(group) for group in groups.values() if len(group) > 1]


def _split(fingerprints: NDArray[np.uint64]) -> NDArray[np.int64]:
    """(n, parts) numbers that the bits of each part make; neighbouring bits go to other parts."""
    number = MAX_BITS + 1
    bits = np.unpackbits(fingerprints.astype('>u8').view(np.uint8).reshape(-1, 8), axis=1)
    parts = [bits[:, start::number].astype(np.int64) for start in range(number)]
    return np.stack([part @ (1 << np.arange(part.shape[1])) for part in parts], axis=1)
