"""Proofs that the machine is used as promised."""

import multiprocessing
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

from mmseg_picie.engine import host
from mmseg_picie.engine.host import share_processor

FAULTS = """
import resource, torch
from mmseg_picie.engine.host import keep_freed_memory
if {keep}:
    print('set', keep_freed_memory())
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(1 << 24)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print('faults', faults())
"""


@pytest.fixture
def idle_cores(monkeypatch):
    """More cores than torch has threads."""
    monkeypatch.setattr(host, 'count_cores', lambda: torch.get_num_threads() + 1)


@pytest.fixture
def no_idle_cores(monkeypatch):
    """A thread of torch for every core, and two of them."""
    monkeypatch.setattr(host, 'count_cores', lambda: 2)
    number = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(number)


class Priorities(Dataset):
    """Its items are the priority of the process that makes them, and what the start left there."""

    started = 0

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([os.nice(0), Priorities.started])


def start(worker_id: int) -> None:
    Priorities.started = 1 + worker_id


def loader(workers: int) -> DataLoader:
    return DataLoader(Priorities(), num_workers=workers, worker_init_fn=start)


def faults(keep: bool, **environment: str) -> tuple[int, str]:
    """Pages that were mapped anew while tensors came and went, and what was printed."""
    run = subprocess.run(
        [sys.executable, '-c', FAULTS.format(keep=keep)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(run.stdout.split()[-1]), run.stdout


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='another C library than glibc')
def test_memory_of_freed_tensors_is_used_again(monkeypatch):
    for name in [name for name in os.environ if name.startswith(('MALLOC_', 'GLIBC_TUNABLES'))]:
        monkeypatch.delenv(name)
    kept, printed = faults(keep=True)
    assert 'set True' in printed
    # Pages may be of 2 MiB.
    assert kept < 20 < 5 * 32 <= faults(keep=False)[0]


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='another C library than glibc')
def test_settings_of_the_user_are_left_alone():
    assert 'set False' in faults(keep=True, MALLOC_TOP_PAD_='0')[1]


@pytest.mark.skipif(not hasattr(os, 'nice'), reason='a system without priorities')
@pytest.mark.parametrize('device', ['cpu', 'meta'])
def test_workers_yield_to_a_network_on_the_cpu_alone(tiny_config, idle_cores, device):
    runner = Runner.from_cfg(tiny_config())
    runner.model.to(device)  # a meta tensor stands for one on a GPU
    loaders = loader(2), loader(0)
    for _ in range(2):  # a second time it changes nothing
        share_processor(runner, *loaders)
    niceness, starts = torch.cat(list(loaders[0])).T.tolist()
    assert niceness == [19 if device == 'cpu' else os.nice(0)] * 4
    assert starts == [1, 2, 1, 2]  # the loader's own start was made as well
    assert torch.cat(list(loaders[1])).tolist() == [[os.nice(0), 0]] * 4


def test_a_training_run_lets_all_its_loaders_yield(tiny_config, idle_cores):
    workers = {f'{name}_dataloader.num_workers': 1 for name in ('train', 'val')}
    runner = Runner.from_cfg(tiny_config({'train_cfg.max_epochs': 1, **workers}))
    loaders = []
    iterate = DataLoader.__iter__
    try:
        DataLoader.__iter__ = lambda self: loaders.append(self) or iterate(self)
        runner.train()
    finally:
        DataLoader.__iter__ = iterate
    assert len(set(loaders)) == 3  # for clusters, for training, for validation
    assert {type(each.worker_init_fn).__name__ for each in loaders} == {'_YieldingStart'}


class Children(Hook):
    """Notes the processes that this one has started, before the first clustering and at the end."""

    priority = 'HIGHEST'

    def before_train_epoch(self, runner: Runner) -> None:
        self.first = {process.pid for process in multiprocessing.active_children()}

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self.last = {process.pid for process in multiprocessing.active_children()}


def train_with_workers(tiny_config) -> tuple[Runner, set[int], set[int]]:
    """A run, and the processes that it had started before the first clustering and at the end."""
    options = {}
    for name in ('train', 'val'):
        options |= {f'{name}_dataloader.num_workers': 1}
        options |= {f'{name}_dataloader.persistent_workers': True}
    others = {process.pid for process in multiprocessing.active_children()}
    runner = Runner.from_cfg(tiny_config({'train_cfg.max_epochs': 1, **options}))
    children = Children()
    runner.register_hook(children)
    runner.train()
    return runner, children.first - others, children.last - others


def test_all_workers_start_before_the_network_takes_memory(tiny_config, idle_cores):
    _, first, last = train_with_workers(tiny_config)
    assert len(first) == 3
    assert last == first


def test_no_workers_start_where_the_network_uses_all_cores(tiny_config, no_idle_cores):
    runner, first, last = train_with_workers(tiny_config)
    assert first == last == set()
    log = (Path(runner.log_dir) / f'{runner.timestamp}.log').read_text()
    assert 'Images are loaded between the steps on 2 threads' in log


class OnThreads(Priorities):
    loads_on_threads = True


@pytest.mark.parametrize(
    ('dataset', 'options', 'device', 'expected'),
    [
        (OnThreads, {}, 'cpu', 0),
        (OnThreads, {'timeout': 60}, 'cpu', 2),  # of a process that loads
        (OnThreads, {}, 'meta', 2),
        (Priorities, {}, 'cpu', 2),
    ],
)
def test_workers_stay_where_threads_cannot_take_their_place(
    tiny_config, no_idle_cores, dataset, options, device, expected
):
    runner = Runner.from_cfg(tiny_config())
    runner.model.to(device)
    loader = DataLoader(dataset(), num_workers=2, persistent_workers=True, **options)
    share_processor(runner, loader)
    assert loader.num_workers == expected
    assert len(list(loader)) == 4


def test_cores_are_those_that_the_process_may_use():
    assert 1 <= host.count_cores() <= os.cpu_count()
    if hasattr(os, 'sched_setaffinity'):
        mine = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {min(mine)})
            assert host.count_cores() == 1
        finally:
            os.sched_setaffinity(0, mine)
