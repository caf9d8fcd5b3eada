"""How a run uses the processor and the memory of its machine."""

import ctypes
import os
import sys
from collections.abc import Callable

import torch
from mmengine.runner import Runner
from torch.utils.data import DataLoader

# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next allocation of this process.

    By default glibc hands every large block back to the system when it is freed, so each tensor of
    the next iteration is mapped and zeroed page by page again; on a CPU that can take as long as
    the network's own arithmetic. The peak of memory stays what it is. Later processes inherit it
    if they are forked. The user's own settings (``MALLOC_...``, ``GLIBC_TUNABLES``) are left alone.

    Returns:
        bool: whether anything was set; False with another C library than glibc.
    """
    set_by_user = any(name.startswith(('MALLOC_', 'GLIBC_TUNABLES')) for name in os.environ)
    if not sys.platform.startswith('linux') or set_by_user:
        return False
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None:
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, 64 << 20))
    done = [mallopt(parameter, value) for parameter, value in settings]
    return all(done)


def release_freed_memory() -> bool:
    """Hand memory that mimalloc keeps for the next tensor back to the system.

    Behind a phase whose tensors are of other sizes than those of the next, holes that these do not
    fit into would add to the peak. (glibc keeps holes whatever it is told, so it is not told.)

    Returns:
        bool: whether this process uses mimalloc.
    """
    if not sys.platform.startswith('linux'):
        return False
    collect = getattr(ctypes.CDLL(None), 'mi_collect', None)
    if collect is None:
        return False
    collect(True)
    return True


def share_processor(runner: Runner, *loaders: DataLoader) -> None:
    """Let loading and a network on the CPU take turns rather than cores from each other.

    A layer on several threads is as slow as the slowest of them, so a worker that takes a core from
    one stops all. Where torch has a thread for every core, images are therefore loaded between the
    steps, on as many threads, and no workers are started (the log says so); if a data set cannot
    load on threads, or there are cores left, workers run with the lowest priority. On a GPU nothing
    is changed. Batches are the same in any case.

    Args:
        runner (Runner): whose model says on which device the network is.
        loaders (DataLoader): whose workers have not started yet.
    """
    if next(runner.model.parameters()).device.type != 'cpu':
        return
    threads = torch.get_num_threads()
    for loader in loaders:
        on_threads = getattr(loader.dataset, 'loads_on_threads', False) and not loader.timeout
        if not loader.num_workers:
            continue
        if on_threads and threads >= count_cores():
            loader.num_workers = 0
            runner.logger.info(
                f'Images are loaded between the steps on {threads} threads, as the network uses '
                'all cores; to have worker processes, leave cores to them by OMP_NUM_THREADS.'
            )
        elif hasattr(os, 'nice') and not isinstance(loader.worker_init_fn, _YieldingStart):
            loader.worker_init_fn = _YieldingStart(loader.worker_init_fn)


def count_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start_workers(*loaders: DataLoader) -> None:
    """Start the persistent workers of data loaders now, while this process is small.

    A worker is a fork: it shares the pages of this process, and each that this process writes to
    afterwards is copied first. Started after a step of the training, as a loader does by itself,
    workers make the next step copy all memory that it uses, and hold on to the old pages.

    Args:
        loaders (DataLoader): what they have begun to load is loaded anew when it is asked for.
    """
    for loader in loaders:
        if loader.num_workers and loader.persistent_workers:
            iter(loader)


class _YieldingStart:
    """Lowers the priority of a worker process, then starts it as it was meant to be."""

    def __init__(self, start: Callable[[int], None] | None) -> None:
        self.start = start

    def __call__(self, worker_id: int) -> None:
        os.nice(19)
        if self.start is not None:
            self.start(worker_id)
