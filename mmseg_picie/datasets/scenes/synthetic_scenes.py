"""The embedded data set: scenes drawn from a seed, with no files and no download.

A scene has an address, ``scene://SEED/HEIGHTxWIDTH/image/INDEX.bmp`` (or ``label``), which a
storage backend of mmengine answers by drawing it. So mmseg's stock loading transforms, hooks and
inferencers work on scenes as on files.
"""

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.fileio import BaseStorageBackend, register_backend
from mmseg.registry import DATASETS
from numpy.typing import NDArray

from ..base import KeyedSegDataset
from ..transforms.sizes import SizeLike, to_size
from .content import CLASSES, PALETTE, STUFF, THINGS
from .renderer import render_scene

_ADDRESS = re.compile(r'scene://(\d+)/(\d+)x(\d+)/(image|label)/(\d+)\.bmp')


@register_backend('scene', prefixes='scene')
class SceneBackend(BaseStorageBackend):
    """Draws the scene that an address names."""

    def get(self, filepath: str | Path) -> bytes:
        """Draw a scene.

        Args:
            filepath (str or Path): address of an image or a label map.

        Returns:
            bytes: a BMP file: BGR image, or label map with the class ids as grey levels.

        Raises:
            FileNotFoundError: If it is no such address.
        """
        match = _ADDRESS.fullmatch(str(filepath))
        if match is None:
            raise FileNotFoundError(
                f'{filepath} is not the address of a scene; it must look like '
                'scene://0/160x240/image/7.bmp (seed, height x width, image or label, index).'
            )
        seed, height, width, kind, index = match.groups()
        image, label = draw_scene(int(seed), int(index), int(height), int(width))
        return cv2.imencode('.bmp', image if kind == 'image' else label)[1].tobytes()

    def get_text(self, filepath: str | Path, encoding: str = 'utf-8') -> str:
        """Not available: scenes are images."""
        raise TypeError(f'{filepath} is an image; it cannot be read as text.')


# A scene is asked for at least three times an epoch: image and label, clustering and training.
@functools.lru_cache(maxsize=256)
def draw_scene(seed: int, index: int, height: int, width: int) -> tuple[NDArray, NDArray]:
    """Draw one scene.

    Args:
        seed (int): seed of the data set.
        index (int): number of the scene.
        height (int): pixels.
        width (int): pixels.

    Returns:
        tuple[NDArray, NDArray]: (H, W, 3) uint8 BGR image and (H, W) uint8 label map, shared
            between calls and therefore read-only.
    """
    image, label = render_scene(np.random.default_rng((seed, index)), height, width)
    for array in (image, label):
        array.setflags(write=False)
    return image, label


@DATASETS.register_module()
class SyntheticScenesDataset(KeyedSegDataset):
    """Outdoor scenes with textured stuff and things on it, drawn on the fly.

    Args:
        num_images (int): number of scenes.
        scene_seed (int): which scenes; give training and validation different ones.
        scene_size (int or (int, int)): (height, width) in pixels.
        labelled (bool): whether label maps are offered to the pipeline.
        pipeline (Sequence[dict or Callable]): transforms.
        metainfo (dict, optional): replaces entries of ``METAINFO``.
        test_mode (bool): kept for mmseg; nothing depends on it here.

    Raises:
        ValueError: If ``num_images`` is not positive, ``scene_seed`` is negative or a side of
            ``scene_size`` is below 32.
    """

    METAINFO = dict(classes=CLASSES, palette=PALETTE, groups=dict(things=THINGS, stuff=STUFF))

    def __init__(
        self,
        num_images: int = 200,
        scene_seed: int = 0,
        scene_size: SizeLike = (160, 240),
        labelled: bool = True,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
    ) -> None:
        if num_images < 1:
            raise ValueError(f'num_images must be at least 1, but got {num_images}.')
        if scene_seed < 0:
            raise ValueError(f'scene_seed must be at least 0, but got {scene_seed}.')
        self.num_images = num_images
        self.scene_seed = scene_seed
        self.scene_size = to_size(scene_size, 'scene_size')
        draw_scene(scene_seed, 0, *self.scene_size)  # refuses too small a size
        self.labelled = labelled
        super().__init__(
            pipeline=pipeline, metainfo=metainfo, test_mode=test_mode, check_files=False
        )

    def load_data_list(self) -> list[dict]:
        """List the addresses of the scenes."""
        height, width = self.scene_size
        address = f'scene://{self.scene_seed}/{height}x{width}/{{}}/{{}}.bmp'
        data_list = []
        for index in range(self.num_images):
            info: dict[str, Any] = dict(
                img_path=address.format('image', index),
                label_map=None,
                reduce_zero_label=False,
                seg_fields=[],
            )
            if self.labelled:
                info['seg_map_path'] = address.format('label', index)
            data_list.append(info)
        return data_list
