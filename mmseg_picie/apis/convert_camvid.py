"""CamVid, from its common public layout to the one that this project's configs read.

`picie convert camvid --help` shows both layouts.
"""

import logging
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from ..datasets.conversion import new_folder, read_pixels, warn_of_counts
from ..engine.progress import track

SOURCE_VOID = 11
VOID = 255
PUBLISHED_COUNTS = {'train': 367, 'val': 101, 'test': 233}

logger = logging.getLogger('camvid')


def convert(src: str | Path, out: str | Path, link: bool = False) -> dict[str, int]:
    """Convert the whole release; on any error `out` is left as it was.

    Args:
        src: Folder of the public release.
        out: Folder to make. It must not exist, or be empty.
        link: Make symbolic links to the images rather than copies.

    Returns:
        Split -> number of images.

    Raises:
        FileNotFoundError: A folder, an image or an annotation is missing.
        FileExistsError: `out` has something in it.
        ValueError: A file cannot be read, an annotation is not one channel of ids 0..11, or its
            size is not its image's.
    """
    src, out = Path(src), Path(out)
    with new_folder(out) as partial:
        pairs = {split: list_pairs(src, split) for split in PUBLISHED_COUNTS}
        counts = {split: len(found) for split, found in pairs.items()}
        warn_of_counts(logger, counts, PUBLISHED_COUNTS)
        jobs = [(split, *pair) for split in pairs for pair in pairs[split]]
        for split, image, annotation in track(jobs, 'Converting', len(jobs)):
            convert_pair(image, annotation, partial, split, link)
    return counts


def list_pairs(src: Path, split: str) -> list[tuple[Path, Path]]:
    """List the images of one split with their annotations, in order of name.

    Args:
        src: Folder of the public release.
        split: Name of the split.

    Returns:
        (image, annotation) paths.
    """
    found = {}
    for folder in (src / split, src / f'{split}annot'):
        if not folder.is_dir():
            raise FileNotFoundError(
                f'SRC must have the folders train, val, test and trainannot, valannot, testannot, '
                f'and {folder} is missing; give the folder that holds all six'
            )
        found[folder] = {path.name: path for path in folder.glob('*.png')}
        if not found[folder]:
            raise FileNotFoundError(f'{folder} must hold *.png files and has none; unpack it again')
    images, annotations = found.values()
    for name in sorted(images.keys() ^ annotations.keys()):
        if name in images:
            raise FileNotFoundError(
                f'image {images[name]} has no annotation of the same name in {src / split}annot; '
                'add it or remove the image'
            )
        raise FileNotFoundError(
            f'annotation {annotations[name]} has no image of the same name in {src / split}; '
            'add it or remove the annotation'
        )
    return [(images[name], annotations[name]) for name in sorted(images)]


def convert_pair(image: Path, annotation: Path, out: Path, split: str, link: bool) -> None:
    """Check one image and its annotation and write both.

    Args:
        image: Image file.
        annotation: Annotation file with ids 0..11.
        out: Folder to write under; made where needed.
        split: Name of the split.
        link: Link the image rather than copy it.
    """
    labels = read_labels(annotation)
    height, width = read_pixels(image).shape[:2]
    if labels.shape != (height, width):
        raise ValueError(
            f'{annotation} must be as large as its image, {width} x {height}, got '
            f'{labels.shape[1]} x {labels.shape[0]}; take both from the same release'
        )
    image_out = out / 'images' / split / image.name
    annotation_out = out / 'annotations' / split / annotation.name
    for path in (image_out, annotation_out):
        path.parent.mkdir(parents=True, exist_ok=True)
    if link:
        image_out.symlink_to(image.resolve())
    else:
        shutil.copyfile(image, image_out)
    Image.fromarray(labels).save(annotation_out)


def read_labels(path: Path) -> np.ndarray:
    """Read an annotation and put 255 for void.

    Args:
        path: Image file of one channel, or one with a palette, whose indices then count.

    Returns:
        Array (H, W), uint8, of 0..10 and 255.
    """
    labels = read_pixels(path)
    if labels.ndim != 2:
        raise ValueError(
            f'{path} must have one channel of class ids, got {labels.shape[2]} channels; '
            'colour-coded annotations must be turned into ids first'
        )
    wrong = np.unique(labels[(labels < 0) | (labels > SOURCE_VOID)])
    if wrong.size:
        raise ValueError(
            f'{path} must have the values 0..{SOURCE_VOID} only, got {", ".join(map(str, wrong))}; '
            'take the annotations of the 11-class release'
        )
    return np.where(labels == SOURCE_VOID, VOID, labels).astype(np.uint8)
