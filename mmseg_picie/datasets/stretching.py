"""Turn levels of more than 8 bits into 8, by a stated rule.

A camera's 8 bits say what is black and what is white. Numbers of 16 or 32 bits, of microscopes,
satellites and heights, do not, so somebody has to.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: What may become black and white: nothing, so that such images are refused; the lowest and highest
#: number of the type; or, in each image and channel, the levels that 2 % are below and above.
STRETCHES = ('none', 'full', 'percentile')
_PERCENTS = (2, 98)
#: Pixels that percentiles are taken of at most, on a regular grid.
_MOST_PIXELS = 1 << 22


class Limits(NamedTuple):
    """Levels that become black and white.

    Attributes:
        low (NDArray): (C,) float64.
        high (NDArray): (C,) likewise, above ``low``.
    """

    low: NDArray
    high: NDArray


def check_stretch(stretch: str) -> None:
    """Refuse a word that names no rule.

    Args:
        stretch (str): one of :data:`STRETCHES`.

    Raises:
        ValueError: If it is another.
    """
    if stretch not in STRETCHES:
        raise ValueError(f'stretch must be one of {", ".join(STRETCHES)}, but got {stretch!r}.')


def sampling_step(height: int, width: int) -> int:
    """Rows, and columns, from one pixel that percentiles are taken of to the next."""
    return max(1, math.ceil(math.sqrt(height * width / _MOST_PIXELS)))


def check_levels(name: str, kind: np.dtype) -> None:
    """Refuse numbers that have no order.

    Args:
        name (str): of the image.
        kind (dtype): of its numbers.

    Raises:
        ValueError: If they are complex, for example.
    """
    if kind.kind not in 'iuf':
        raise ValueError(
            f'image {name} must hold whole or floating-point numbers, but holds {kind}; save what '
            'is to be seen of them, such as their amplitude.'
        )


def find_limits(sample: NDArray, stretch: str, name: str = 'in memory') -> Limits:
    """Find what becomes black and white.

    Args:
        sample (NDArray): (..., C) pixels of the image, every :func:`sampling_step`-th.
        stretch (str): 'full' or 'percentile'.
        name (str): of the image, for messages.

    Returns:
        Limits: for each channel. Numbers that are not finite do not count.

    Raises:
        ValueError: As of :func:`check_levels`, or if 'full' is asked for of floating-point
            numbers, which have no range.
    """
    check_levels(name, sample.dtype)
    channels = sample.shape[-1]
    if stretch == 'full':
        if sample.dtype.kind == 'f':
            raise ValueError(
                f"stretch='full' needs whole numbers, but image {name} has {sample.dtype}, which "
                "has no lowest and highest level; use 'percentile'."
            )
        info = np.iinfo(sample.dtype)
        return Limits(np.full(channels, float(info.min)), np.full(channels, float(info.max)))
    pairs = []
    for channel in range(channels):
        levels = sample[..., channel].ravel()
        levels = levels[np.isfinite(levels)]
        pair = np.percentile(levels, _PERCENTS) if len(levels) else np.array([0.0, 1.0])
        pairs.append((pair[0], pair[1] if pair[1] > pair[0] else pair[0] + 1))
    low, high = np.array(pairs, dtype=np.float64).T
    return Limits(low, high)


def stretch_levels(levels: NDArray, limits: Limits) -> NDArray[np.uint8]:
    """Map levels linearly to 0 to 255; those beyond the limits become black or white.

    Args:
        levels (NDArray): (..., C); what is no number becomes black.
        limits (Limits): of :func:`find_limits`.

    Returns:
        NDArray: of the same shape.
    """
    scale = 255 / (limits.high - limits.low)
    shades = (levels - limits.low.astype(np.float32)) * scale.astype(np.float32)
    return np.nan_to_num(shades, nan=0).clip(0, 255).round().astype(np.uint8)


def explain_refusal(name: str, kind: str) -> str:
    """What is said of an image of more than 8 bits that no rule is given for.

    Args:
        name (str): file.
        kind (str): of its levels.
    """
    return (
        f'image {name} must have levels from 0 to 255 (8 bits a channel), but its mode is '
        f'{kind!r}; say how its levels are to be seen, by --stretch percentile or full (in a '
        "config: stretch='percentile' of LoadImageFromFile), or convert it."
    )
