"""Split the wall time of every epoch of mmengine's runner into its parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader

#: Entries of a record in seconds. The first four, and little else, add up to 'whole'; the others
#: are shares of them.
PARTS = ('clustering', 'training', 'saving', 'evaluation')
SHARES = {
    'clustering_forward': 'forward passes of the encoder in the clustering pass',
    'clustering_data': 'waiting for data in it',
    'labelling': 'forward passes of the frozen encoder in training',
    'training_data': 'waiting for data in training',
    'evaluation_data': 'waiting for data in evaluation',
}


class EpochTimer:
    """Times the epochs of one run.

    Boundaries are taken by one hook before and one behind all others, waiting for data by what
    iterates over the data loaders, forward passes of clustering and labelling by a wrap around
    ``extract_views`` of the model: without gradient they are clustering's before an epoch and the
    labeler's within.

    Attributes:
        records: One dict an epoch, in seconds: ``whole``, :data:`PARTS` and :data:`SHARES`.
    """

    def __init__(self) -> None:
        self.records: list[dict[str, float]] = []
        self._phase = 'none'
        self._pausing = False
        self._since = self._epoch_since = time.perf_counter()

    def attach(self, runner: Runner) -> None:
        """Register the hooks, and wrap the model; before ``runner.train()``."""
        runner.register_hook(_First(self), priority=0)
        runner.register_hook(_Last(self), priority=100)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.extract_views = self._timed_forward(model.extract_views)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Measure, within, the waiting for every data loader of the process."""
        iterate = DataLoader.__iter__

        def timed_iterate(loader: DataLoader) -> Iterator[Any]:
            started = time.perf_counter()
            batches = iterate(loader)
            self.add(f'{self._phase}_data', time.perf_counter() - started)
            return _Waiting(batches, self)

        DataLoader.__iter__ = timed_iterate  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            DataLoader.__iter__ = iterate  # type: ignore[method-assign]

    def start_epoch(self) -> None:
        """A new epoch begins, with the clustering pass."""
        self.end_epoch()
        self.records.append(dict.fromkeys(('whole', *PARTS, *SHARES), 0.0))
        self._epoch_since = self._since = time.perf_counter()
        self._phase = 'clustering'

    def enter(self, phase: str) -> None:
        """End the present part of the epoch and begin another; 'none' for one not counted."""
        if self._pausing:
            return
        now = time.perf_counter()
        self.add(self._phase, now - self._since)
        self._phase, self._since = phase, now

    def pause(self) -> None:
        """Leave out, of the parts and of the whole, what comes now."""
        self.enter('none')
        self._pausing = True

    def go_on(self, phase: str) -> None:
        """Count again, as a part of the epoch."""
        self._pausing = False
        self._epoch_since += time.perf_counter() - self._since
        self.enter(phase)

    def end_epoch(self) -> None:
        """The epoch and its evaluation are over."""
        self.enter('none')
        if self.records and not self.records[-1]['whole']:
            self.records[-1]['whole'] = time.perf_counter() - self._epoch_since

    def add(self, name: str, seconds: float) -> None:
        """Add to an entry of the present epoch, if there is such an entry."""
        if self.records and name in self.records[-1]:
            self.records[-1][name] += seconds

    def add_waiting(self, seconds: float) -> None:
        """Add to the present part's waiting for data."""
        self.add(f'{self._phase}_data', seconds)

    def _timed_forward(self, extract_views: Callable) -> Callable:
        def timed(*args: Any, **kwargs: Any) -> Any:
            if torch.is_grad_enabled() or self._phase not in ('clustering', 'training'):
                return extract_views(*args, **kwargs)
            started = time.perf_counter()
            maps = extract_views(*args, **kwargs)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            name = 'labelling' if self._phase == 'training' else 'clustering_forward'
            self.add(name, time.perf_counter() - started)
            return maps

        return timed


class _Waiting:
    """Iterates over batches and measures how long each is waited for."""

    def __init__(self, batches: Iterator[Any], timer: EpochTimer) -> None:
        self._batches, self._timer = batches, timer

    def __iter__(self) -> _Waiting:
        return self

    def __next__(self) -> Any:
        started = time.perf_counter()
        try:
            return next(self._batches)
        finally:
            self._timer.add_waiting(time.perf_counter() - started)


class _First(Hook):
    """Runs before all other hooks."""

    def __init__(self, timer: EpochTimer) -> None:
        self._timer = timer

    def before_train_epoch(self, runner: Runner) -> None:
        self._timer.start_epoch()

    def after_train_epoch(self, runner: Runner) -> None:
        _synchronise()
        self._timer.enter('saving')

    def before_val(self, runner: Runner) -> None:
        self._timer.enter('evaluation')

    def after_train(self, runner: Runner) -> None:
        self._timer.end_epoch()


class _Last(Hook):
    """Runs behind all other hooks."""

    def __init__(self, timer: EpochTimer) -> None:
        self._timer = timer

    def before_train_epoch(self, runner: Runner) -> None:
        _synchronise()
        self._timer.enter('training')

    def after_train_epoch(self, runner: Runner) -> None:
        self._timer.enter('none')

    def after_val(self, runner: Runner) -> None:
        self._timer.enter('none')


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
