"""Small synthetic outdoor scenes with a pixel-exact label map: images of the embedded data set.

A scene is laid out on a ground plane seen through a pinhole camera, so that size, texture grain and
place follow the depth. As in photographs the raw colour hardly tells the class (the light varies
strongly and the colours of classes overlap); texture, shape and place do.

Needs numpy and OpenCV only; nothing is read from disk.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from . import scene_textures as textures
from .scene_textures import View

CLASSES: tuple[str, ...] = (
    *('sky', 'water', 'grass', 'sand', 'road', 'building', 'tree'),
    *('car', 'person'),
)
PALETTE: list[list[int]] = [
    *([70, 130, 220], [0, 60, 150], [120, 220, 90], [240, 210, 120], [110, 60, 140]),
    *([170, 90, 60], [20, 110, 40], [250, 40, 40], [255, 0, 200]),
]
SKY, WATER, GRASS, SAND, ROAD, BUILDING, TREE, CAR, PERSON = range(len(CLASSES))
STUFF: tuple[int, ...] = (SKY, WATER, GRASS, SAND, ROAD, BUILDING, TREE)
THINGS: tuple[int, ...] = (CAR, PERSON)

MIN_SIDE = 32

_GROUND = {'w': WATER, 'g': GRASS, 's': SAND, 'r': ROAD}


@dataclass(frozen=True)
class Recipe:
    """One type of scene; a ground class is written by its first letter: w, g, s, r.

    Attributes:
        weight: Relative frequency of this type.
        bands: Choices for the ground classes from the horizon to the camera.
        patches: Ground classes of which a patch may lie on the nearest band.
        ahead: Probability of a road that runs toward the horizon.
        across: Probability of a road across the view, if none runs ahead.
        walls: Probability of house fronts along the way.
        skyline: Probability of a row of buildings at the horizon.
        forest: Probability of a line of trees at the horizon.
        houses: Least and largest number of houses that stand free.
        trees: Least and largest number of trees that stand free.
        cars: Least and largest number of cars.
        persons: Least and largest number of persons.
    """

    weight: float
    bands: tuple[str, ...]
    patches: str
    ahead: float
    across: float
    walls: float
    skyline: float
    forest: float
    houses: tuple[int, int]
    trees: tuple[int, int]
    cars: tuple[int, int]
    persons: tuple[int, int]


# In the order of the attributes: street, shore, lake, meadow, desert.
RECIPES: tuple[Recipe, ...] = (
    Recipe(
        *(0.22, ('g', 's', 'sg', 'r'), 'gs', 0.75, 1.0, 0.75, 0.8, 0.3),
        *((0, 1), (1, 4), (2, 5), (3, 9)),
    ),
    Recipe(
        *(0.26, ('ws', 'ws', 'wsg', 'wg'), 'wg', 0.0, 0.2, 0.0, 0.35, 0.3),
        *((0, 1), (0, 3), (1, 3), (4, 10)),
    ),
    Recipe(
        *(0.22, ('gwg', 'gws', 'wg', 'gw'), 'gs', 0.0, 0.25, 0.0, 0.4, 0.7),
        *((0, 2), (1, 4), (1, 3), (2, 7)),
    ),
    Recipe(
        *(0.15, ('g', 'g', 'gs', 'sg'), 'wsg', 0.5, 0.3, 0.0, 0.3, 0.5),
        *((1, 3), (2, 6), (1, 4), (2, 6)),
    ),
    Recipe(
        *(0.15, ('s', 's', 'gs'), 'wg', 0.5, 0.4, 0.3, 0.5, 0.2),
        *((0, 3), (0, 4), (2, 5), (2, 7)),
    ),
)


@dataclass(frozen=True, eq=False)
class Light:
    """The light and the camera's response of one scene.

    Attributes:
        night: Whether lamps are on.
        gain: (3,) float32 RGB factor, exposure and colour cast.
        gamma: Exponent of the tone curve.
        fog: Share of the fog's colour at the horizon, in [0, 1].
        sky: (3,) float32 RGB at the top and at the horizon; the fog has the latter.
        ground: Factor on everything but the sky (low when the sky is bright behind).
        shadow: Factor within cast shadows.
        sun: Direction of the sun, -1 left to 1 right.
        noise: Standard deviation of the sensor's noise in grey levels.
        blur: Standard deviation of the lens blur in pixels.
    """

    night: bool
    gain: np.ndarray
    gamma: float
    fog: float
    sky: tuple[np.ndarray, np.ndarray]
    ground: float
    shadow: float
    sun: float
    noise: float
    blur: float


# Day, overcast, sunset, night, fog: probability; spans of gain, fog, shadow and ground; colour
# cast (RGB); hex colours of the sky at the top and at the horizon.
_LIGHTS = (
    (0.32, (0.8, 1.25), (0.0, 0.2), (0.4, 0.75), (0.8, 1.0), (1.0, 1.0, 1.0), '3c78c8 b4d2eb'),
    (0.24, (0.75, 1.1), (0.1, 0.5), (0.8, 1.0), (0.6, 1.0), (0.97, 1.0, 1.04), 'a0a5aa d7d7d2'),
    (0.2, (0.7, 1.1), (0.0, 0.4), (0.4, 0.8), (0.5, 0.9), (1.2, 0.92, 0.7), '6e6e96 f5aa64'),
    (0.12, (0.5, 0.8), (0.0, 0.4), (0.6, 0.9), (0.8, 1.3), (0.75, 0.9, 1.25), '1e2846 5a5a78'),
    (0.12, (0.75, 1.15), (0.5, 0.85), (0.85, 1.0), (0.8, 1.0), (1.0, 1.0, 1.0), 'b9bec0 cdcdc8'),
)
_NIGHT = 3


def _draw_light(rng: np.random.Generator) -> Light:
    """Draw the time of day, then the light within its spans."""
    kind = int(rng.choice(len(_LIGHTS), p=[row[0] for row in _LIGHTS]))
    _, gain, fog, shadow, ground, cast, codes = _LIGHTS[kind]
    tint = np.array(cast) * rng.uniform(0.88, 1.12, 3)
    if kind == _NIGHT and rng.random() < 0.4:
        tint = tint[::-1]  # sodium lamps instead of moonlight
    sky = np.array([list(bytes.fromhex(code)) for code in codes.split()]) / 255
    sky += rng.uniform(0, 0.45) * (sky.mean(1, keepdims=True) - sky) + rng.normal(0, 0.05, (2, 3))
    upper, lower = np.clip(sky, 0.03, 1).astype(np.float32)
    return Light(
        night=kind == _NIGHT,
        gain=(rng.uniform(*gain) * tint).astype(np.float32),
        gamma=rng.uniform(0.75, 1.35),
        fog=rng.uniform(*fog),
        sky=(upper, lower),
        ground=rng.uniform(*ground),
        shadow=rng.uniform(*shadow),
        sun=rng.uniform(-1, 1),
        noise=rng.uniform(1.0, 7.0),
        blur=rng.uniform(0.35, 0.8),
    )


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


@dataclass(frozen=True, eq=False)
class Painter:
    """One scene in the making; its arrays are painted in place, far things first.

    Attributes:
        rng: Source of every choice.
        view: The camera.
        light: The light.
        image: (H, W, 3) float32 RGB, the colours under neutral light.
        label: (H, W) uint8 class ids.
        distance: (H, W) float32, 0 at the camera to 1 at the horizon and beyond.
        shade: (H, W) float32 factor of cast shadows.
    """

    rng: np.random.Generator
    view: View
    light: Light
    image: np.ndarray
    label: np.ndarray
    distance: np.ndarray
    shade: np.ndarray

    def fill(self, top: int, mask: np.ndarray, texture: np.ndarray, class_id: int) -> None:
        """Paint ``texture`` (h, W, 3) where ``mask`` (h, W), from row ``top`` down."""
        rows = slice(top, top + len(mask))
        assert texture.dtype == np.float32, 'OpenCV would fill a copy'
        # In place, and ten times faster than numpy's masked copy over a last axis of three.
        cv2.copyTo(texture, mask.view(np.uint8), self.image[rows])
        np.putmask(self.label[rows], mask, class_id)

    def stamp(
        self,
        corner: tuple[int, int],
        mask: np.ndarray,
        patch: np.ndarray,
        class_id: int,
        foot: float,
    ) -> None:
        """Paint an object's ``patch`` (h, w, 3) where ``mask`` (h, w), cut to the image.

        Args:
            corner: Column and row of the patch's upper left pixel; may lie outside.
            mask: The object's outline, bool.
            patch: Its colours, float32 RGB.
            class_id: Its class.
            foot: Row in which it stands on the ground.
        """
        (left, top), (height, width) = corner, self.label.shape
        y0, y1 = max(top, 0), min(top + mask.shape[0], height)
        x0, x1 = max(left, 0), min(left + mask.shape[1], width)
        if y0 >= y1 or x0 >= x1:
            return
        part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        here = slice(y0, y1), slice(x0, x1)
        inside = mask[part]
        np.copyto(self.image[here], patch[part], where=inside[..., None])
        self.label[here][inside] = class_id
        self.distance[here][inside] = self.view.distance(foot)
        self.shade[here][inside] = 1

    def ground_texture(self, top: int, class_id: int) -> np.ndarray:
        """Texture of a ground class from row ``top`` to the last; (H - top, W, 3) float32."""
        if class_id == WATER:
            return textures.water_texture(self.rng, self.view, top, self.light.sky[1])
        draw = {
            GRASS: textures.grass_texture,
            SAND: textures.sand_texture,
            ROAD: textures.road_texture,
        }
        return draw[class_id](self.rng, self.view, top)


def _paint_ground(painter: Painter, recipe: Recipe) -> None:
    """Paint the sky and the ground's bands with irregular borders, and perhaps a patch."""
    rng, view = painter.rng, painter.view
    start, ground = int(view.horizon) + 2, view.height - view.horizon
    painter.image[:start] = textures.sky_texture(rng, start, view.width, painter.light.sky)
    painter.distance[start:] = view.distance(np.arange(start, view.height))[:, None]
    bands = recipe.bands[rng.integers(len(recipe.bands))]
    # Depth compresses what is far, so nearer bands take more rows.
    shares = rng.uniform(0.6, 1.4, len(bands)) * (1 + 0.3 * np.arange(len(bands)))
    edges = np.concatenate(([0], np.cumsum(shares)[:-1] / shares.sum()))
    rows = np.arange(view.height, dtype=np.float32)[:, None]
    for band, edge in zip(bands, edges, strict=True):
        # The first border is the horizon itself: nearly straight.
        rough = edge * ground * rng.uniform(0.05, 0.25) + 0.5 * view.unit
        line = view.horizon + edge * ground + rough * textures.soft_line(rng, view.width, 4)
        line += edge * ground * rng.uniform(-0.5, 0.5) * np.linspace(-1, 1, view.width)
        top = int(np.clip(line.min(), 0, view.height - 1))
        texture = painter.ground_texture(top, _GROUND[band])
        painter.fill(top, rows[top:] >= line, texture, _GROUND[band])
    patch = recipe.patches[rng.integers(len(recipe.patches))]
    if patch != bands[-1] and rng.random() < 0.6:
        top = int(np.clip(line.max(), 0, view.height - 1))
        size_m = rng.uniform(0.5, 1.6) * view.camera_m
        field = textures.plane_noise(view, top, size_m, 0.4, 30, rng.uniform(0, 128))
        texture = painter.ground_texture(top, _GROUND[patch])
        painter.fill(top, field > rng.uniform(0.4, 1.0), texture, _GROUND[patch])


