"""Batches that are loaded between the steps of a network on the CPU, without workers."""

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from ..threads import get_threads


def load_on_threads(loader: DataLoader) -> bool:
    """Load the items of a batch on as many threads as torch has, and start no workers.

    A layer on several threads is as slow as the slowest of them, so a worker that takes a core from
    one stops all. Where torch has a thread for every core, loading and network therefore take turns
    rather than cores from each other. Batches are the same. Nothing is changed if the loader has no
    workers anyway or a timeout, if there are cores left for workers, or if the data set does not
    say that its items are independent (``has_independent_items``).

    Args:
        loader (DataLoader): whose workers have not started yet; changed in place.

    Returns:
        bool: whether anything was changed.
    """
    dataset = loader.dataset
    if not getattr(dataset, 'has_independent_items', False):
        return False
    if loader.num_workers and (loader.timeout or torch.get_num_threads() < count_cores()):
        return False
    loader.num_workers = 0
    # What a loader asks for a batch.
    dataset.__getitems__ = partial(_get_items, dataset)  # type: ignore[attr-defined]
    return True


def count_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _get_items(dataset: Dataset, keys: Sequence) -> list[Any]:
    """The items of a batch, in the order of their keys."""
    if hasattr(dataset, 'full_init'):  # once, before there are threads
        dataset.full_init()
    return list(get_threads().map(dataset.__getitem__, keys))
