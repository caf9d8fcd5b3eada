"""ImageNet-S-50, from an ImageNet-1k folder and the benchmark's public label maps.

`picie convert imagenet-s50 --help` shows the layouts.
"""

import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..datasets.conversion import new_folder, read_names, read_pixels, warn_of_counts
from ..datasets.imagenet_s50 import PUBLISHED_COUNTS, SYNSETS
from ..datasets.transforms import decode_rg
from ..engine.progress import track

IGNORE_ID = 1000
LABEL_FOLDER = 'validation-segmentation'

logger = logging.getLogger('imagenet_s50')


def convert(
    imagenet: str | Path,
    segmentation: str | Path,
    out: str | Path,
    copy: bool = False,
    test_list: str | Path | None = None,
) -> dict[str, int]:
    """Make the whole data set; on any error `out` is left as it was.

    Args:
        imagenet: Folder of ImageNet-1k.
        segmentation: Folder of the benchmark's label maps.
        out: Folder to make. It must not exist, or be empty.
        copy: Copy the files rather than link them.
        test_list: Text file with the name of one test image a line.

    Returns:
        Split -> number of images.

    Raises:
        FileNotFoundError: A folder, or the image of a label map or of the list, is missing.
        FileExistsError: `out` has something in it.
        ValueError: A label map is broken or not the benchmark's, or an image would be in both the
            validation and the test set.
    """
    imagenet, segmentation, out = Path(imagenet), Path(segmentation), Path(out)
    with new_folder(out) as partial:
        labels = list_label_maps(find_label_folder(segmentation))
        splits = choose_images(
            list_training_images(imagenet / 'train'),
            list_validation_images(imagenet / 'val'),
            labels,
            None if test_list is None else read_names(Path(test_list)),
        )
        counts = {split: len(found) for split, found in splits.items()}
        warn_of_counts(logger, counts, PUBLISHED_COUNTS)
        if test_list is None:
            logger.warning(
                'without --test-list there is no test split, and training images that the '
                'benchmark tests with stay in train'
            )
        for label in track(labels, 'Checking label maps', len(labels)):
            check_label_map(label)
        splits[LABEL_FOLDER] = {f'{path.parent.name}/{path.name}': path for path in labels}
        for folder, files in splits.items():
            for name, source in track(files.items(), f'Writing {folder}', len(files)):
                write(source, partial / folder / name, copy)
    return counts


def find_label_folder(segmentation: Path) -> Path:
    """Find the folder of label maps in the benchmark's archive, or in the folder above it.

    Args:
        segmentation: What the user named.

    Returns:
        The folder with the 50 folders of synsets.
    """
    if segmentation.name == LABEL_FOLDER and segmentation.is_dir():
        return segmentation
    for folder in (segmentation / LABEL_FOLDER, segmentation / 'ImageNetS50' / LABEL_FOLDER):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f'SEGMENTATION must have the folder {LABEL_FOLDER}, and {segmentation / LABEL_FOLDER} is '
        'missing; give the folder of the unpacked ImageNet-S-50 archive'
    )


def list_label_maps(folder: Path) -> list[Path]:
    """List the label maps in order of synset and name.

    Args:
        folder: Folder of folders by synset.

    Returns:
        Their paths.
    """
    foreign = sorted(path.name for path in folder.iterdir() if path.is_dir())
    foreign = [name for name in foreign if name not in SYNSETS]
    if foreign:
        raise ValueError(
            f'{folder} must have folders of the 50 synsets only, but it has {foreign[0]}; take the '
            'archive of ImageNet-S-50, as ImageNet-S of other sizes counts its ids otherwise'
        )
    labels = sorted(folder.glob('*/*.png'))
    if not labels:
        raise FileNotFoundError(f'{folder} must hold */*.png and has none; unpack it again')
    return labels


