"""Look at a folder of photographs before anything is done with them."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageStat

from ..datasets.image_files import IMAGE_SUFFIXES, find_images
from ..datasets.image_reading import (
    is_for_rasterio,
    is_wide,
    open_image,
    read_file,
    read_image,
    refuse_wide,
)
from ..datasets.near_duplicates import SIDE, fingerprint, group_alike, shrink_look
from ..engine.progress import track
from ..printing import show_name
from ..threads import get_threads

# Files that are asked for before the results of the first are taken.
_AT_ONCE = 1000
# Larger images are decoded one at a time, as each thread would hold one.
_LARGE_PIXELS = 25_000_000
_decoding_large = Lock()
# Levels that colours of one colour, or channels of a grey image, differ by in a JPEG file.
_TOLERANCE = 3
# So many files of a kind are named.
_NAMED = 3


class FolderSurvey(NamedTuple):
    """What is in a folder of photographs. Names are relative to it, with forward slashes, sorted.

    Attributes:
        names (list[str]): images that can be read.
        sizes (NDArray): (n, 2) int64, width and height of each, turned as its EXIF data say.
        unreadable (dict[str, str]): the others, and for each a sentence that says why.
        copies (list[list[str]]): groups of files with the same content, byte by byte.
        alike (list[list[str]]): groups of images that show the same picture, saved again, scaled
            or slightly brighter, or a moment later. One of each of the ``copies`` is among them.
        flat (list[str]): images of one colour.
        grey (list[str]): images without colour; none that is ``flat``.
        stacks (list[str]): files of several pages or frames, of which the first is the image.
    """

    names: list[str]
    sizes: NDArray[np.int64]
    unreadable: dict[str, str]
    copies: list[list[str]]
    alike: list[list[str]]
    flat: list[str]
    grey: list[str]
    stacks: list[str]


class _Look(NamedTuple):
    """What is kept of an image."""

    size: tuple[int, int]
    is_flat: bool
    is_grey: bool
    is_stack: bool
    fingerprint: np.uint64
    look: NDArray[np.int8]


def survey_folder(folder: str | Path, stretch: str = 'none') -> FolderSurvey:
    """Look at all images below a folder, each decoded once, on threads.

    A JPEG is decoded at an eighth of its sides. Beside the images that are being decoded, less
    than a kilobyte is held for each file.

    Args:
        folder (str or Path): as of :func:`list_photographs`.
        stretch (str): as of :func:`..datasets.image_reading.read_image`.

    Returns:
        FolderSurvey: of them.

    Raises:
        FileNotFoundError: If the folder is missing or holds no image.
        ValueError: If no image can be read.
    """
    root, names = Path(folder), list_photographs(folder)
    looks: dict[str, _Look] = {}
    unreadable: dict[str, str] = {}
    found = track(_look_at_all(root, names, stretch), 'Looking at images', len(names))
    for name, result in zip(names, found, strict=True):
        if isinstance(result, _Look):
            looks[name] = result
        else:
            unreadable[name] = str(result)
    if not looks:
        raise ValueError(
            f'no image of folder {show_name(root)} can be read, of {len(names):,}: '
            f'{unreadable[names[0]]}'
        )
    copies = _find_copies(root, looks)
    again = {name for group in copies for name in group[1:]}
    return FolderSurvey(
        names=list(looks),
        sizes=np.array([look.size for look in looks.values()], np.int64),
        unreadable=unreadable,
        copies=copies,
        alike=_find_alike({name: look for name, look in looks.items() if name not in again}),
        flat=[name for name, look in looks.items() if look.is_flat],
        grey=[name for name, look in looks.items() if look.is_grey and not look.is_flat],
        stacks=[name for name, look in looks.items() if look.is_stack],
    )


def list_photographs(folder: str | Path) -> list[str]:
    """Names of all images below a folder, relative to it, sorted.

    Args:
        folder (str or Path): whose images, of :data:`IMAGE_SUFFIXES`, are meant, nested or flat.

    Returns:
        list[str]: at least one.

    Raises:
        FileNotFoundError: If the folder is missing or holds no image.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(
            f'folder {show_name(root)} does not exist; give a folder of photographs.'
        )
    try:
        return find_images(root)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'folder {show_name(root)} holds no image ({", ".join(IMAGE_SUFFIXES)}); give a folder '
            'of photographs.'
        ) from error


def describe_survey(survey: FolderSurvey) -> list[str]:
    """Lines to print about a folder.

    Args:
        survey (FolderSurvey): of :func:`survey_folder`.

    Returns:
        list[str]: one line or more, the first with numbers and sizes.
    """
    lines = [f'{len(survey.names):,} images, width x height {_describe_sizes(survey.sizes)}']
    wide, high = survey.sizes.T
    shapes = [
        f'{int(chosen.sum()):,} {name}'
        for name, chosen in (
            ('wider than high', wide > high),
            ('higher than wide', wide < high),
            ('square', wide == high),
        )
        if chosen.any()
    ]
    if len(shapes) > 1:
        lines.append('of mixed shapes: ' + ', '.join(shapes))
    lines += _describe_names('of one colour', survey.flat)
    lines += _describe_names('without colour', survey.grey)
    lines += _describe_names('of several pages, of which only the first is seen', survey.stacks)
    lines += _describe_groups('the same file as another', survey.copies)
    lines += _describe_groups('nearly the same picture as another', survey.alike)
    if survey.unreadable:
        lines.append(f'{len(survey.unreadable):,} cannot be read and are left out:')
        lines += [f'  {sentence}' for sentence in list(survey.unreadable.values())[:_NAMED]]
        more = len(survey.unreadable) - _NAMED
        lines += [f'  and {more:,} more'] if more > 0 else []
    return lines


