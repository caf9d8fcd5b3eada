"""The ISPRS Potsdam scenes, cut into the tiles that this project's config reads.

`picie convert potsdam3 --help` shows the layouts.
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from ..datasets.conversion import (
    new_folder,
    read_names,
    read_rgb,
    read_stored_size,
    warn_of_counts,
)
from ..datasets.potsdam3 import PUBLISHED_COUNTS, decode_colours
from ..engine.progress import track
from .potsdam3_archive import convert_archive, is_archive

#: Row -> columns of the scenes that are labelled for training.
LABELLED = {
    2: range(10, 13),
    3: range(10, 13),
    4: range(10, 13),
    5: range(10, 13),
    6: range(7, 13),
    7: range(7, 13),
}
SCENES = tuple(f'{row}_{column}' for row, columns in LABELLED.items() for column in columns)
SPLIT_SEED = 0

logger = logging.getLogger('potsdam3')


class Options(NamedTuple):
    """How scenes are cut.

    Attributes:
        factor: Size of a resized scene relative to the file.
        tile: Side of a tile in pixels of the resized scene.
        tolerance: Largest difference, per channel, of a label's colour from its class's.
    """

    factor: float = 0.5
    tile: int = 200
    tolerance: int = 0


class Scene(NamedTuple):
    """One scene.

    Attributes:
        name: Row and column, such as 2_10.
        image: Its image file.
        label: Its label file.
    """

    name: str
    image: Path
    label: Path


DEFAULTS = Options()


def convert(
    src: str | Path,
    out: str | Path,
    options: Options = DEFAULTS,
    test_list: str | Path | None = None,
) -> dict[str, int]:
    """Cut all scenes, or unpack tiles; on any error `out` is left as it was.

    Args:
        src: Folder of the scenes, or of tiles that are cut already (:mod:`.potsdam3_archive`), to
            which the other options do not matter.
        out: Folder to make. It must not exist, or be empty.
        options: How scenes are cut.
        test_list: Text file with the name of one test tile a line, with or without `.png`; None
            draws them from a fixed seed.

    Returns:
        Split -> number of tiles.

    Raises:
        FileNotFoundError: A folder, or the image or label of a scene, is missing.
        FileExistsError: `out` has something in it.
        ValueError: A file cannot be read or has another size, kind or colour than it must have, a
            scene is there twice, or the list names a tile that is not there.
    """
    src, out = Path(src), Path(out)
    if is_archive(src):
        return convert_archive(src, out)
    with new_folder(out) as partial:
        scenes = list_scenes(src)
        tiles = [
            tile_name(scene, row, column)
            for scene in scenes
            for row, column in np.ndindex(*scene_grid(scene, options))
        ]
        test = draw_test_tiles(tiles) if test_list is None else set(read_names(Path(test_list)))
        unknown = sorted(test - set(tiles))
        if unknown:
            raise ValueError(
                f'{test_list} must name tiles, one a line, such as {tiles[0]}, got {unknown[0]}; '
                'correct the list'
            )
        counts = {'train': len(tiles) - len(test), 'test': len(test)}
        warn_of_counts(logger, counts, PUBLISHED_COUNTS)
        for scene in track(scenes, 'Cutting', len(scenes)):
            convert_scene(scene, partial, options, test)
    return counts


def list_scenes(src: Path) -> list[Scene]:
    """List the labelled scenes.

    Args:
        src: Folder to search, through all levels.

    Returns:
        Scenes in the order of :data:`SCENES`.
    """
    if not src.is_dir():
        raise FileNotFoundError(f'SRC must be a folder of scenes, and {src} is missing')
    found: dict[tuple[str, str], Path] = {}
    pattern = re.compile(r'top_potsdam_(\d+)_(\d+)_(RGB|RGBIR|label)\.tiff?', re.IGNORECASE)
    for path in sorted(src.rglob('*')):
        match = pattern.fullmatch(path.name)
        if match is None:
            continue
        key = (f'{int(match[1])}_{int(match[2])}', match[3].lower())
        if key in found and key[0] in SCENES:
            raise ValueError(f'{found[key]} and {path} are the same scene; keep one of them in SRC')
        found[key] = path
    scenes = []
    for name in SCENES:
        image = found.get((name, 'rgb')) or found.get((name, 'rgbir'))
        label = found.get((name, 'label'))
        if image is not None and label is not None:
            scenes.append(Scene(name, image, label))
        elif image is not None:
            raise FileNotFoundError(
                f'scene {image} has no top_potsdam_{name}_label.tif below {src}; unpack the labels '
                'there, too'
            )
        elif label is not None:
            raise FileNotFoundError(
                f'label {label} has no top_potsdam_{name}_RGB.tif (or _RGBIR.tif) below {src}; '
                'unpack the images there, too'
            )
    if not scenes:
        raise FileNotFoundError(
            f'{src} must hold scenes such as top_potsdam_2_10_RGB.tif with '
            'top_potsdam_2_10_label.tif, and has none; unpack the archives there'
        )
    return scenes


def scene_grid(scene: Scene, options: Options) -> tuple[int, int]:
    """Count the tiles of a scene, from the sizes in the files' headers.

    Args:
        scene: The scene.
        options: How it is cut.

    Returns:
        Rows and columns of tiles.
    """
    width, height = read_stored_size(scene.image)
    label_size = read_stored_size(scene.label)
    if label_size != (width, height):
        raise ValueError(
            f'{scene.label} must be as large as its image, {width} x {height}, got '
            f'{label_size[0]} x {label_size[1]}; take both from the same release'
        )
    size = resized((width, height), options.factor)
    if min(size) < options.tile or size[0] % options.tile or size[1] % options.tile:
        raise ValueError(
            f'{scene.image} of {width} x {height} becomes {size[0]} x {size[1]} by the factor '
            f'{options.factor}, which is no whole number of tiles of {options.tile}; take the '
            'scenes of 6000 x 6000, or set --factor and --tile to fit'
        )
    return size[1] // options.tile, size[0] // options.tile


def resized(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Scale (width, height) and round."""
    return round(size[0] * factor), round(size[1] * factor)