def list_training_images(folder: Path) -> dict[str, Path]:
    """List ImageNet's training images of the 50 synsets.

    Args:
        folder: Folder of folders by synset.

    Returns:
        Name without suffix -> path.
    """
    found: dict[str, Path] = {}
    for synset in SYNSETS:
        if not (folder / synset).is_dir():
            raise FileNotFoundError(
                f'IMAGENET must have the training images of 50 synsets, and {folder / synset} is '
                'missing; give the folder that holds train and val, with train unpacked by synset'
            )
        images = list_jpegs((folder / synset).iterdir())
        if not images:
            raise FileNotFoundError(
                f'{folder / synset} must hold *.JPEG files and has none; unpack it again'
            )
        found.update(images)
    return found


def list_validation_images(folder: Path) -> dict[str, Path]:
    """List ImageNet's validation images, flat or in folders by synset.

    Args:
        folder: Folder of validation images.

    Returns:
        Name without suffix -> path.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f'IMAGENET must have the folder val, and {folder} is missing; give the folder that '
            'holds train and val'
        )
    return list_jpegs([*folder.iterdir(), *folder.glob('n*/*')])


def list_jpegs(paths: Iterable[Path]) -> dict[str, Path]:
    """Choose the JPEG files, in order.

    Args:
        paths: Any files and folders.

    Returns:
        Name without suffix -> path.
    """
    chosen = (path for path in paths if path.suffix.lower() in ('.jpeg', '.jpg'))
    return {path.stem: path for path in sorted(chosen)}


def choose_images(
    training: Mapping[str, Path],
    validation: Mapping[str, Path],
    labels: Sequence[Path],
    test_names: Sequence[str] | None,
) -> dict[str, dict[str, Path]]:
    """Deal ImageNet's images out to the splits of the benchmark.

    Args:
        training: Name -> path of ImageNet's training images.
        validation: Name -> path of ImageNet's validation images.
        labels: Label maps, each in the folder of its synset.
        test_names: Names of the test images, without suffix; None if they are not known.

    Returns:
        Split -> relative path in the split -> image.
    """
    everything = {**validation, **training}
    chosen: dict[str, Path] = {}
    for label in labels:
        if label.stem not in everything:
            raise FileNotFoundError(
                f'label map {label} has no image of its name in IMAGENET/train or IMAGENET/val; '
                'unpack ImageNet-1k again'
            )
        image = everything[label.stem]
        chosen[f'{label.parent.name}/{image.name}'] = image
    taken = {label.stem for label in labels}
    test: dict[str, Path] = {}
    for name in test_names or ():
        if name not in everything:
            raise FileNotFoundError(
                f'test image {name} of --test-list is neither in IMAGENET/train nor in '
                'IMAGENET/val; unpack ImageNet-1k again, or correct the list'
            )
        if name in taken:
            raise ValueError(
                f'image {name} of --test-list has a label map in {LABEL_FOLDER}; a test image must '
                'have none, so correct the list'
            )
        test[everything[name].name] = everything[name]
    taken.update(test_names or ())
    rest = {f'{p.parent.name}/{p.name}': p for stem, p in training.items() if stem not in taken}
    splits = {'train': rest, 'validation': chosen}
    return splits if test_names is None else {**splits, 'test': test}


def check_label_map(path: Path) -> None:
    """Refuse a label map that is broken or holds other ids than the benchmark's.

    Args:
        path: Label map.
    """
    ids = np.unique(decode_rg(read_pixels(path), str(path)))
    wrong = ids[(ids > len(SYNSETS)) & (ids != IGNORE_ID)]
    if wrong.size:
        raise ValueError(
            f'{path} must have the ids 0..{len(SYNSETS)} and {IGNORE_ID} only, got '
            f'{", ".join(map(str, wrong))}; take the archive of ImageNet-S-50'
        )


def write(source: Path, target: Path, copy: bool) -> None:
    """Link or copy one file; folders are made where needed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if copy:
        shutil.copyfile(source, target)
    else:
        target.symlink_to(source.resolve())
