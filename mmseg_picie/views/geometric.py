"""Apply one geometric draw to an image and to a feature map, in one continuous coordinate system.

Pixel i of n covers the interval [i / n, (i + 1) / n] of its axis, whatever n is. So the crop of an
image and the crop of a feature map computed from that image show the same part of the scene,
exactly, at any pair of resolutions. Sampling is bilinear without smoothing; outside the map, its
border counts.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .params import GeometricDraw

Size = tuple[int, int]


#: How many times longer a covering image may be than what it covers.
MAX_COVER = 32


def cover(image: NDArray, size: Size, nearest: bool = False, exact: bool = False) -> NDArray:
    """Resize to the smallest size that covers ``size``, keeping the aspect, and crop the centre.

    Args:
        image (NDArray): (H, W) or (H, W, 3) uint8, of any size; smaller ones are enlarged.
        size (Size): (height, width) of the result.
        nearest (bool): take the nearest pixel (label maps) instead of the bilinear filter.
        exact (bool): as of :func:`resize`.

    Returns:
        NDArray: (height, width) or (height, width, 3) uint8.
    """
    height, width = cover_size(image.shape[:2], size)
    image = resize(image, (height, width), nearest, exact)
    top, left = round((height - size[0]) / 2), round((width - size[1]) / 2)
    return image[top : top + size[0], left : left + size[1]]


def cover_size(shape: Size, size: Size) -> Size:
    """Smallest (height, width) with the aspect of ``shape`` (rounded down) that covers ``size``.

    A side is at most :data:`MAX_COVER` times the longer one of ``size``: a strip of thousands of
    pixels by a few is squeezed, as it would take gigabytes otherwise.
    """
    longest = MAX_COVER * max(size)
    if size[0] * shape[1] > size[1] * shape[0]:
        return size[0], min(max(size[1], size[0] * shape[1] // shape[0]), longest)
    return min(max(size[0], size[1] * shape[0] // shape[1]), longest), size[1]


def resize(image: NDArray, size: Size, nearest: bool = False, exact: bool = False) -> NDArray:
    """Resize to (height, width): bilinear with smoothing where it shrinks, or nearest.

    The bilinear filter is Pillow's, computed by torch in uint8. That takes a quarter of the time,
    and few values differ (of photographs less than one in a hundred), by one grey level.

    Args:
        image (NDArray): (H, W) or (H, W, 3) uint8.
        size (Size): (height, width).
        nearest (bool): nearest pixel instead of bilinear.
        exact (bool): whether Pillow itself resizes, so that every value is its own.

    Returns:
        NDArray: (height, width) or (height, width, 3) uint8.
    """
    if image.shape[:2] == tuple(size):
        return image
    if nearest or exact:
        method = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
        # A copy, as Pillow's memory is read-only.
        return np.array(Image.fromarray(image).resize((size[1], size[0]), method))
    batch = torch.from_numpy(_contiguous(image).reshape(1, *image.shape[:2], -1))
    # Channels last in memory, before and after.
    resized = F.interpolate(batch.permute(0, 3, 1, 2), tuple(size), mode='bilinear', antialias=True)
    return resized.permute(0, 2, 3, 1).numpy().reshape(*size, *image.shape[2:])


def _contiguous(image: NDArray) -> NDArray:
    """The image in rows without gaps; what Pillow's decoder gives is RGB turned around."""
    if image.ndim == 3 and image.shape[2] == 3 and image[..., ::-1].flags.c_contiguous:
        return cv2.cvtColor(image[..., ::-1], cv2.COLOR_RGB2BGR)  # faster than numpy's copy
    return np.ascontiguousarray(image)


