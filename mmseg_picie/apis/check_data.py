"""Check the data that a config reads, before a run does."""

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from numpy.typing import NDArray

from ..datasets import KeyedSegDataset
from ..engine.progress import track

logger = logging.getLogger('check_data')


def check_split(cfg: Config, split: str, workers: int) -> str:
    """Check the data of one data loader.

    Args:
        cfg: The whole config.
        split: train or val.
        workers: Threads that read label maps.

    Returns:
        What was found: a line, and one with the shares of the classes if there are labels.

    Raises:
        FileNotFoundError: A folder, list, image or label map is missing.
        ValueError: A file cannot be read, or a label map holds a wrong value or has another size
            than its image.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    found, shares = f'{split}: {len(dataset):,} images', ''
    if 'seg_map_path' in dataset.get_data_info(0):
        found += ' with label maps'
        shares = f'\n  % of pixels: {read_all(dataset, split, workers)}'
    # By the type of data set, as a child config may have other data than its base.
    published = (cfg.get('published_images') or {}).get(type(dataset).__name__) or {}
    expected = published.get(split)
    if expected is None:
        return found + shares
    if len(dataset) != expected:
        logger.warning(
            'the %s data have %s images, those published %s; unpack all packages, unless a part '
            'of them is meant',
            split,
            f'{len(dataset):,}',
            f'{expected:,}',
        )
    return f'{found} (published: {expected:,}){shares}'


def read_all(dataset: KeyedSegDataset, split: str, workers: int) -> str:
    """Put every image and label map through the data set's pipeline, and count the labels.

    Args:
        dataset: Labelled data set.
        split: Its name, for the progress bar and messages.
        workers: Number of threads; decoding and resizing run side by side.

    Returns:
        The share of each class, and of pixels without one, in percent of all pixels.

    Raises:
        ValueError: If no pixel of any image has a class.
    """
    classes, void = dataset.metainfo.get('classes') or (), dataset.ignore_index

    if not classes:
        raise ValueError(
            f'the {split} data have label maps but no classes; set metainfo=dict(classes=...) of '
            'the data set.'
        )

    def read(index: int) -> NDArray[np.int64]:
        sample = dataset[index]['data_samples']  # forgotten, as all would not fit into memory
        return np.bincount(sample.gt_sem_seg.data.numpy().ravel(), minlength=256)

    total, blank = np.zeros(256, np.int64), []
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(read, range(len(dataset)))
        for index, counts in enumerate(track(results, f'Reading {split}', len(dataset))):
            total += counts
            ids = [int(i) for i in np.flatnonzero(counts) if i != void and i >= len(classes)]
            if ids:
                raise ValueError(
                    f'label map {dataset.get_data_info(index)["seg_map_path"]} holds the value '
                    f'{ids[0]}, but there are {len(classes)} classes, from 0 to '
                    f'{len(classes) - 1}; convert the label maps, or add RemapLabels to the '
                    'pipeline.'
                )
            if counts[void] == counts.sum():
                blank.append(dataset.get_data_info(index)['seg_map_path'])
    if len(blank) == len(dataset):
        raise ValueError(
            f'no pixel of the {split} data has a class, as in {blank[0]}: all are {void}; check '
            'the label maps, and that RemapLabels and RAW_LABELS fit them.'
        )
    if blank:
        logger.warning('%d %s label maps have no class at all, as %s', len(blank), split, blank[0])
    absent = [name for index, name in enumerate(classes) if total[index] == 0]
    if absent:
        logger.warning('classes that never occur in the %s data: %s', split, ', '.join(absent))
    shares = [f'{name} {100 * total[i] / total.sum():.1f}' for i, name in enumerate(classes)]
    return ', '.join([*shares, f'void {100 * total[void] / total.sum():.1f}'])
