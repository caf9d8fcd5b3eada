"""Batches that are made on several threads between the steps, with the items of one."""

import multiprocessing
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from mmseg_picie.acceleration import loading
from mmseg_picie.acceleration.loading import load_on_threads
from mmseg_picie.datasets import EpochKeySampler, ImageFolderDataset
from mmseg_picie.datasets.transforms import PairedViews

LOAD = dict(type='LoadImageFromFile', imdecode_backend='pillow')
VIEWS = [LOAD, dict(type='PairedViews', base_size=16, view_size=12), dict(type='PackPairedViews')]


@pytest.fixture
def root(tmp_path):
    """Four images in a folder and a nested one."""
    rng = np.random.default_rng(0)
    for name in ('a', 'b', 'c/d', 'c/e'):
        path = tmp_path / 'images' / f'{name}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(path)
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield tmp_path


@pytest.fixture
def two_threads(monkeypatch):
    """Two cores, and a thread of torch for each."""
    monkeypatch.setattr(loading, 'count_cores', lambda: 2)
    number = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(number)


@pytest.fixture
def watched(monkeypatch):
    """Which thread made each item's views; with `together`, two must be in the making at once."""
    made = []
    watched = dict(made=made, together=None)
    transform = PairedViews.transform

    def watch(self, results):
        if watched['together'] is not None:
            watched['together'].wait(30)  # raises if no second one comes
        made.append((results['sample_idx'], threading.get_ident()))
        return transform(self, results)

    monkeypatch.setattr(PairedViews, 'transform', watch)
    return watched


def folder(root, *extra, **options):
    pipeline = [*VIEWS[:1], *extra, *VIEWS[1:]]
    return ImageFolderDataset(data_root=str(root / 'images'), pipeline=pipeline, **options)


def make_loader(dataset, workers=0):
    sampler = EpochKeySampler(dataset, seed=3)
    return DataLoader(dataset, 4, sampler=sampler, num_workers=workers, collate_fn=list)


def assert_same_items(found, expected):
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected, strict=True):
        assert a['data_samples'].metainfo == b['data_samples'].metainfo
        assert all(torch.equal(x, y) for x, y in zip(a['inputs'], b['inputs'], strict=True))


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('lazy', [False, True])
def test_a_batch_is_made_on_two_threads_at_once_with_the_items_of_one(
    root, two_threads, watched, lazy, workers
):
    (expected,) = make_loader(folder(root))
    loader = make_loader(folder(root, lazy_init=lazy), workers)
    assert load_on_threads(loader)
    assert loader.num_workers == 0
    watched['together'] = threading.Barrier(2)
    (found,) = loader
    assert_same_items(found, expected)
    assert threading.get_ident() not in {thread for _, thread in watched['made'][4:]}


def test_threads_give_what_workers_do(root, two_threads):
    (expected,) = make_loader(folder(root), workers=1)
    loader = make_loader(folder(root), workers=1)
    load_on_threads(loader)
    (found,) = loader
    assert_same_items(found, expected)


class Independent(Dataset):
    has_independent_items = True

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(index)


class Unknown(Independent):
    has_independent_items = False


@pytest.mark.parametrize(
    ('dataset', 'threads', 'options'),
    [
        (Unknown, 2, {}),
        (Independent, 1, {}),  # a core is left
        (Independent, 2, dict(timeout=60)),  # of a process that loads
    ],
)
def test_workers_stay_where_threads_cannot_take_their_place(two_threads, dataset, threads, options):
    torch.set_num_threads(threads)
    loader = DataLoader(dataset(), num_workers=2, **options)
    assert not load_on_threads(loader)
    assert loader.num_workers == 2
    assert torch.cat(list(loader)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize('reason', ['an unknown transform', 'a subclass'])
def test_items_of_other_transforms_are_not_known_to_be_independent(root, reason):
    dataset = folder(root)
    assert dataset.has_independent_items
    if reason == 'an unknown transform':
        dataset.pipeline.transforms.insert(1, lambda results: results)
    else:
        transform = dataset.pipeline.transforms[1]
        transform.__class__ = type('Other', (PairedViews,), {})
    assert not dataset.has_independent_items


def test_the_first_file_that_fails_is_named(root, two_threads):
    loader = make_loader(folder(root))
    load_on_threads(loader)
    for name in ('c/d', 'c/e'):
        (root / 'images' / f'{name}.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'[de]\.jpg'):
        next(iter(loader))


class Children(Hook):
    """Notes the processes that this one has started at the end of the training."""

    priority = 'LOWEST'

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self.found = multiprocessing.active_children()


@pytest.mark.parametrize('enabled', [True, False])
def test_a_run_starts_no_workers_where_the_network_uses_all_cores(
    tiny_config, two_threads, enabled
):
    options = {'default_hooks.acceleration.enabled': enabled, 'train_cfg.max_epochs': 1}
    for name in ('train', 'val'):
        options |= {f'{name}_dataloader.num_workers': 1}
        options |= {f'{name}_dataloader.persistent_workers': True}
    others = set(multiprocessing.active_children())
    runner = Runner.from_cfg(tiny_config(options))
    children = Children()
    runner.register_hook(children)
    runner.train()
    assert len(set(children.found) - others) == (0 if enabled else 3)
    log = (Path(runner.log_dir) / f'{runner.timestamp}.log').read_text()
    assert ('Images are loaded between the steps' in log) == enabled


def test_cores_are_those_that_the_process_may_use():
    assert 1 <= loading.count_cores() <= os.cpu_count()
    if hasattr(os, 'sched_setaffinity'):
        mine = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {min(mine)})
            assert loading.count_cores() == 1
        finally:
            os.sched_setaffinity(0, mine)
