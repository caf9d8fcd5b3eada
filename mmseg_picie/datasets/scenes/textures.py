"""Noise, colours, and textures of sky and ground of the synthetic outdoor scenes.

Everything here is a pure function of its arguments and of the generator handed in. Colours are RGB
floats in which 1.0 is white under neutral light; sizes are in pixels unless a name ends in ``_m``
(metres).
"""

from dataclasses import dataclass

import cv2
import numpy as np

# Base colours (hex RGB) from which a region's colour is mixed. The ranges of different classes
# overlap on purpose: raw colour must not tell the class.
_ANCHOR_CODES = {
    'water': '3c6ea5 4b7d6e 8c969b 827058 2d3e50 afbec8',
    'grass': '558237 91964b bea870 7a643e 304a28 9ea8a0',
    'sand': 'd4bc91 a09b92 ba8656 e2dccd 58504a 828060',
    'road': '3e3e42 767678 b6b2aa 9c7e60 606a7a d2cdc4',
    'building': '964e3a 8c8c8e e0dcd4 ceb48c c4964e 46464c 5c7894 7a8c6c',
    'roof': '783c30 505056 968c82 3c4248 6e5a3c',
    'tree': '3e642a 223a22 ba9c3a 865a2e 96422c 788068',
    'skin': 'ebc3a5 be8c69 78523c 50362a',
}
_ANCHORS: dict[str, np.ndarray] = {
    name: np.array([list(bytes.fromhex(code)) for code in codes.split()], np.float32) / 255
    for name, codes in _ANCHOR_CODES.items()
}


@dataclass(frozen=True, eq=False)
class View:
    """Where the camera stands; places and sizes of everything on the ground follow from it.

    Attributes:
        height: Rows of the image.
        width: Columns of the image.
        horizon: Row of the horizon, in (0, height).
        camera_m: Height of the camera above the ground in metres.
        vanish: Column of the vanishing point.
        unit: Pixels that count as one when the shorter side is 160; texture scales with it.
        tile: (128, 128) float32 standard normal noise, the raw material of ground textures.
    """

    height: int
    width: int
    horizon: float
    camera_m: float
    vanish: float
    unit: float
    tile: np.ndarray

    def scale(self, row: np.ndarray | float) -> np.ndarray:
        """Pixels per metre at the depth at which the ground is seen in ``row``."""
        return np.maximum(np.asarray(row, np.float32) - self.horizon, 0.5) / self.camera_m

    def distance(self, row: np.ndarray | float) -> np.ndarray:
        """Distance of the ground seen in ``row`` for the fog: 0 at the camera, 1 the horizon."""
        share = (self.height - np.asarray(row, np.float32)) / (self.height - self.horizon)
        return np.clip(share, 0, 1) ** 2


def mix_anchors(rng: np.random.Generator, name: str) -> np.ndarray:
    """Draw a base colour: a mix of two anchors of ``name``, plus jitter; (3,) float32 in (0, 1]."""
    first, second = _ANCHORS[name][rng.integers(len(_ANCHORS[name]), size=2)]
    colour = first + np.float32(rng.uniform(0, 0.5)) * (second - first)
    return np.clip(colour + rng.normal(0, 0.035, 3), 0.02, 1).astype(np.float32)


def soft_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """Smooth noise, ``cells`` random values along the longer side and a finer octave.

    Returns:
        (height, width) float32, about N(0, 0.8).
    """
    total = np.zeros((height, width), np.float32)
    for octave, weight in ((1, 0.8), (3, 0.4)):
        per_cell = max(height, width) / (cells * octave)
        grid = (max(2, round(height / per_cell) + 1), max(2, round(width / per_cell) + 1))
        small = rng.standard_normal(grid, dtype=np.float32) * np.float32(weight)
        total += cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return total


def soft_line(rng: np.random.Generator, length: int, cells: int) -> np.ndarray:
    """One-dimensional ``soft_noise`` with a third octave: irregular borders; (length,) float32."""
    at = np.linspace(0, 1, length)
    total = np.zeros(length)
    for octave, weight in ((1, 0.8), (3, 0.3), (9, 0.15)):
        knots = rng.standard_normal(cells * octave + 2)
        total += weight * np.interp(at, np.linspace(0, 1, len(knots)), knots)
    return total.astype(np.float32)


