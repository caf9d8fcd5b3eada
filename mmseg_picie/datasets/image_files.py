"""Find image files, and find out before any long work which of them cannot be read."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')

# First and last bytes of whole files. Bytes behind the end are legal, so a file that ends otherwise
# is suspect, not broken.
_SIGNATURES = {
    '.jpg': (b'\xff\xd8', b'\xff\xd9'),
    '.jpeg': (b'\xff\xd8', b'\xff\xd9'),
    '.png': (b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82'),
}


def find_images(folder: str | Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> list[str]:
    """List the image files below a folder, nested or flat.

    Args:
        folder (str or Path): where to look. Names that start with a dot are passed over.
        suffixes (Iterable[str]): endings to accept, in lower case; the case of a name is ignored.

    Returns:
        list[str]: paths relative to the folder, with forward slashes, sorted.

    Raises:
        FileNotFoundError: If the folder is missing or holds no image.
    """
    root, suffixes = Path(folder), tuple(suffixes)
    if not root.is_dir():
        raise FileNotFoundError(
            f'image folder {root} does not exist; set data_root and data_prefix.img_path of the '
            'dataset to a folder of images.'
        )
    names = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob('*')
        if path.suffix.lower() in suffixes and not path.name.startswith('.') and path.is_file()
    )
    if not names:
        raise FileNotFoundError(
            f'image folder {root} holds no image ({", ".join(suffixes)}); check data_root and '
            'data_prefix.img_path of the dataset.'
        )
    return names


def check_images(paths: Iterable[str | Path]) -> None:
    """Refuse files that are missing, empty, truncated or not images.

    JPEG and PNG files are judged by their first and last bytes and decoded only when these are
    unusual; of other kinds the header is read. About 30 microseconds a file on a local disk.

    Args:
        paths (Iterable[str or Path]): files to check.

    Raises:
        ValueError: If one cannot be read; the message names it.
    """
    for path in paths:
        if not _ends_well(path):
            decode_image(path)


def decode_image(path: str | Path) -> None:
    """Decode a whole image and throw it away.

    Args:
        path (str or Path): the file.

    Raises:
        ValueError: If it cannot be decoded; the message names it.
    """
    try:
        with Image.open(path) as image:
            image.load()
    # Pillow reports broken files by all of these.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f'{path} cannot be read as an image ({error}); repair the file or remove it.'
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