def tile_name(scene: Scene, row: int, column: int) -> str:
    """Name a tile, without suffix."""
    return f'{scene.name}_{row:02d}_{column:02d}'


def draw_test_tiles(tiles: Sequence[str]) -> set[str]:
    """Draw the published share of tiles; the same ones every time.

    Args:
        tiles: Names of all tiles.

    Returns:
        Names of those for testing.
    """
    share = PUBLISHED_COUNTS['test'] / sum(PUBLISHED_COUNTS.values())
    order = np.random.default_rng(SPLIT_SEED).permutation(len(tiles))
    return {tiles[index] for index in order[: round(share * len(tiles))]}


def convert_scene(scene: Scene, out: Path, options: Options, test: set[str]) -> None:
    """Cut one scene into tiles and write them.

    Args:
        scene: The scene.
        out: Folder to write under; made where needed.
        options: How it is cut.
        test: Names of the tiles for testing.
    """
    image = read_rgb(scene.image)
    label = decode_colours(read_rgb(scene.label), str(scene.label), options.tolerance)
    size = resized((image.shape[1], image.shape[0]), options.factor)
    # Ids must not be mixed.
    parts = dict(
        images=cv2.resize(image, size, interpolation=cv2.INTER_AREA),
        annotations=cv2.resize(label, size, interpolation=cv2.INTER_NEAREST),
    )
    for row, column in np.ndindex(size[1] // options.tile, size[0] // options.tile):
        name = tile_name(scene, row, column)
        split = 'test' if name in test else 'train'
        top, left = row * options.tile, column * options.tile
        area = np.s_[top : top + options.tile, left : left + options.tile]
        for folder, whole in parts.items():
            path = out / folder / split / f'{name}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(whole[area]).save(path)