def _paint_road_ahead(painter: Painter) -> None:
    """Paint a road toward the horizon: wide near, narrow and bent far away, with lane marks."""
    rng, view = painter.rng, painter.view
    top = min(int(view.horizon) + 2, view.height - 1)
    rows = np.arange(top, view.height, dtype=np.float32)
    scale = view.scale(rows)
    bend = rng.normal(0, 0.15) * view.width * np.linspace(1, 0, len(rows)) ** 3
    middle = view.vanish + rng.uniform(-3, 3) * scale + bend
    half = rng.uniform(2.5, 5.5) * scale
    edge = half * (1 + rng.uniform(0.02, 0.12) * textures.soft_line(rng, len(rows), 8))
    aside = np.abs(np.arange(view.width) - middle[:, None])
    texture = painter.ground_texture(top, ROAD)
    if rng.random() < 0.75:
        depth_m = view.height / scale
        dashes = (depth_m % 7 < 4) | (rng.random() < 0.3)
        texture[(aside < np.maximum(0.09 * scale, 0.5)[:, None]) & dashes[:, None]] = 0.9
    if rng.random() < 0.5:
        side = np.abs(aside - 0.9 * half[:, None]) < np.maximum(0.07 * scale, 0.4)[:, None]
        texture[side] = 0.85
    painter.fill(top, aside < edge[:, None], texture, ROAD)


