"""What stands in the synthetic outdoor scenes: trees, persons, cars and house fronts.

Everything here is a pure function of its arguments and of the generator handed in. Colours are RGB
floats in which 1.0 is white under neutral light (a lamp may exceed it); sizes are in pixels.

Most objects are drawn as a *part map*, a (h, w) uint8 array of indices into a small table of
colours where 0 means "not the object", so that its colour and its label share one outline.
"""

import cv2
import numpy as np

from .textures import View, blend, mix_anchors, soft_noise


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
