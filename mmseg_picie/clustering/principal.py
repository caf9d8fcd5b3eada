"""A decoder to begin with: the principal components of what the backbone gives."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..device_limits import to_float64


class Moments(NamedTuple):
    """Sums over pixels of stacked levels; those of a union of images are their sums.

    Attributes:
        pixels (Tensor): scalar float64, how many they are.
        sums (Tensor): (C,) float64.
        products (Tensor): (C, C) float64, sum of the outer products of a pixel with itself.
    """

    pixels: Tensor
    sums: Tensor
    products: Tensor


class Projection(NamedTuple):
    """A linear map of stacked levels to D channels.

    Attributes:
        weight (Tensor): (D, C) float32.
        bias (Tensor): (D,) float32.
    """

    weight: Tensor
    bias: Tensor


def moments(points: Tensor) -> Moments:
    """Sums of points.

    Args:
        points (Tensor): (P, C).

    Returns:
        Moments: on the device of the points, or on the CPU if it has no float64.
    """
    points = to_float64(points)
    return Moments(points.new_full((), len(points)), points.sum(0), points.T @ points)


def principal_projection(found: Moments, channels: Sequence[int], size: int) -> Projection:
    r"""Project to the leading principal components of levels that weigh the same.

    Each level is centred, and scaled so that its variance, summed over its channels, is 1: a level
    of large numbers must not be all that counts. Rows of the result are the leading eigenvectors of
    the covariance of all channels (Pearson 1901), so distances are kept as well as ``size``
    channels can.

    Args:
        found (Moments): over pixels of the levels, stacked along channels.
        channels (Sequence[int]): channels of each level, which sum to C.
        size (int): D, at most C.

    Returns:
        Projection: of centred levels; the bias holds minus the projected mean.

    Raises:
        ValueError: If D is larger than C, or a level does not vary.
    """
    if size > len(found.sums):
        raise ValueError(
            f'a decoder of {size} channels has no principal components to begin with, as the '
            f'levels of the backbone have {len(found.sums)} channels together; set out_channels '
            'of the neck and in_channels of the heads to at most as many.'
        )
    pixels, sums, products = (part.cpu() for part in found)
    mean = sums / pixels
    covariance = products / pixels - torch.outer(mean, mean)
    variances = [part.sum() for part in covariance.diagonal().split(list(channels))]
    for level, variance in enumerate(variances):
        if not variance > 0:
            fault = 'not finite' if variance.isnan() else 'constant'
            raise ValueError(
                f'level {level} of the backbone is {fault} over all pixels, so it has no principal '
                'components; check its weights.'
            )
    pairs = zip(variances, channels, strict=True)
    scale = torch.cat([variance.rsqrt().expand(number) for variance, number in pairs])
    _, vectors = torch.linalg.eigh(covariance * torch.outer(scale, scale))  # ascending
    leading = vectors.flip(1)[:, :size].T
    # Of a vector and its negative, that whose largest entry is positive.
    largest = leading.gather(1, leading.abs().argmax(1, keepdim=True))
    weight = leading * largest.sign() * scale
    return Projection(weight.float(), -(weight @ mean).float())
