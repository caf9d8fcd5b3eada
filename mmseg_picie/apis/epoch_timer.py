"""How long the parts of an epoch take."""

import time
from functools import partial

from mmengine.hooks import Hook
from mmengine.runner import Runner

from .devices import synchronise


class EpochTimer:
    """Times the parts of the epochs of one run, which they add up to.

    Args:
        runner (Runner): before it trains.

    Attributes:
        epochs (list[dict[str, float]]): seconds of clustering, training, saving and evaluation of
            each epoch.
    """

    def __init__(self, runner: Runner) -> None:
        self.epochs: list[dict[str, float]] = []
        self._part: str | None = None
        self._since = 0.0
        first, last = Hook(), Hook()  # one runs before, one behind all other hooks
        for hook, point, part in (
            (first, 'before_train_epoch', 'clustering'),
            (last, 'before_train_epoch', 'training'),
            (first, 'after_train_epoch', 'saving'),
            (first, 'before_val', 'evaluation'),
            (first, 'after_train', None),
        ):
            setattr(hook, point, partial(self._begin, part))
        runner.register_hook(first, priority=0)
        runner.register_hook(last, priority=100)

    def _begin(self, part: str | None, runner: Runner) -> None:
        synchronise(next(runner.model.parameters()).device)
        now = time.perf_counter()
        if self._part is not None:
            self.epochs[-1][self._part] += now - self._since
        if part == 'clustering':
            self.epochs.append(dict(clustering=0.0, training=0.0, saving=0.0, evaluation=0.0))
        self._part, self._since = part, now
