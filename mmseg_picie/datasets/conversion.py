"""What converters of data sets share: an output that is whole or not there, lists, counts."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..whole_files import folder_aside
from .text_files import read_lines

_IMAGE_ENDINGS = ('.jpeg', '.jpg', '.png')


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Make a folder as a whole: what is written goes into place at the end, or not at all.

    Args:
        out (Path): folder to make; it must not exist, or be empty.

    Yields:
        Path: folder of another name to write to, which does not exist yet.

    Raises:
        FileExistsError: If ``out`` has something in it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f'OUT must be new or an empty folder, got {out}; remove it first')
    missing = [folder for folder in out.parents if not folder.exists()]
    try:
        with folder_aside(out) as aside:
            yield aside
    except BaseException:
        with suppress(OSError):  # something else was put there
            for folder in missing:
                folder.rmdir()
        raise


def warn_of_counts(
    logger: logging.Logger, counts: Mapping[str, int], published: Mapping[str, int]
) -> None:
    """Warn of splits that are not as large as the published ones.

    Args:
        logger (Logger): of the converter.
        counts (Mapping[str, int]): split -> number of images.
        published (Mapping[str, int]): the same, as published.
    """
    for split, count in counts.items():
        if count != published[split]:
            logger.warning(
                '%s has %d images, the published split has %d', split, count, published[split]
            )


def read_names(path: Path) -> list[str]:
    """Read a list of images.

    Args:
        path (Path): text file with one name a line, with or without folders and suffix.

    Returns:
        list[str]: names without folders and suffix, in order.

    Raises:
        ValueError: As of :func:`.text_files.read_lines`.
    """
    names = [Path(line) for line in read_lines(path)]
    return [name.stem if name.suffix.lower() in _IMAGE_ENDINGS else name.name for name in names]


def read_pixels(path: Path) -> NDArray:
    """Read an image file to its end.

    Args:
        path (Path): image file.

    Returns:
        NDArray: (H, W) or (H, W, channels) as stored.

    Raises:
        FileNotFoundError: If it does not exist.
        ValueError: If it cannot be read; the message names it.
    """
    with _open(path) as image:
        return np.asarray(image)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read an image file of three 8-bit channels or more.

    Args:
        path (Path): image file.

    Returns:
        NDArray: (H, W, 3) uint8, the first three channels.

    Raises:
        FileNotFoundError: If it does not exist.
        ValueError: If it cannot be read or has other channels; the message names it.
    """
    pixels = read_pixels(path)
    if pixels.ndim != 3 or pixels.shape[2] < 3 or pixels.dtype != np.uint8:
        raise ValueError(
            f'{path} must have three channels of 8 bits or more of them, got {pixels.dtype} of '
            f'shape {pixels.shape}; take the file of the public release'
        )
    return np.ascontiguousarray(pixels[..., :3])


def read_stored_size(path: Path) -> tuple[int, int]:
    """Read the size of an image from its file's header.

    Args:
        path (Path): image file.

    Returns:
        tuple[int, int]: (width, height) in pixels.

    Raises:
        FileNotFoundError: If it does not exist.
        ValueError: If it cannot be read; the message names it.
    """
    with _open(path) as image:
        return image.size


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """Open an image file; what goes wrong then or later names it in one sentence."""
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError:
        raise
    # Pillow reports broken files by errors of many types, some of them of several lines.
    except Exception as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise ValueError(f'{path} cannot be read ({reason}); unpack it again') from error