def plane_noise(
    view: View, top: int, size_m: float, aspect: float, finest: float, shift: float
) -> np.ndarray:
    """Noise on the ground, from row ``top`` to the last, finer toward the horizon.

    Args:
        view: The camera.
        top: First row.
        size_m: Width of one grain in metres.
        aspect: Height of a grain over its width, as seen: above 1 blades, below 1 ripples.
        finest: Least width of a grain in units of ``view.unit``.
        shift: Where in the noise tile to start; separates one use of the tile from the next.

    Returns:
        (H - top, W) float32, about N(0, 1) where grains are larger than pixels.
    """
    least = finest * view.unit
    grain = np.maximum(view.scale(np.arange(top, view.height)) * np.float32(size_m), least)
    if aspect > 1:
        # Sizes in steps keep blades upright; a smooth change would lean them away from the
        # vanishing point, as if they were painted on the ground.
        grain = least * 1.3 ** np.round(np.log(grain / least) / np.log(1.3))
    columns = np.arange(view.width, dtype=np.float32) - view.vanish
    across = (columns[None] / grain[:, None] + shift).astype(np.float32)
    along = (np.cumsum(1 / (grain * aspect)) + 2.7 * shift).astype(np.float32)
    along = np.repeat(along[:, None], view.width, axis=1)
    return cv2.remap(view.tile, across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def blend(dark: np.ndarray, bright: np.ndarray, mix: np.ndarray) -> np.ndarray:
    """Colours between two (3,) ends; ``mix`` (h, w) is clipped to [0, 1]; (h, w, 3) float32."""
    mix = np.clip(mix, 0, 1).astype(np.float32, copy=False)
    # Plane by plane: many times faster than broadcasting over a last axis of three.
    ends = zip(dark.tolist(), bright.tolist(), strict=True)
    return cv2.merge([mix * (high - low) + low for low, high in ends])


def water_texture(rng: np.random.Generator, view: View, top: int, sky: np.ndarray) -> np.ndarray:
    """Horizontal ripples that mirror the colour ``sky`` (3,), with glints; (H - top, W, 3)."""
    shift = rng.uniform(0, 128, 2)
    waves = plane_noise(view, top, rng.uniform(0.8, 2.0), 0.13, 5.0, shift[0])
    waves += 0.7 * plane_noise(view, top, 0.5, 0.2, 2.5, shift[1])
    base = mix_anchors(rng, 'water')
    mirrored = rng.uniform(0.1, 0.7)
    bright = (1 - mirrored) * base * 1.25 + mirrored * sky
    depth = np.linspace(0.25, -0.1, view.height - top, dtype=np.float32)[:, None]
    image = blend(base * 0.6, bright, 0.5 + depth + rng.uniform(0.2, 0.38) * waves)
    if rng.random() < 0.6:
        image[waves > rng.uniform(1.7, 2.3)] = np.minimum(1.0, sky * 0.5 + 0.55)
    return image


def grass_texture(rng: np.random.Generator, view: View, top: int) -> np.ndarray:
    """Fine upright blades, tufts and fields of another colour; (H - top, W, 3) float32."""
    shift = rng.uniform(0, 128, 3)
    blades = plane_noise(view, top, rng.uniform(0.03, 0.06), 3.5, 0.9, shift[0])
    tufts = plane_noise(view, top, 0.3, 1.1, 2.5, shift[1])
    fields = plane_noise(view, top, 3.0, 0.3, 14.0, shift[2])
    base = mix_anchors(rng, 'grass')
    other = np.clip(mix_anchors(rng, 'grass') / base, 0.6, 1.6)
    image = blend(base * 0.5, base * 1.3, 0.55 + rng.uniform(0.24, 0.36) * blades + 0.12 * tufts)
    return image * blend(np.ones(3), other, 0.35 + 0.4 * fields)


def sand_texture(rng: np.random.Generator, view: View, top: int) -> np.ndarray:
    """Fine speckle on soft dunes, with pebbles; (H - top, W, 3) float32."""
    shift = rng.uniform(0, 128, 2)
    dunes = plane_noise(view, top, 1.5, 0.35, 10.0, shift[0])
    # One grain is about one pixel at every depth: sand never resolves into larger shapes.
    speckle = plane_noise(view, top, 0.0, 1.0, 0.9, shift[1])
    base = mix_anchors(rng, 'sand')
    tone = 0.55 + 0.12 * dunes + rng.uniform(0.08, 0.16) * speckle
    tone[speckle < -rng.uniform(2.0, 2.8)] = 0
    return blend(base * 0.6, base * 1.22, tone)


def road_texture(rng: np.random.Generator, view: View, top: int) -> np.ndarray:
    """Smooth surface with faint stains, without lane marks; (H - top, W, 3) float32."""
    stains = plane_noise(view, top, 2.5, 0.4, 16.0, rng.uniform(0, 128))
    base = mix_anchors(rng, 'road')
    return blend(base * 0.8, base * 1.1, 0.5 + rng.uniform(0.08, 0.25) * stains)


def sky_texture(
    rng: np.random.Generator, rows: int, width: int, ends: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Smooth gradient between two (3,) colours, top and horizon, with clouds; (rows, width, 3)."""
    gradient = np.linspace(0, 1, rows, dtype=np.float32) ** np.float32(rng.uniform(0.6, 1.8))
    image = blend(*ends, np.repeat(gradient[:, None], width, axis=1))
    # Clouds are wide: every second row of noise for a sky of twice the height.
    clouds = soft_noise(rng, 2 * rows, width, int(rng.integers(3, 8)))[::2] + rng.uniform(-1.2, 0.8)
    bright = np.clip(ends[1] * rng.uniform(0.75, 1.15) + rng.uniform(-0.05, 0.2), 0.03, 1.1)
    alpha = np.clip(clouds * 0.7, 0, 1) * np.float32(rng.uniform(0.3, 0.95))
    return image * cv2.merge([1 - alpha] * 3) + blend(np.zeros(3), bright, alpha)
