"""Sky and ground of the synthetic outdoor scenes, and the roads on the ground."""

import numpy as np

from . import textures
from .content import GRASS, ROAD, SAND, WATER, Recipe
from .painter import Painter

_GROUND = {'w': WATER, 'g': GRASS, 's': SAND, 'r': ROAD}


def paint_ground(painter: Painter, recipe: Recipe) -> None:
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


def paint_road_ahead(painter: Painter) -> None:
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


def paint_road_across(painter: Painter) -> None:
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
