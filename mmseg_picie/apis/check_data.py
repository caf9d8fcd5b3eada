"""Check the data that a config reads, before a run does."""

import logging
from concurrent.futures import ThreadPoolExecutor

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

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
        What was found, in one line.

    Raises:
        FileNotFoundError: A folder, list, image or label map is missing.
        ValueError: A file cannot be read, or a label map holds a wrong value or has another size
            than its image.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    found = f'{split}: {len(dataset):,} images'
    if 'seg_map_path' in dataset.get_data_info(0):
        read_all(dataset, split, workers)
        found += ' with label maps'
    expected = (cfg.get('published_images') or {}).get(split)
    if expected is None:
        return found
    if len(dataset) != expected:
        logger.warning(
            'the %s data have %s images, those published %s; unpack all packages, unless a part '
            'of them is meant',
            split,
            f'{len(dataset):,}',
            f'{expected:,}',
        )
    return f'{found} (published: {expected:,})'


def read_all(dataset: KeyedSegDataset, split: str, workers: int) -> None:
    """Put every image and label map through the data set's pipeline.

    Args:
        dataset: Labelled data set.
        split: Its name, for the progress bar.
        workers: Number of threads; decoding and resizing run side by side.
    """

    def read(index: int) -> None:
        dataset[index]  # and forget it: all of them would not fit into memory

    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(read, range(len(dataset)))
        for _ in track(results, f'Reading {split}', len(dataset)):
            pass