def _look_at_all(root: Path, names: Sequence[str], stretch: str) -> Iterator[_Look | Exception]:
    """What is kept of each image, or why it cannot be read, in their order."""

    def look(name: str) -> _Look | Exception:
        try:
            return _look_at(root / name, stretch)
        except (OSError, ValueError) as error:
            return error

    for start in range(0, len(names), _AT_ONCE):
        yield from get_threads().map(look, names[start : start + _AT_ONCE])


def _look_at(path: Path, stretch: str) -> _Look:
    """Decode an image, and keep little of it."""
    if is_for_rasterio(path):
        colour = Image.fromarray(read_image(path, stretch=stretch)[..., ::-1])
        return _keep(colour, colour.size, _UPRIGHT, is_stack=False)
    with open_image(path) as image:
        is_stretched = stretch != 'none' and is_wide(image)
        if not is_stretched:
            refuse_wide(image.mode, path)
        size, turned = image.size, image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
        is_large = image.format != 'JPEG' and size[0] * size[1] > _LARGE_PIXELS
        with _decoding_large if is_large else nullcontext():
            # Of a JPEG, an eighth of the sides costs a fraction of the time.
            image.draft('RGB', (max(SIDE, size[0] // 8), max(SIDE, size[1] // 8)))
            if is_stretched:
                colour = Image.fromarray(read_image(path, stretch=stretch)[..., ::-1])
                size, turned = colour.size, _UPRIGHT
            elif image.mode in ('La', 'RGBa'):  # colours that alpha is multiplied into
                image.load()
                colour = image.convert(image.mode.upper()).convert('RGB')
            else:
                colour = image.convert('RGB')
            return _keep(colour, size, turned, _has_more_pages(image))


def _keep(colour: Image.Image, size: tuple[int, int], turned: int, is_stack: bool) -> _Look:
    """What is kept of an image that is decoded, and perhaps made smaller."""
    extremes = ImageStat.Stat(colour).extrema
    small = colour.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=3)
    if turned in _TURNS:
        small = small.transpose(_TURNS[turned])
    levels = np.asarray(small).astype(np.int16)
    grey = np.asarray(small.convert('L'))
    return _Look(
        size=size[::-1] if turned > 4 else size,
        is_flat=all(high - low <= _TOLERANCE for low, high in extremes),
        is_grey=int(np.ptp(levels, axis=2).max()) <= _TOLERANCE,
        is_stack=is_stack,
        fingerprint=fingerprint(grey),
        look=shrink_look(grey),
    )


def _has_more_pages(image: Image.Image) -> bool:
    """Whether a file holds other pictures than its first: no smaller copies or masks of it."""
    if image.format != 'TIFF':  # a JPEG of a telephone holds a preview, a WebP may be animated
        return image.format in ('WEBP', 'PNG') and getattr(image, 'n_frames', 1) > 1
    for page in range(1, getattr(image, 'n_frames', 1)):
        image.seek(page)
        if not image.tag_v2.get(_SUBFILE_TYPE, 0) & _COPY_OR_MASK:  # type: ignore[attr-defined]
            return True
    return False


#: TIFF's tag of what a page is to others, and its bits of a smaller copy and of a mask.
_SUBFILE_TYPE, _COPY_OR_MASK = 254, 0b101

#: EXIF's orientation of an image that lies as it is to be seen, and how others are undone.
_UPRIGHT = 1
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _find_copies(root: Path, looks: dict[str, _Look]) -> list[list[str]]:
    """Groups of equal files; only those of one length and one fingerprint are read again."""
    candidates = defaultdict(list)
    for name, look in looks.items():
        candidates[(root / name).stat().st_size, look.size, look.fingerprint].append(name)
    groups: dict[bytes, list[str]] = defaultdict(list)
    for names in candidates.values():
        if len(names) > 1:
            for name in names:
                groups[hashlib.blake2b(read_file(root / name)).digest()].append(name)
    return sorted(group for group in groups.values() if len(group) > 1)


def _find_alike(looks: dict[str, _Look]) -> list[list[str]]:
    """Groups of images that show the same picture; one colour is no picture."""
    names = [name for name, look in looks.items() if not look.is_flat]
    if not names:
        return []
    groups = group_alike(
        np.array([looks[name].fingerprint for name in names]),
        np.stack([looks[name].look for name in names]),
    )
    return [[names[index] for index in group] for group in groups]


def _describe_sizes(sizes: NDArray[np.int64]) -> str:
    """One size, or the smallest, the median and the largest by their pixels."""
    if len(Counter(map(tuple, sizes.tolist()))) == 1:
        return f'{sizes[0, 0]} x {sizes[0, 1]}'
    order = sizes[np.argsort(sizes.prod(1), kind='stable')]
    low, median, high = (f'{w} x {h}' for w, h in order[[0, (len(order) - 1) // 2, -1]].tolist())
    return f'from {low} to {high}, median {median}'


def _describe_names(what: str, names: Sequence[str]) -> list[str]:
    """A line that counts and names, or none."""
    if not names:
        return []
    shown = ', '.join(show_name(name) for name in names[:_NAMED])
    return [f'{len(names):,} {what}: {shown}' + (' ...' if len(names) > _NAMED else '')]


def _describe_groups(what: str, groups: Sequence[Sequence[str]]) -> list[str]:
    """A line that counts what is there again, with examples, or none."""
    if not groups:
        return []
    pairs = [f'{show_name(group[1])} = {show_name(group[0])}' for group in groups[:_NAMED]]
    number = sum(len(group) - 1 for group in groups)
    dots = ' ...' if number > len(pairs) else ''
    return [f'{number:,} {what}: ' + ', '.join(pairs) + dots]
