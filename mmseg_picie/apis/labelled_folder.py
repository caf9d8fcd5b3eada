"""Labelled images among those of a folder, for scores and names."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.config import Config

from ..clustering.naming import distinct_palette
from ..datasets.image_files import check_label_map, find_faults, find_images, read_size
from ..datasets.image_reading import open_image
from ..datasets.text_files import read_lines
from ..printing import show_name
from ..whole_files import write_whole

#: List of the names of classes, in the folder of label maps.
CLASSES_FILE = 'classes.txt'
IGNORED = 255


class LabelledImages(NamedTuple):
    """Images with label maps.

    Attributes:
        names (list[str]): images, relative to their folder.
        classes (list[str]): what the ids are called.
        unused (int): label maps without an image.
    """

    names: list[str]
    classes: list[str]
    unused: int


def find_labelled(images: str | Path, labels: str | Path) -> LabelledImages:
    """Pair label maps with images of the same name.

    Args:
        images (str or Path): folder of images, nested or flat.
        labels (str or Path): folder of label maps in the same tree, ``NAME.png`` for the image
            ``NAME.jpg``: one channel of 8 bits, class ids from 0, 255 where there is none. A file
            ``classes.txt`` in it may name the classes, one a line.

    Returns:
        LabelledImages: at least one image.

    Raises:
        FileNotFoundError: If a folder is missing or holds no image.
        ValueError: If no label map has an image, two images have one label map, a label map is of
            another kind or size, or has an id without a name.
    """
    found: dict[str, str] = {}
    maps = {Path(name).with_suffix('').as_posix() for name in _find_maps(labels)}
    for name in filter(str.isprintable, find_images(images)):  # others cannot stand in a list
        stem = Path(name).with_suffix('').as_posix()
        if stem in maps and stem in found:
            raise ValueError(
                f'{show_name(Path(labels, stem))}.png is the label map of {show_name(found[stem])} '
                f'and of {show_name(name)}; rename one of the images.'
            )
        if stem in maps:
            found[stem] = name
    if not found:
        example = sorted(maps)[0]
        raise ValueError(
            f'no label map of {labels} has the name of an image of {images}: there is '
            f'{show_name(example)}.png, but no image {show_name(example)}; name each label map as '
            'its image, with .png at the end.'
        )
    paths = [str(Path(labels, stem + '.png')) for stem in found]
    for fault in find_faults(check_label_map, paths):
        if fault is not None:
            raise fault
    for path, name in zip(paths, found.values(), strict=True):
        _refuse_other_size(path, Path(images, name))
    highest = _find_highest(paths)
    names = _read_classes(Path(labels, CLASSES_FILE), highest, paths)
    return LabelledImages(list(found.values()), names, len(maps) - len(found))


def _find_maps(labels: str | Path) -> list[str]:
    """Label maps below a folder."""
    if not Path(labels).is_dir():
        raise FileNotFoundError(
            f'labels is {show_name(labels)}, but there is no such folder; give a folder of label '
            'maps.'
        )
    try:
        return find_images(labels, ('.png',))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'labels is {show_name(labels)}, which holds no label map; write them there as '
            'NAME.png for the image NAME.jpg.'
        ) from error


def _refuse_other_size(label: str, image: Path) -> None:
    """Refuse a label map of another size than its image, if that is known without decoding it."""
    sizes = read_size(label), read_size(image)
    if None not in sizes and sizes[0] != sizes[1]:
        (width, height), (image_width, image_height) = sizes  # type: ignore[misc]
        raise ValueError(
            f'label map {show_name(label)} is {width} x {height} pixels, but its image '
            f'{show_name(image)} is {image_width} x {image_height}; they must have one size.'
        )


def add_validation(
    config: Config, images: str | Path, labels: str | Path, found: LabelledImages, listing: Path
) -> None:
    """Have a training validate with labelled images, which also names its clusters.

    Args:
        config (Config): of a training on a folder; changed in place.
        images (str or Path): folder of the images.
        labels (str or Path): folder of their label maps.
        found (LabelledImages): of :func:`find_labelled`.
        listing (Path): file to write, with the names of the labelled images.
    """
    write_whole(listing, '\n'.join(found.names) + '\n')
    steps = list(config.test_pipeline)
    pipeline = [steps[0], dict(type='LoadAnnotations'), *steps[1:]]
    config.val_dataloader = dict(
        batch_size=16,
        num_workers=2,
        persistent_workers=True,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='KeyedSegDataset',
            ann_file=str(listing.absolute()),
            data_prefix=dict(
                img_path=str(Path(images).absolute()), seg_map_path=str(Path(labels).absolute())
            ),
            metainfo=dict(classes=found.classes, palette=distinct_palette(len(found.classes))),
            pipeline=pipeline,
        ),
    )
    config.val_evaluator = dict(type='HungarianIoUMetric')
    config.val_cfg = dict(type='ValLoop')


def _find_highest(paths: Sequence[str]) -> int:
    """The highest class id of all label maps."""
    highest = -1
    for path in paths:
        with open_image(path) as image:
            ids = np.unique(np.array(image))
        highest = max(highest, *(int(found) for found in ids if found != IGNORED), -1)
    return highest


def _read_classes(path: Path, highest: int, paths: Sequence[str]) -> list[str]:
    """Names of the classes: those of a file, else numbers."""
    if highest < 0:
        raise ValueError(
            f'the {len(paths)} label maps beside {paths[0]} hold no class, only {IGNORED} '
            '(ignored); label some pixels with ids from 0.'
        )
    if not path.is_file():
        return [f'class {index}' for index in range(highest + 1)]
    names = read_lines(path, 'list of classes', 'class')
    if len(names) <= highest:
        raise ValueError(
            f'{path} names {len(names)} classes, ids 0 to {len(names) - 1}, but the label maps '
            f'beside it hold the id {highest}; add its name, or set such pixels to {IGNORED}.'
        )
    return names
