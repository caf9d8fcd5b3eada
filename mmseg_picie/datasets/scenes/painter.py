"""The canvas of the synthetic outdoor scenes: colours and labels are painted together."""

from dataclasses import dataclass

import cv2
import numpy as np

from . import textures
from .content import GRASS, ROAD, SAND, WATER
from .light import Light
from .textures import View


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
