"""Check the data that a config reads: python tools/check_data.py CONFIG [options].

Looks at every file of the training and validation data, counts the images against those published
(`published_images` of the config), and reads every label map as the evaluation does. Whatever would
stop a run is reported at once, by the name of the file.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from rich.progress import track

from mmseg_picie.datasets import KeyedSegDataset
from mmseg_picie.engine import cli

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
        for _ in track(results, f'Reading {split}', total=len(dataset)):
            pass


def main(argv: Sequence[str] | None = None) -> None:
    """Check as the command line says.

    Args:
        argv: Words of the command line; None takes those of this process.
    """
    parser = argparse.ArgumentParser(description='Check the data that a config reads.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--workers', type=int, default=os.cpu_count() or 1, help='threads (default: all cores)'
    )
    cli.add_cfg_options(parser)
    args = cli.parse_args(parser, argv)
    if args.workers < 1:
        parser.error(f'argument --workers: must be positive, but got {args.workers}')
    cfg = cli.read_config(parser, args)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    logging.basicConfig(format='%(levelname)s: %(message)s')
    try:
        for split in ('train', 'val'):
            if cfg.get(f'{split}_dataloader'):
                print(check_split(cfg, split, args.workers))
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == '__main__':
    main()
