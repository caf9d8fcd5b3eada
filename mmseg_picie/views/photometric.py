"""Apply a photometric draw to an image (HWC uint8 BGR).

The operations are Pillow's and torchvision's in meaning, done by OpenCV: a table look-up for
brightness and contrast, a blend with grey for saturation, a shift of H in HSV for hue.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from .params import PhotometricDraw

Image = NDArray  # uint8; OpenCV's own annotations are no narrower

_LEVELS = np.arange(256, dtype=np.float32)


def apply_photometric(image: Image, draw: PhotometricDraw) -> Image:
    """Apply brightness, contrast, saturation, hue, grayscale and blur, in this order.

    Args:
        image (NDArray): (H, W, 3) uint8 BGR; left unchanged.
        draw (PhotometricDraw): what to apply.

    Returns:
        NDArray: (H, W, 3) uint8 BGR.
    """
    if draw.brightness is not None:
        image = adjust_brightness(image, draw.brightness)
    if draw.contrast is not None:
        image = adjust_contrast(image, draw.contrast)
    if draw.saturation is not None:
        image = adjust_saturation(image, draw.saturation)
    if draw.hue is not None:
        image = shift_hue(image, draw.hue)
    if draw.grayscale:
        image = to_grayscale(image)
    if draw.blur_sigma is not None:
        image = gaussian_blur(image, draw.blur_sigma)
    return image


def adjust_brightness(image: Image, factor: float) -> Image:
    """Multiply every value by ``factor`` (>= 0) and clip."""
    return cv2.LUT(image, _to_uint8(_LEVELS * factor))


def adjust_contrast(image: Image, factor: float) -> Image:
    """Move every value away from (or towards) the mean grey level by ``factor`` (>= 0)."""
    mean = np.floor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).mean() + 0.5)
    return cv2.LUT(image, _to_uint8(mean + factor * (_LEVELS - mean)))


def adjust_saturation(image: Image, factor: float) -> Image:
    """Move every pixel away from (or towards) its own grey by ``factor`` (>= 0)."""
    return cv2.addWeighted(image, factor, to_grayscale(image), 1 - factor, 0)


def shift_hue(image: Image, turns: float) -> Image:
    """Turn the hue of every pixel by ``turns`` of the colour circle, in [-0.5, 0.5]."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV_FULL)
    # H has 256 steps a turn here, so the sum wraps as uint8 does.
    hsv[..., 0] += np.uint8(int(turns * 255) % 256)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL)


def to_grayscale(image: Image) -> Image:
    """Replace every pixel by its luma (ITU-R 601), kept in three equal channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def gaussian_blur(image: Image, sigma: float) -> Image:
    """Blur with a Gaussian of standard deviation ``sigma`` (> 0) pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def _to_uint8(values: NDArray) -> Image:
    return np.clip(values, 0, 255).astype(np.uint8)