def crop_flip_image(image: NDArray, draw: GeometricDraw, size: Size) -> NDArray:
    """Crop, resize and flip an image.

    Args:
        image (NDArray): (H, W, C) uint8 or float32.
        draw (GeometricDraw): crop and flips, in fractions of the image.
        size (Size): (height, width) of the result.

    Returns:
        NDArray: (height, width, C) of the image's dtype; uint8 values are rounded.
    """
    # One affine map for each axis, from output pixels to pixels of the image.
    axes = (draw.top, draw.height, draw.vflip), (draw.left, draw.width, draw.hflip)
    (row_step, row), (column_step, column) = (
        _affine(*axis, in_size, out_size)
        for axis, in_size, out_size in zip(axes, image.shape[:2], size, strict=True)
    )
    matrix = np.array([[column_step, 0, column], [0, row_step, row]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    result = cv2.warpAffine(image, matrix, size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return result.reshape(*size, *image.shape[2:])  # OpenCV drops a single channel


def _affine(
    start: float, length: float, flip: bool, in_size: int, out_size: int
) -> tuple[float, float]:
    """Step and offset of the position, in pixels of the image, of each output pixel's centre."""
    step = length * in_size / out_size
    if flip:
        return -step, (start + length) * in_size - 0.5 - step / 2
    return step, start * in_size - 0.5 + step / 2


def crop_flip_features(features: Tensor, draws: Sequence[GeometricDraw], size: Size) -> Tensor:
    """Crop, resize and flip feature maps, each by its own draw. Differentiable.

    Rows and columns are resampled by one small matrix each, so that the gradient is a matrix
    product as well: the same on every run, on a GPU too.

    Args:
        features (Tensor): (N, D, H, W) maps of N whole images.
        draws (Sequence[GeometricDraw]): N draws, in fractions of the image.
        size (Size): (height, width) of the result.

    Returns:
        Tensor: (N, D, height, width).

    Raises:
        ValueError: If there are not N draws.
    """
    if len(draws) != len(features):
        raise ValueError(f'{len(features)} feature maps need as many draws, but got {len(draws)}.')
    num, depth, height, width = features.shape
    rows, columns = (
        _resampling_matrices(*_taps(*axis, in_size, out_size), in_size).to(features)
        for axis, in_size, out_size in zip(_axes(draws), (height, width), size, strict=True)
    )
    # Channels last, so that each product is over long rows of contiguous values.
    maps = features.permute(0, 2, 3, 1)
    maps = (rows @ maps.reshape(num, height, width * depth)).view(num, size[0], width, depth)
    return (columns[:, None] @ maps).permute(0, 3, 1, 2)


Axis = tuple[Tensor, Tensor, Tensor]


def _axes(draws: Sequence[GeometricDraw]) -> tuple[Axis, Axis]:
    """Start, length and flip of the N crops, (N, 1) each, along the rows and along the columns."""
    table = torch.tensor(
        [(d.top, d.height, d.vflip, d.left, d.width, d.hflip) for d in draws], dtype=torch.float64
    )
    row_start, row_length, vflip, column_start, column_length, hflip = table.split(1, dim=1)
    return (row_start, row_length, vflip), (column_start, column_length, hflip)


def _taps(
    start: Tensor, length: Tensor, flip: Tensor, in_size: int, out_size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The two pixels, and the second one's weight, that each output position is mixed from.

    Returns (N, out_size) lower index, upper index (int64) and weight (float64).
    """
    centres = (torch.arange(out_size, dtype=torch.float64) + 0.5) / out_size
    centres = torch.where(flip.bool(), 1 - centres, centres)
    positions = ((start + centres * length) * in_size - 0.5).clamp(0, in_size - 1)
    low = positions.floor()
    return low.long(), (low.long() + 1).clamp(max=in_size - 1), positions - low


def _resampling_matrices(low: Tensor, high: Tensor, weight: Tensor, in_size: int) -> Tensor:
    """(N, out_size, in_size) matrices that apply the taps to a column of ``in_size`` values."""
    matrices = torch.zeros(*low.shape, in_size, dtype=weight.dtype)
    matrices.scatter_add_(2, low[..., None], 1 - weight[..., None])
    return matrices.scatter_add_(2, high[..., None], weight[..., None])
