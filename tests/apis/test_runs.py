"""What a run in this process leaves behind."""

import multiprocessing
import time

import pytest

from mmseg_picie.acceleration.loading import count_cores
from mmseg_picie.apis import runs
from mmseg_picie.engine.hooks import KMeansCentroidHook


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
    runner = runs.build_runner(config, verbose=False)
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
