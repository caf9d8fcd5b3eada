"""Find image files, and find out before any long work which of them cannot be read."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from mmengine.logging import print_log
from PIL import ExifTags, Image

from ..printing import show_name
from ..threads import get_threads
from .image_reading import is_for_rasterio, open_image, read_image, refuse_wide
from .stretching import find_limits

Item = TypeVar('Item')

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')

# Pillow's modes by channels of at most 8 bits. One: two levels, grey levels, indices of a palette.
_LABEL_MODES = {1: ('1', 'L', 'P'), 3: ('RGB',)}
# Files whose results are held until those before them are there.
_CHECKED_AT_ONCE = 1000
_LABEL_FORMATS = {
    1: 'one channel of 8 bits',
    3: 'three channels of 8 bits (red + 256 green, no blue)',
}
_LABEL_FIXES = {
    1: 'convert it to class ids from 0 to 254, and 255 for pixels without a class.',
    3: 'take it from the benchmark as it was published.',
}


def find_images(folder: str | Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> list[str]:
    """List the image files below a folder, nested or flat.

    Links to folders are followed; a folder that can be reached twice is listed once. One that may
    not be read is passed over with a warning.

    Args:
        folder (str or Path): where to look. Files and folders whose names start with a dot are
            passed over.
        suffixes (Iterable[str]): endings of the names to accept; case is ignored.

    Returns:
        list[str]: paths relative to the folder, with forward slashes, sorted.

    Raises:
        FileNotFoundError: If the folder is missing or holds no image that may be read.
    """
    root, endings = Path(folder), tuple(suffix.lower() for suffix in suffixes)
    if not root.is_dir():
        raise FileNotFoundError(
            f'image folder {show_name(root)} does not exist; set data_root and '
            'data_prefix.img_path of the dataset to a folder of images.'
        )
    names: list[str] = []
    visited: set[str] = set()
    closed: list[OSError] = []
    for place, subfolders, files in os.walk(root, followlinks=True, onerror=closed.append):
        real = os.path.realpath(place)
        if real in visited:  # a link that leads back
            subfolders.clear()
            continue
        visited.add(real)
        # In place, which is how os.walk is told where to go, and in which order.
        subfolders[:] = sorted(name for name in subfolders if not name.startswith('.'))
        below = Path(place).relative_to(root)
        names += [
            (below / name).as_posix()
            for name in files
            if name.lower().endswith(endings) and not name.startswith('.')
        ]
    for error in closed:
        print_log(
            f'folder {show_name(error.filename)} cannot be read ({error.strerror}), so its images '
            'are left out; give the right to read it, or move it away.',
            logger='current',
            level=logging.WARNING,
        )
    if not names:
        raise FileNotFoundError(
            f'image folder {show_name(root)} holds no image ({", ".join(endings)}); check '
            'data_root and data_prefix.img_path of the dataset.'
        )
    return sorted(names)


def find_faults(check: Callable[[Item], None], items: Sequence[Item]) -> Iterator[Exception | None]:
    """Check files on several threads.

    Args:
        check (Callable): :func:`check_image`, :func:`check_label_map` or :func:`check_sample`.
        items (Sequence): its arguments.

    Yields:
        Exception or None: what each is refused for, in their order.
    """

    def find_fault(item: Item) -> Exception | None:
        try:
            check(item)
        except (OSError, ValueError) as error:
            return error
        return None

    for start in range(0, len(items), _CHECKED_AT_ONCE):
        yield from get_threads().map(find_fault, items[start : start + _CHECKED_AT_ONCE])


def check_sample(info: Mapping[str, Any], channels: int = 1, stretch: str = 'none') -> None:
    """Refuse an image as :func:`check_image` does, or its label map as :func:`check_label_map`.

    Args:
        info (Mapping): ``img_path`` and perhaps ``seg_map_path``, as in a data set's list.
        channels (int): of label maps.
        stretch (str): as of :func:`check_image`.

    Raises:
        FileNotFoundError: If one does not exist; the message names it.
        ValueError: If one cannot be read, or is of another kind; likewise.
    """
    check_image(info['img_path'], stretch)
    label = info.get('seg_map_path')
    if label is None:
        return
    if '://' not in label and not os.path.exists(label):
        raise FileNotFoundError(
            f'label map {show_name(label)} of image {show_name(info["img_path"])} does not exist; '
            'check data_prefix.seg_map_path and seg_map_suffix of the dataset.'
        )
    check_label_map(label, channels)


def check_image(path: str | Path, stretch: str = 'none') -> None:
    """Refuse a file that is missing, not regular, damaged, no image, or refused by the rule.

    The rule is that of :mod:`.image_reading`.

    Every byte is read. A PNG whose checksums are right is not decoded, and a JPEG at an eighth of
    its sides.

    Args:
        path (str or Path): file, or an address that mmengine can read.
        stretch (str): as of :func:`.image_reading.read_image`.

    Raises:
        FileNotFoundError: If it does not exist; the message names it.
        ValueError: If it cannot be read; likewise.
    """
    if is_for_rasterio(path):
        read_image(path, stretch=stretch)
        return
    mode = _check_whole(path)
    if stretch == 'none':
        refuse_wide(mode, path)
    elif mode.startswith('F'):
        find_limits(np.zeros((1, 1), np.float32), stretch, show_name(path))


def check_label_map(path: str | Path, channels: int = 1) -> None:
    """Refuse what :func:`check_image` refuses, and images of other channels than stated.

    mmseg keeps the lowest 8 bits of a label, so wider ones would turn into other classes.

    Args:
        path (str or Path): as of :func:`check_image`.
        channels (int): 1, or 3 for ids as red + 256 green; each of 8 bits.

    Raises:
        FileNotFoundError: As of :func:`check_image`.
        ValueError: Likewise.
    """
    mode = _check_whole(path)
    if mode not in _LABEL_MODES[channels]:
        raise ValueError(
            f'label map {show_name(path)} must have {_LABEL_FORMATS[channels]}, but its mode is '
            f'{mode!r}; ' + _LABEL_FIXES[channels]
        )


def _check_whole(path: str | Path) -> str:
    """Refuse a damaged image; Pillow's word for its pixels."""
    with open_image(path) as image:
        mode = image.mode
        if image.format == 'PNG' and _has_right_checksums(image):
            return mode
        if image.format == 'JPEG':
            image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
            image.load()
            return mode
    decode_image(path)
    return mode


def _has_right_checksums(image: Image.Image) -> bool:
    """Whether those of a PNG file are; the image cannot be used afterwards."""
    try:
        image.verify()
    except Exception:  # of many types
        return False
    return True


def decode_image(path: str | Path) -> None:
    """Decode a whole image and throw it away.

    Args:
        path (str or Path): the file, or an address that mmengine can read.

    Raises:
        FileNotFoundError: If it does not exist; the message names it.
        ValueError: If it cannot be decoded; the message names it.
    """
    with open_image(path) as image:
        image.load()


def read_size(path: str | Path) -> tuple[int, int] | None:
    """The size of an image, turned as its EXIF data say, without decoding it.

    Args:
        path (str or Path): as of :func:`check_image`.

    Returns:
        tuple[int, int] or None: width and height in pixels; None if it is no image that Pillow
            knows.
    """
    is_local = '://' not in str(path)
    if is_local and not os.path.isfile(path):  # a pipe would be waited for
        return None
    try:
        # Of a local file, which may be as large as the memory, the header alone is read.
        with Image.open(path) if is_local else open_image(path) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) > 4
            return image.size[::-1] if turned else image.size
    except Exception:  # of many types
        return None
