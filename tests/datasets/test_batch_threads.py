"""Batches without workers: made on several threads, with the items of one."""

import threading

import pytest
import torch
from torch.utils.data import DataLoader

from mmseg_picie.datasets import EpochKeySampler, ImageFolderDataset, SampleKey
from mmseg_picie.datasets.transforms import PackPairedViews, PairedViews

LOAD = dict(type='LoadImageFromFile', imdecode_backend='pillow')
VIEWS = [LOAD, dict(type='PairedViews', base_size=16, view_size=12), dict(type='PackPairedViews')]


@pytest.fixture
def two_threads():
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


def batches(dataset, workers=0):
    sampler = EpochKeySampler(dataset, seed=3)
    return list(DataLoader(dataset, 4, sampler=sampler, num_workers=workers, collate_fn=list))


def assert_same_items(found, expected):
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected, strict=True):
        assert a['data_samples'].metainfo == b['data_samples'].metainfo
        assert all(torch.equal(x, y) for x, y in zip(a['inputs'], b['inputs'], strict=True))


@pytest.mark.parametrize('lazy', [False, True])
def test_a_batch_is_made_on_two_threads_at_once_with_the_items_of_one(
    root, two_threads, watched, lazy
):
    keys = [SampleKey(3, 1, index) for index in (2, 0, 3, 1)]
    reference = folder(root)
    expected = [reference[key] for key in keys]
    watched['together'] = threading.Barrier(2)
    assert_same_items(folder(root, lazy_init=lazy).__getitems__(keys), expected)
    assert threading.get_ident() not in {thread for _, thread in watched['made'][4:]}


def test_a_loader_without_workers_gives_what_one_with_workers_does(root, two_threads, watched):
    with_workers = batches(folder(root), workers=1)
    assert not watched['made']  # but in the worker
    without = batches(folder(root))
    assert threading.get_ident() not in {thread for _, thread in watched['made']}
    for found, expected in zip(without, with_workers, strict=True):
        assert_same_items(found, expected)


def test_a_worker_makes_its_items_alone(root, two_threads, monkeypatch):
    dataset = folder(root)
    dataset.__getitems__([SampleKey(0, 0, 0)])  # its parent has threads
    monkeypatch.setattr(PackPairedViews, 'transform', lambda *_: threading.active_count())
    assert batches(dataset, workers=1) == [[1] * 4]
    assert batches(dataset)[0][0] > 1


@pytest.mark.parametrize('reason', ['one thread of torch', 'an unknown transform', 'a subclass'])
def test_items_are_made_one_by_one(root, two_threads, watched, reason):
    dataset = folder(root)
    if reason == 'one thread of torch':
        torch.set_num_threads(1)
    elif reason == 'an unknown transform':
        dataset.pipeline.transforms.insert(1, lambda results: results)
    else:
        transform = dataset.pipeline.transforms[1]
        transform.__class__ = type('Other', (PairedViews,), {})
    dataset.__getitems__([SampleKey(0, 0, index) for index in (2, 0, 3, 1)])
    assert watched['made'] == [(index, threading.get_ident()) for index in (2, 0, 3, 1)]


def test_the_first_file_that_fails_is_named(root, two_threads):
    dataset = folder(root)
    for name in ('c/d', 'c/e'):
        (root / 'images' / f'{name}.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'd\.jpg'):
        dataset.__getitems__([SampleKey(0, 0, index) for index in range(4)])