def _paint_road_across(painter: Painter) -> None:
    """Paint a road from side to side, with a dashed middle line."""
    rng, view = painter.rng, painter.view
    ground = view.height - view.horizon
    slope = rng.uniform(-0.08, 0.08) * ground * np.linspace(-1, 1, view.width)
    start = view.horizon + rng.uniform(0.2, 0.6) * ground + slope
    start += 0.01 * ground * textures.soft_line(rng, view.width, 8)
    end = start + rng.uniform(0.22, 0.45) * ground
    top = int(np.clip(start.min(), 0, view.height - 1))
    rows = np.arange(top, view.height)[:, None]
    texture = painter.ground_texture(top, ROAD)
    if rng.random() < 0.75:
        middle = 0.5 * (start + end)
        period = 5 * float(view.scale(middle.mean()))
        dashes = np.arange(view.width) % period < 0.5 * period
        texture[(np.abs(rows - middle) < 0.012 * ground) & dashes] = 0.9
    painter.fill(top, (rows >= start) & (rows < end), texture, ROAD)


def _paint_forest(painter: Painter) -> None:
    """Paint a line of trees along the horizon."""
    rng, view = painter.rng, painter.view
    tall = view.height * rng.uniform(0.05, 0.2)
    line = view.horizon - tall * (1 + 0.5 * textures.soft_line(rng, view.width, 6))
    line += 0.06 * tall * rng.standard_normal(view.width)
    top, bottom = int(np.clip(line.min(), 0, view.horizon)), int(view.horizon) + 2
    texture = textures.leaf_texture(rng, view, bottom - top, view.width)
    painter.fill(top, np.arange(top, bottom)[:, None] >= line, texture, TREE)


