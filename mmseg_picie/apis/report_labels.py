"""Label maps of some images, for a report."""

from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.config import Config
from mmseg.registry import DATASETS
from numpy.typing import NDArray
from PIL import Image

from ..datasets.base import INVALID_LABEL, KeyedSegDataset, unchecked_files
from ..datasets.image_files import check_label_map
from ..datasets.text_files import read_lines
from .json_files import read_json
from .labelled_folder import CLASSES_FILE
from .prediction import Source, find_sources
from .run_history import Run
from .segment_request import RUN_FILE

#: Reads the classes of an image: (H, W), 255 where there is none; None if it has no labels.
ReadLabels = Callable[[Source], NDArray | None]
# Values of a label map.
_ALL = 256


class Labels(NamedTuple):
    """Labels of some images.

    Attributes:
        classes (Sequence[str]): names of C classes.
        read (Callable): gives those of an image.
        of (str): what to call these images.
    """

    classes: Sequence[str]
    read: ReadLabels
    of: str = 'the labelled images'


def read_label_folder(folder: str | Path, sources: Sequence[Source], config: Config) -> Labels:
    """Take label maps from a folder.

    They are named as the images, up to the endings that the config's data set states. What values
    mean is said by a file ``classes.txt`` in the folder, one name a line, or else by that data set;
    without both they are numbers of classes. 255 is no class.

    Args:
        folder (str or Path): label maps, nested as the images are.
        sources (Sequence[Source]): images.
        config (Config): of the training.

    Returns:
        Labels: of the folder.

    Raises:
        FileNotFoundError: If no image has a label map.
        ValueError: If one holds a value that is no class; when it is read.
    """
    dataset = _labelled_dataset(config)
    image_end, label_end = '', '.png'
    if dataset is not None:
        image_end = Path(dataset.img_suffix or '').stem if dataset.img_suffix else ''
        label_end = dataset.seg_map_suffix

    def find(source: Source) -> Path:
        return Path(folder, source.name.removesuffix(image_end) + label_end)

    if not any(find(source).is_file() for source in sources):
        raise FileNotFoundError(
            f'{folder} holds no label map of these images, such as {find(sources[0])}; name label '
            'maps as the images, and give the folder that lies beside that of the images.'
        )
    table, classes = np.arange(_ALL), [f'class {i}' for i in range(_ALL - 1)]
    listing = Path(folder, CLASSES_FILE)
    if listing.is_file():
        classes = read_lines(listing)
        table[len(classes) : -1] = INVALID_LABEL
    elif dataset is not None and dataset.metainfo.get('classes'):
        table, classes = dataset.label_lut.astype(int), list(dataset.metainfo['classes'])

    def read(source: Source) -> NDArray | None:
        path = find(source)
        if not path.is_file():
            return None
        check_label_map(path)
        with Image.open(path) as image:
            raw = np.array(image).astype(np.uint8)
        labels = table[raw]
        if (labels == INVALID_LABEL).any():
            raise ValueError(
                f'label map {path} holds the value {raw[labels == INVALID_LABEL][0]}, which is '
                f'none of the {len(classes)} classes; convert it, or say by {listing}, one a line, '
                'what the values from 0 on are called.'
            )
        return labels

    return Labels(classes, read)


def images_of(run: Run, config: Config) -> list[Source]:
    """The images that a model was trained on.

    Args:
        run (Run): its training.
        config (Config): of the training.

    Returns:
        list[Source]: all of them.

    Raises:
        FileNotFoundError: If they are not there.
        ValueError: If nothing says which files they are.
    """
    if run.config is not None:
        return training_images(config)
    path = run.checkpoint.with_name(RUN_FILE)
    settings = read_json(path).get('settings') if path.is_file() else None
    folder = settings.get('folder') if isinstance(settings, dict) else None
    if not isinstance(folder, str):
        raise ValueError(
            f'nothing beside {run.checkpoint} says which images it was trained on; give a folder '
            'of images by --images.'
        )
    return find_sources([folder])


def training_images(config: Config) -> list[Source]:
    """The images that a config trains on.

    Args:
        config (Config): with a training.

    Returns:
        list[Source]: in the order of the data set.

    Raises:
        FileNotFoundError: If they are not there.
        ValueError: If the config does not say which files they are.
    """
    settings = (config.get('train_dataloader') or {}).get('dataset')
    if not settings or not issubclass(DATASETS.get(settings.type) or object, KeyedSegDataset):
        raise ValueError(
            'the config does not say which files it trains on; give a folder of images by --images.'
        )
    try:
        with unchecked_files():
            dataset = DATASETS.build(dict(settings, pipeline=[]))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            'the images that the config trains on are not there; give a folder of images by '
            f'--images, or go to the folder that the paths of the config count from ({error})'
        ) from error
    folder = dataset.data_prefix.get('img_path') or ''
    paths = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    return [Source(path, _name(path, folder)) for path in paths]


def _name(path: str, folder: str) -> str:
    place = Path(path)
    if folder and place.is_relative_to(folder):
        place = place.relative_to(folder)
    elif '://' in path:
        place = Path(*place.parts[2:])
    return place.with_suffix('').as_posix()


def _labelled_dataset(config: Config) -> KeyedSegDataset | None:
    """The data set that knows the classes, without a look at its files."""
    for loader in ('val_dataloader', 'train_dataloader'):
        settings = (config.get(loader) or {}).get('dataset')
        if not settings:
            continue
        kind = DATASETS.get(settings.type)
        if isinstance(kind, type) and issubclass(kind, KeyedSegDataset):
            lazy = dict(lazy_init=True) if 'lazy_init' in signature(kind).parameters else {}
            with unchecked_files():
                return DATASETS.build(dict(settings, pipeline=[], **lazy))
    return None
