"""Noise, colours, ground textures and drawn objects of the synthetic outdoor scenes.

Everything here is a pure function of its arguments and of the generator handed in. Colours are RGB
floats in which 1.0 is white under neutral light (a lamp may exceed it); sizes are in pixels unless
a name ends in ``_m`` (metres).

An object is drawn as a *part map*, a (h, w) uint8 array of indices into a small table of colours
where 0 means "not the object", so that its colour and its label share one outline.
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


def leaf_texture(rng: np.random.Generator, view: View, height: int, width: int) -> np.ndarray:
    """Leafy light and shade, brighter at the top; (height, width, 3) float32."""
    grain = view.unit * rng.uniform(1.4, 2.6)
    tone = np.repeat(np.linspace(0.62, 0.3, height, dtype=np.float32)[:, None], width, axis=1)
    for size, weight in ((grain, 0.3), (3 * grain, 0.22)):
        shape = max(2, round(height / size)), max(2, round(width / size))
        noise = rng.standard_normal(shape, dtype=np.float32) * np.float32(weight)
        tone += cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    base = mix_anchors(rng, 'tree')
    return blend(base * 0.3, base * 1.35, tone)


def _crown(rng: np.random.Generator, height: int, width: int, conifer: bool) -> np.ndarray:
    """Outline of a tree's crown: blobs, or a ragged cone; (height, width) bool."""
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1)[None]
    if conifer:
        field = 0.9 * y - np.abs(x) + 0.06 + 0.12 * np.sin(y * np.float32(rng.uniform(20, 40)))
    else:
        field = np.full((height, width), -1, np.float32)
        for _ in range(int(rng.integers(4, 8))):
            cx, cy, radius = rng.uniform((-0.5, 0.3, 0.3), (0.5, 0.7, 0.5)).astype(np.float32)
            blob = ((x - cx) / radius) ** 2 + ((y - cy) / (radius * np.float32(0.6))) ** 2
            np.maximum(field, 1 - blob, out=field)
    return field + 0.22 * soft_noise(rng, height, width, 9) > 0


