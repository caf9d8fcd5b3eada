"""Small synthetic outdoor scenes with a pixel-exact label map: images of the embedded data set.

A scene is laid out on a ground plane seen through a pinhole camera, so that size, texture grain and
place follow the depth. As in photographs the raw colour hardly tells the class (the light varies
strongly and the colours of classes overlap); texture, shape and place do.

Needs numpy and OpenCV only; nothing is read from disk.
"""

import cv2
import numpy as np

from . import objects, textures
from .content import (
    BUILDING,
    CAR,
    GRASS,
    PERSON,
    RECIPES,
    ROAD,
    SAND,
    SKY,
    TREE,
    Recipe,
)
from .ground import paint_ground, paint_road_across, paint_road_ahead
from .light import draw_light
from .painter import Painter
from .textures import View

MIN_SIDE = 32


def _draw_view(rng: np.random.Generator, height: int, width: int) -> View:
    """Draw where the camera stands and how far it looks down."""
    return View(
        height=height,
        width=width,
        horizon=height * rng.uniform(0.1, 0.5),
        camera_m=float(np.exp(rng.uniform(np.log(1.8), np.log(6.5)))),
        vanish=width * rng.uniform(0.2, 0.8),
        unit=min(height, width) / 160,
        tile=rng.standard_normal((128, 128), dtype=np.float32),
    )


def _paint_forest(painter: Painter) -> None:
    """Paint a line of trees along the horizon."""
    rng, view = painter.rng, painter.view
    tall = view.height * rng.uniform(0.05, 0.2)
    line = view.horizon - tall * (1 + 0.5 * textures.soft_line(rng, view.width, 6))
    line += 0.06 * tall * rng.standard_normal(view.width)
    top, bottom = int(np.clip(line.min(), 0, view.horizon)), int(view.horizon) + 2
    texture = objects.leaf_texture(rng, view, bottom - top, view.width)
    painter.fill(top, np.arange(top, bottom)[:, None] >= line, texture, TREE)


def _paint_building(
    painter: Painter, left: float, foot: float, size: tuple[float, float], metre: float
) -> None:
    """Paint a building of ``size`` (height, width) that stands on row ``foot``."""
    rng, view = painter.rng, painter.view
    height = int(np.clip(size[0], 4, view.height))
    width = int(np.clip(size[1], 4, view.width))
    parts, colours = objects.facade_parts(rng, height, width, metre, painter.light.night)
    weather = 1 + 0.06 * textures.soft_noise(rng, height, width, 12)
    patch = colours[parts] * cv2.merge([weather] * 3)
    painter.stamp((round(left), round(foot) - height), parts > 0, patch, BUILDING, foot)


def _paint_skyline(painter: Painter) -> None:
    """Paint a row of buildings just in front of the horizon."""
    rng, view = painter.rng, painter.view
    foot = view.horizon + rng.uniform(0.03, 0.12) * (view.height - view.horizon)
    metre = max(float(view.scale(foot)), 1.2 * view.unit)
    left = rng.uniform(-0.1, 0.6) * view.width
    end = min(left + rng.uniform(0.3, 1.2) * view.width, view.width)
    while left < end:
        size = metre * rng.uniform(5, 22), metre * rng.uniform(6, 18)
        _paint_building(painter, left, foot, size, metre)
        left += size[1] * rng.choice((1.0, 1.3))


def _paint_walls(painter: Painter) -> None:
    """Paint house fronts along the way, in perspective, on one side or both."""
    rng, view = painter.rng, painter.view
    ground = view.height - view.horizon
    for side in ((-1,), (1,), (-1, 1))[rng.integers(3)]:
        apart_m, tall_m = side * rng.uniform(6, 11), rng.uniform(6, 16)
        far = view.horizon + rng.uniform(0.06, 0.12) * ground
        corners = []
        for foot in (view.horizon + rng.uniform(0.35, 0.8) * ground, far):
            scale = float(view.scale(foot))
            x = view.vanish + apart_m * scale
            corners += [(x, foot - tall_m * scale), (x, foot)]
        # Drawn as seen at right angles, then projected.
        height, width = 96, int(rng.integers(120, 260))
        parts, colours = objects.facade_parts(
            rng, height, width, height / tall_m, painter.light.night
        )
        flat = np.array([(0, 0), (0, height), (width, 0), (width, height)], np.float32)
        matrix = cv2.getPerspectiveTransform(flat, np.array(corners, np.float32))
        size = (view.width, view.height)
        seen = cv2.warpPerspective(parts, matrix, size, flags=cv2.INTER_NEAREST)
        patch = colours[seen] * np.float32(1 - 0.35 * max(0.0, side * painter.light.sun))
        painter.stamp((0, 0), seen > 0, patch, BUILDING, far)


def _places(
    painter: Painter, ground: tuple[int, ...], deepest: float, number: int
) -> list[tuple[float, float]]:
    """Draw up to ``number`` feet (row, column) on one of the classes ``ground``.

    ``deepest`` limits how near the camera a foot is: its share of the way from the horizon to the
    lower border.
    """
    rng, view = painter.rng, painter.view
    x = rng.uniform(0, view.width, 12 * number)
    y = view.horizon + rng.uniform(0.06, deepest, len(x)) * (view.height - view.horizon)
    row = np.minimum(y.astype(int), view.height - 1)
    fits = np.isin(painter.label[row, x.astype(int)], ground)
    return list(zip(y[fits][:number].tolist(), x[fits][:number].tolist(), strict=True))


