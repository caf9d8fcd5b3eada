"""Find image files, and find out before any long work which of them cannot be read."""

import io
import os
from collections.abc import Iterable
from pathlib import Path

from mmengine import fileio
from PIL import Image, UnidentifiedImageError

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')

# First and last bytes of whole files. Bytes behind the end are legal, so a file that ends otherwise
# is suspect, not broken.
_SIGNATURES = {
    '.jpg': (b'\xff\xd8', b'\xff\xd9'),
    '.jpeg': (b'\xff\xd8', b'\xff\xd9'),
    '.png': (b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82'),
}

# Pillow's modes by channels of at most 8 bits. One: two levels, grey levels, indices of a palette.
_LABEL_MODES = {1: ('1', 'L', 'P'), 3: ('RGB',)}
# Grey levels as integers or floating-point numbers of 16 or 32 bits.
_WIDE_MODES = ('I', 'F')
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

    Links to folders are followed; a folder that can be reached twice is listed once.

    Args:
        folder (str or Path): where to look. Files and folders whose names start with a dot are
            passed over.
        suffixes (Iterable[str]): endings of the names to accept; case is ignored.

    Returns:
        list[str]: paths relative to the folder, with forward slashes, sorted.

    Raises:
        FileNotFoundError: If the folder is missing or holds no image.
    """
    root, endings = Path(folder), tuple(suffix.lower() for suffix in suffixes)
    if not root.is_dir():
        raise FileNotFoundError(
            f'image folder {root} does not exist; set data_root and data_prefix.img_path of the '
            'dataset to a folder of images.'
        )
    names: list[str] = []
    visited: set[str] = set()
    for place, subfolders, files in os.walk(root, followlinks=True):
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
    if not names:
        raise FileNotFoundError(
            f'image folder {root} holds no image ({", ".join(endings)}); check data_root and '
            'data_prefix.img_path of the dataset.'
        )
    return sorted(names)


def check_images(paths: Iterable[str | Path]) -> None:
    """Refuse files that are missing, empty, truncated, not images, or grey in more than 8 bits.

    JPEG and PNG files are judged by their first and last bytes and decoded only when these are
    unusual; of other kinds the header is read. What is grey in 16 bits would be read as white.

    Args:
        paths (Iterable[str or Path]): files to check.

    Raises:
        FileNotFoundError: If one does not exist; the message names it.
        ValueError: If one cannot be read; the message names it.
    """
    for path in paths:
        _check_readable(path)
        if str(path).lower().endswith(('.jpg', '.jpeg')):
            continue
        with Image.open(path) as image:
            mode = image.mode
        if mode.startswith(_WIDE_MODES):
            raise ValueError(
                f'image {path} must have at most 8 bits a channel, but its mode is {mode!r}; '
                'convert it to grey levels from 0 to 255, scaled as it is to be seen.'
            )


def _check_readable(path: str | Path) -> None:
    if not _ends_well(path):
        decode_image(path)


def check_label_maps(paths: Iterable[str | Path], channels: int = 1) -> None:
    """Refuse what :func:`check_images` refuses, and images of other channels than stated.

    mmseg keeps the lowest 8 bits of a label, so wider ones would turn into other classes.

    Args:
        paths (Iterable[str or Path]): files to check.
        channels (int): 1, or 3 for ids as red + 256 green; each of 8 bits.

    Raises:
        FileNotFoundError: If one does not exist; the message names it.
        ValueError: If one cannot be read or has another kind of pixels; the message names it.
    """
    for path in paths:
        _check_readable(path)
        with Image.open(path) as image:
            mode = image.mode
        if mode not in _LABEL_MODES[channels]:
            raise ValueError(
                f'label map {path} must have {_LABEL_FORMATS[channels]}, but its mode is {mode!r}; '
                + _LABEL_FIXES[channels]
            )


def decode_image(path: str | Path) -> None:
    """Decode a whole image and throw it away.

    Args:
        path (str or Path): the file, or an address that mmengine can read.

    Raises:
        FileNotFoundError: If it does not exist; the message names it.
        ValueError: If it cannot be decoded; the message names it.
    """
    try:
        with Image.open(io.BytesIO(fileio.get(path))) as image:
            image.load()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{path} does not exist; check data_root, data_prefix, ann_file and img_suffix of the '
            'dataset.'
        ) from error
    # Pillow reports broken files by errors of many types.
    except Exception as error:
        reason = 'of no known format' if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(
            f'{path} cannot be read as an image ({reason}); repair it, or take it out of the data '
            'set.'
        ) from error


def _ends_well(path: str | Path) -> bool:
    """Whether the file's ends are those of a whole file of its kind."""
    signature = _SIGNATURES.get(Path(path).suffix.lower())
    try:
        if signature is None:
            with Image.open(path):
                return True
        start, end = signature
        with open(path, 'rb') as file:
            if file.read(len(start)) != start:
                return False
            file.seek(-len(end), 2)
            return file.read() == end
    except OSError:
        return False