def tree_patch(rng: np.random.Generator, view: View, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A tree of ``height`` pixels: outline (height, w) bool, colours (height, w, 3) float32."""
    conifer = rng.random() < 0.3
    width = max(4, round(height * (rng.uniform(0.35, 0.5) if conifer else rng.uniform(0.6, 1.0))))
    crown = round(height * (0.92 if conifer else rng.uniform(0.65, 0.8)))
    patch = np.empty((height, width, 3), np.float32)
    patch[:] = np.array((0.4, 0.3, 0.22), np.float32) * np.float32(rng.uniform(0.3, 1.2))
    mask = np.zeros((height, width), bool)
    trunk = max(1, round(0.05 * height))
    mask[crown // 2 :, (width - trunk) // 2 : (width - trunk) // 2 + trunk] = True
    leaves = _crown(rng, crown, width, conifer)
    np.copyto(patch[:crown], leaf_texture(rng, view, crown, width), where=leaves[..., None])
    mask[:crown] |= leaves
    return mask, patch


def person_parts(rng: np.random.Generator, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A standing or walking person.

    Args:
        rng: Source of pose, build and clothes.
        height: Height in pixels, at least 5.

    Returns:
        Part map (height, w) uint8 and colours (5, 3) float32: skin, shirt, trousers, hair.
    """
    width = max(3, round(0.5 * height))
    parts = np.zeros((height, width), np.uint8)
    build, stride = rng.uniform(0.85, 1.25), rng.uniform(0.02, 0.12)

    def at(x: float, y: float) -> tuple[int, int]:
        return round(width / 2 + x * height), round(y * (height - 1))

    limb = max(1, round(0.075 * height * build))
    for side in (-1, 1):
        cv2.line(parts, at(side * 0.04, 0.5), at(side * stride, 0.97), 3, limb)
        hand = at(side * rng.uniform(0.08, 0.2), rng.uniform(0.3, 0.52))
        cv2.line(parts, at(side * 0.09, 0.22), hand, 2, limb)
    shoulder, hip = 0.11 * build, 0.085 * build
    torso = [at(-shoulder, 0.17), at(shoulder, 0.17), at(hip, 0.54), at(-hip, 0.54)]
    cv2.fillConvexPoly(parts, np.array(torso, np.int32), 2)
    radius = max(1, round(0.075 * height))
    cv2.circle(parts, at(0, 0.09), radius, 1, -1)
    cv2.ellipse(parts, at(0, 0.07), (radius, max(1, radius * 2 // 3)), 0, 180, 360, 4, -1)
    colours = np.zeros((5, 3), np.float32)
    colours[1] = mix_anchors(rng, 'skin')
    colours[2:4] = rng.uniform(0.04, 0.95, (2, 1)) * rng.uniform(0.5, 1.0, (2, 3))
    colours[4] = np.array((0.35, 0.25, 0.15)) * rng.uniform(0.15, 1.6)
    return parts, colours


# A car as polygons in a square of side 100, wheels on the lower edge, drawn in this order. Parts:
# 1 paint, 2 glass, 3 tyre, 4 plate and hub, 5 lamp, 6 paint in the shade.
_CAR_SIDE = (
    (1, (0, 56, 4, 45, 97, 45, 100, 58, 99, 84, 1, 84)),
    (1, (22, 47, 34, 2, 78, 2, 92, 47)),
    (2, (28, 45, 37, 10, 75, 10, 87, 45)),
    (1, (53, 5, 56, 5, 56, 45, 53, 45)),
    (6, (1, 72, 99, 72, 99, 86, 1, 86)),
    (5, (0, 56, 5, 56, 5, 66, 0, 66)),
    (5, (95, 56, 100, 56, 100, 66, 95, 66)),
)
_CAR_END = (
    (3, (6, 70, 24, 70, 24, 100, 6, 100)),
    (3, (76, 70, 94, 70, 94, 100, 76, 100)),
    (1, (12, 45, 22, 2, 78, 2, 88, 45)),
    (2, (19, 42, 27, 10, 73, 10, 81, 42)),
    (1, (2, 50, 8, 42, 92, 42, 98, 50, 98, 85, 2, 85)),
    (6, (2, 72, 98, 72, 98, 86, 2, 86)),
    (4, (38, 66, 62, 66, 62, 76, 38, 76)),
    (5, (5, 52, 23, 52, 23, 62, 5, 62)),
    (5, (77, 52, 95, 52, 95, 62, 77, 62)),
)


def car_parts(rng: np.random.Generator, height: int, lit: bool) -> tuple[np.ndarray, np.ndarray]:
    """A car from the side, or from ahead or behind.

    Args:
        rng: Source of the side, the proportions and the paint.
        height: Height in pixels, at least 5.
        lit: Whether its lamps are on.

    Returns:
        Part map (height, w) uint8 and colours (7, 3) float32.
    """
    side = rng.random() < 0.6
    width = round(height * (rng.uniform(2.5, 3.1) if side else rng.uniform(1.15, 1.35)))
    parts = np.zeros((height, width), np.uint8)
    skew, belt = rng.uniform(-0.07, 0.07), rng.uniform(0.8, 1.2)
    for part, points in _CAR_SIDE if side else _CAR_END:
        corners = np.array(points, float).reshape(-1, 2) / 100
        if side:  # saloon, hatchback, van: the cabin moves along, its lower edge up or down
            corners[:, 0] += skew * np.sin(np.pi * corners[:, 0])
        corners[:, 1] **= belt
        corners *= (width - 1, height - 1)
        cv2.fillPoly(parts, [np.round(corners).astype(np.int32)], part)
    radius = max(1, round(0.19 * height))
    for wheel in (0.19, 0.81) if side else ():
        centre = (round(wheel * width), height - 1 - radius)
        cv2.circle(parts, centre, radius, 3, -1)
        cv2.circle(parts, centre, radius // 2, 4, -1)
    if rng.random() < 0.5:
        parts = parts[:, ::-1]
    paint = rng.uniform(0.05, 0.95) * (1 - rng.uniform(0, 0.85) * rng.random(3))
    lamp = np.array((1.0, 0.9, 0.6)) if rng.random() < 0.5 else np.array((0.8, 0.08, 0.05))
    colours = np.zeros((7, 3), np.float32)
    colours[1], colours[6] = paint, paint * 0.65
    colours[2] = rng.uniform(0.05, 0.45) * np.array((0.85, 0.95, 1.0))
    colours[3], colours[4] = 0.06, rng.uniform(0.3, 0.7)
    colours[5] = lamp * (2.5 if lit else 0.9)
    return parts, colours


def facade_parts(
    rng: np.random.Generator, height: int, width: int, metre: float, lit: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The front of a building: wall, grid of windows, door, and a flat or pitched roof.

    Args:
        rng: Source of the draw.
        height: Height in pixels, roof included, at least 4.
        width: Width in pixels, at least 4.
        metre: Pixels per metre.
        lit: Whether lamps are on behind some of the windows.

    Returns:
        Part map (height, width) uint8 and colours (7, 3) float32: wall, two kinds of window, roof,
        ledge, door.
    """
    storey, bay = max(3.0, metre * rng.uniform(2.6, 3.6)), max(3.0, metre * rng.uniform(1.8, 3.4))
    pitched = height < 9 * metre and rng.random() < 0.7
    roof = round(height * rng.uniform(0.25, 0.42)) if pitched else max(1, round(0.04 * height))
    y, x = np.arange(height - roof) / storey, np.arange(width) / bay
    tall, wide = rng.uniform(0.4, 0.65), rng.uniform(0.35, 0.75)
    rows, columns = (y % 1 > 0.22) & (y % 1 < 0.22 + tall), (x % 1 > 0.15) & (x % 1 < 0.15 + wide)
    kinds = rng.integers(2, 4, (int(y[-1]) + 1, int(x[-1]) + 1), dtype=np.uint8)
    windows = kinds[y.astype(int)[:, None], x.astype(int)]
    parts = np.zeros((height, width), np.uint8)
    wall = parts[roof:]
    wall[:] = np.where(rows[:, None] & columns, windows, np.uint8(1))
    if rng.random() < 0.5:
        wall[y % 1 < 0.08] = 5
    door = round(width * rng.uniform(0.1, 0.8))
    wall[-max(1, round(2.1 * metre)) :, door : door + max(1, round(1.1 * metre))] = 6
    inset = rng.uniform(0.0, 0.45) * width if pitched else 0
    corners = [(inset, 0), (width - 1 - inset, 0), (width - 1, roof), (0, roof)]
    cv2.fillConvexPoly(parts, np.round(corners).astype(np.int32), 4)
    colours = np.zeros((7, 3), np.float32)
    colours[1], colours[4] = mix_anchors(rng, 'building'), mix_anchors(rng, 'roof')
    colours[2] = rng.uniform(0.1, 0.6) * np.array((0.85, 0.95, 1.05))
    colours[3] = np.array((2.2, 1.7, 0.9)) if lit else colours[2] * rng.uniform(0.6, 1.5)
    colours[5], colours[6] = colours[1] * rng.uniform(0.6, 1.3), mix_anchors(rng, 'roof') * 0.7
    return parts, colours