def _paint_building(
    painter: Painter, left: float, foot: float, size: tuple[float, float], metre: float
) -> None:
    """Paint a building of ``size`` (height, width) that stands on row ``foot``."""
    rng, view = painter.rng, painter.view
    height = int(np.clip(size[0], 4, view.height))
    width = int(np.clip(size[1], 4, view.width))
    parts, colours = textures.facade_parts(rng, height, width, metre, painter.light.night)
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
        parts, colours = textures.facade_parts(
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
        mask, patch = textures.tree_patch(rng, view, height)
    else:
        if kind == CAR:
            parts, colours = textures.car_parts(rng, height, light.night)
        else:
            parts, colours = textures.person_parts(rng, height)
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
        light=_draw_light(rng),
        image=np.zeros((height, width, 3), np.float32),
        label=np.full((height, width), SKY, np.uint8),
        distance=np.ones((height, width), np.float32),
        shade=np.ones((height, width), np.float32),
    )
    _paint_ground(painter, recipe)
    if rng.random() < recipe.ahead:
        _paint_road_ahead(painter)
    elif rng.random() < recipe.across:
        _paint_road_across(painter)
    for chance, paint in (
        (recipe.forest, _paint_forest),
        (recipe.skyline, _paint_skyline),
        (recipe.walls, _paint_walls),
    ):
        if rng.random() < chance:
            paint(painter)
    _paint_things(painter, recipe)
    return _develop(painter), painter.label
