"""What a run in this process leaves behind."""

import multiprocessing
import time

import pytest
import torch

from mmseg_picie.acceleration.loading import count_cores
from mmseg_picie.apis import runners, runs
from mmseg_picie.engine.hooks import KMeansCentroidHook
from mmseg_picie.evaluation import HungarianIoUMetric


@pytest.mark.parametrize('fails', [False, True])
@pytest.mark.skipif(count_cores() < 2, reason='there are no cores for workers')
def test_workers_end_with_the_run_and_not_with_the_garbage(tiny_config, monkeypatch, fails):
    options = {f'{name}_dataloader.num_workers': 1 for name in ('train', 'val')}
    options |= {f'{name}_dataloader.persistent_workers': True for name in ('train', 'val')}
    config = tiny_config(options)
    config.default_hooks.acceleration.enabled = False  # which may load without workers
    seen = []

    def watch(hook, runner):
        seen.append(len(multiprocessing.active_children()))
        if fails:
            raise KeyboardInterrupt

    monkeypatch.setattr(KMeansCentroidHook, 'after_train_epoch', watch, raising=False)
    runner = runners.build_runner(config, verbose=False)
    if fails:
        with pytest.raises(KeyboardInterrupt):
            runner.train()
    else:
        runner.train()
    assert seen[0] == 2  # of the clustering and of the training
    started = time.monotonic()
    while multiprocessing.active_children() and time.monotonic() < started + 4:
        time.sleep(0.01)
    assert multiprocessing.active_children() == []
    assert runner.train_dataloader.num_workers == 1


@pytest.mark.parametrize('name', ['validate', 'test'])
def test_each_loop_is_run_on_its_own_images(tiny_config, monkeypatch, name):
    """Of five images to validate with and three to test with."""
    config = tiny_config({'val_dataloader.dataset.num_images': 5})
    config.test_dataloader.dataset.num_images = 3
    seen = []
    plain = HungarianIoUMetric.evaluate

    def evaluate(metric, size):
        seen.append(size)
        return plain(metric, size)

    monkeypatch.setattr(HungarianIoUMetric, 'evaluate', evaluate)

    def load(runner):
        head = runner.model.decode_head
        head.set_centroids(torch.randn_like(head.centroids), torch.ones_like(head.cluster_counts))

    monkeypatch.setattr(runners.Runner, 'load_or_resume', load)
    assert 'mIoU' in getattr(runs, name)(config, verbose=False).metrics
    assert seen == [dict(validate=5, test=3)[name]]