def _paint_thing(painter: Painter, kind: int, foot: float, x: float) -> None:
    """Paint a tree, car or person of its natural size that stands on row ``foot``."""
    rng, view, light = painter.rng, painter.view, painter.light
    span = {TREE: (3.0, 8.0), CAR: (1.4, 1.75), PERSON: (1.3, 1.95)}[kind]
    height = int(min(float(view.scale(foot)) * rng.uniform(*span), 0.85 * view.height))
    if height < 5:
        return
    if kind == TREE:
        mask, patch = objects.tree_patch(rng, view, height)
    else:
        if kind == CAR:
            parts, colours = objects.car_parts(rng, height, light.night)
        else:
            parts, colours = objects.person_parts(rng, height)
        mask, patch = parts > 0, colours[parts]
    width = mask.shape[1]
    tone = np.linspace(1.12, 0.85, height, dtype=np.float32)[:, None]
    tone = tone * (1 + np.linspace(-0.2, 0.2, width, dtype=np.float32) * np.float32(light.sun))
    centre = round(x - 0.4 * width * light.sun), round(foot)
    axes = max(1, round(width * (0.4 + 0.3 * abs(light.sun)))), max(1, round(0.1 * width))
    cv2.ellipse(painter.shade, centre, axes, 0, 0, 360, light.shadow, -1)
    corner = round(x - width / 2), round(foot) - height
    painter.stamp(corner, mask, patch * cv2.merge([tone] * 3), kind, foot)


def _paint_things(painter: Painter, recipe: Recipe) -> None:
    """Paint houses, then trees, cars and persons, far ones first."""
    rng, view = painter.rng, painter.view
    # Houses stand in the far half: a near one would hide the scene.
    number = int(rng.integers(recipe.houses[0], recipe.houses[1] + 1))
    for foot, x in sorted(_places(painter, (GRASS, SAND), 0.45, number)):
        metre = float(view.scale(foot))
        size = metre * rng.uniform(4, 8), metre * rng.uniform(6, 12)
        _paint_building(painter, x - size[1] / 2, foot, size, metre)
    crowd = (
        (TREE, (GRASS, SAND), 1.02, recipe.trees),
        (CAR, (ROAD, SAND), 0.75, recipe.cars),
        (PERSON, (GRASS, SAND, ROAD), 1.02, recipe.persons),
    )
    things: list[tuple[float, float, int]] = []
    for kind, ground, deepest, (least, most) in crowd:
        number = int(rng.integers(least, most + 1))
        things += [(*place, kind) for place in _places(painter, ground, deepest, number)]
    for foot, x, kind in sorted(things):
        _paint_thing(painter, kind, foot, x)


def _develop(painter: Painter) -> np.ndarray:
    """Turn the painted colours into the camera's image; (H, W, 3) uint8 BGR."""
    rng, light = painter.rng, painter.light
    height, width = painter.label.shape
    shade = cv2.GaussianBlur(painter.shade, (0, 0), 1.0)
    shade = shade * (1 + 0.1 * textures.soft_noise(rng, height, width, 3))
    left, right = rng.uniform(0.85, 1.15, 2)
    shade *= np.linspace(left, right, width, dtype=np.float32)
    np.putmask(shade, painter.label != SKY, shade * np.float32(light.ground))
    haze = np.float32(light.fog) * painter.distance
    # Noise of the channels: one field, displaced, as drawing three costs three times as much.
    grain = rng.standard_normal((height, width), dtype=np.float32) * np.float32(light.noise)
    curve = (np.linspace(0, 1, 256) ** light.gamma * 255).astype(np.float32)
    planes = []
    for channel in (2, 1, 0):
        plane: np.ndarray = painter.image[..., channel] * (shade * (1 - haze))
        plane += haze * light.sky[1][channel]
        plane *= 255 * light.gain[channel]
        plane = cv2.GaussianBlur(plane, (0, 0), light.blur)
        plane = cv2.LUT(np.clip(plane, 0, 255).astype(np.uint8), curve)
        planes.append(plane + np.roll(grain, 17 * channel, axis=(0, 1)))
    return np.clip(cv2.merge(planes), 0, 255).astype(np.uint8)


def render_scene(
    rng: np.random.Generator, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one scene: a pure function of the generator's state and the size.

    Args:
        rng: Source of every choice about the scene; its state advances.
        height: Rows, at least 32.
        width: Columns, at least 32.

    Returns:
        The image, (height, width, 3) uint8 BGR, and the label map, (height, width) uint8 with
        class ids in ``range(len(CLASSES))``; every pixel has a class.

    Raises:
        ValueError: If a side is shorter than 32 pixels.
    """
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f'height and width of a scene must be at least {MIN_SIDE} pixels, '
            f'got {height} x {width}; render a larger scene and resize it.'
        )
    weights = np.array([recipe.weight for recipe in RECIPES])
    recipe = RECIPES[rng.choice(len(RECIPES), p=weights / weights.sum())]
    painter = Painter(
        rng=rng,
        view=_draw_view(rng, height, width),
        light=draw_light(rng),
        image=np.zeros((height, width, 3), np.float32),
        label=np.full((height, width), SKY, np.uint8),
        distance=np.ones((height, width), np.float32),
        shade=np.ones((height, width), np.float32),
    )
    paint_ground(painter, recipe)
    if rng.random() < recipe.ahead:
        paint_road_ahead(painter)
    elif rng.random() < recipe.across:
        paint_road_across(painter)
    for chance, paint in (
        (recipe.forest, _paint_forest),
        (recipe.skyline, _paint_skyline),
        (recipe.walls, _paint_walls),
    ):
        if rng.random() < chance:
            paint(painter)
    _paint_things(painter, recipe)
    return _develop(painter), painter.label
