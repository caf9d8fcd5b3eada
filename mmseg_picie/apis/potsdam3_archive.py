"""Potsdam as later papers share it: tiles in MATLAB files, and lists of their numbers."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat

from ..datasets.conversion import new_folder, read_names, warn_of_counts
from ..datasets.potsdam3 import PUBLISHED_COUNTS, SIX_CLASSES
from ..engine.progress import track

#: Split of this project -> list of the archive.
LISTS = dict(train='labelled_train.txt', test='labelled_test.txt')

logger = logging.getLogger('potsdam3')


def is_archive(src: Path) -> bool:
    """Whether a folder holds such tiles rather than scenes."""
    return (src / 'imgs').is_dir() and (src / 'gt').is_dir()


def convert_archive(src: Path, out: Path) -> dict[str, int]:
    """Unpack the labelled tiles of both lists; on any error `out` is left as it was.

    Args:
        src: Folder with ``labelled_train.txt`` and ``labelled_test.txt`` (a number a line),
            ``imgs/N.mat`` (``img``, (H, W, 3 or 4) uint8: red, green, blue, infrared) and
            ``gt/N.mat`` (``gt``, (H, W) ids 0-5 of ``SIX_CLASSES``).
        out: Folder to make. It must not exist, or be empty.

    Returns:
        Split -> number of tiles.

    Raises:
        FileNotFoundError: A list or a file of it is missing.
        FileExistsError: `out` has something in it.
        ValueError: A file cannot be read, or holds another kind of array than it must.
    """
    names = {split: _read_list(src / file) for split, file in LISTS.items()}
    both = sorted(set(names['train']) & set(names['test']))
    if both:
        raise ValueError(
            f'{src / LISTS["train"]} and {src / LISTS["test"]} both name {both[0]}; a tile must be '
            'in one of them; get the archive again'
        )
    tiles = [(split, name) for split, group in names.items() for name in group]
    counts = {split: len(group) for split, group in names.items()}
    warn_of_counts(logger, counts, PUBLISHED_COUNTS)
    with new_folder(out) as partial:
        for split, name in track(tiles, 'Unpacking', len(tiles)):
            image = _read(src / 'imgs' / f'{name}.mat', 'img')
            labels = _read(src / 'gt' / f'{name}.mat', 'gt')
            _check(src, name, image, labels)
            for folder, array in dict(images=image[..., :3], annotations=labels).items():
                path = partial / folder / split / f'{name}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.ascontiguousarray(array, np.uint8)).save(path)
    return counts


def _read_list(path: Path) -> list[str]:
    """Names of tiles."""
    return [name.removesuffix('.mat') for name in read_names(path)]


def _read(path: Path, key: str) -> NDArray:
    """An array of a MATLAB file."""
    if not path.is_file():
        raise FileNotFoundError(f'tile {path} is missing; unpack the whole archive')
    try:
        content = loadmat(path, variable_names=[key])
    except Exception as error:  # of many types
        raise ValueError(f'{path} cannot be read ({error}); get the archive again') from error
    if key not in content:
        raise ValueError(f'{path} must hold an array {key!r}, and has none; get the archive again')
    return content[key]


def _check(src: Path, name: str, image: NDArray, labels: NDArray) -> None:
    """Refuse a tile that is not what the archive says."""
    path = src / 'imgs' / f'{name}.mat'
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        raise ValueError(
            f'{path} must hold uint8 of (H, W, 3 or 4), got {image.dtype} of {image.shape}; get '
            'the archive again'
        )
    path = src / 'gt' / f'{name}.mat'
    if labels.shape != image.shape[:2]:
        raise ValueError(
            f'{path} must have the size of its image, {image.shape[:2]}, got {labels.shape}; get '
            'the archive again'
        )
    if not np.isin(labels, range(len(SIX_CLASSES))).all():
        wrong = labels[~np.isin(labels, range(len(SIX_CLASSES)))].flat[0]
        raise ValueError(
            f'{path} must hold ids from 0 to {len(SIX_CLASSES) - 1}, got {wrong}; get the archive '
            'again'
        )
