"""What a person at the keyboard sees of a run."""

import time
from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmseg.registry import HOOKS

from ..facts import TRAIN, describe_run, describe_scores
from ..progress import Bar, say


@HOOKS.register_module()
class ConsoleHook(Hook):
    """Shows what a run does, one progress bar at a time, and a line of results an epoch.

    The commands of `picie` register it, and keep the toolbox's log to its file. Where there is no
    terminal, each bar is a line. Only the main process shows anything.
    """

    priority = 'VERY_LOW'  # what other hooks do before an epoch is no part of its bar

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._is_announced = False
        self._line = ''
        self._start = time.monotonic()

    def announce(self, runner: Runner, loops: dict[str, Any]) -> None:
        """Say what the run is, once.

        Args:
            runner (Runner): the run.
            loops (dict[str, Any]): as of :func:`describe_run`.
        """
        if not self._is_announced:
            for name, fact in describe_run(runner, loops).items():
                say(f'{name:<10}  {fact}')
        self._is_announced = True

    def before_run(self, runner: Runner) -> None:
        """Say what the run is, before weights are loaded, which may take long."""
        loops = (runner._train_loop, runner._val_loop, runner._test_loop)
        self.announce(runner, dict(zip((TRAIN, 'validate with', 'test with'), loops, strict=True)))

    def before_train_epoch(self, runner: Runner) -> None:
        """Finish the epoch before, which may have had no validation."""
        self._say_results(None)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Show the bar of training, if it is not there: at the start, or after a validation."""
        if self._bar is not None:
            return
        self._start = time.monotonic()
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            description = f'Training, epoch {runner.epoch + 1}/{runner.max_epochs}'
            self._bar = Bar(description, len(runner.train_dataloader), batch_idx)
        else:
            self._bar = Bar('Training', runner.max_iters, runner.iter)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Count a step."""
        self._advance()

    def after_train_epoch(self, runner: Runner) -> None:
        """Keep what training has to say, until the validation of the epoch has had its word."""
        if self._bar is not None:  # there was a step since the last validation
            self._line = _describe_training(runner, time.monotonic() - self._start)
        self._stop()

    def before_val_epoch(self, runner: Runner) -> None:
        """Show the bar of validation."""
        if self._bar is not None:  # in the middle of a training by iterations
            self.after_train_epoch(runner)
        self._bar = Bar('Evaluating', len(runner.val_dataloader))

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Count a batch."""
        self._advance()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Say the results of the epoch."""
        self._stop()
        self._say_results(metrics)

    def before_test_epoch(self, runner: Runner) -> None:
        """Show the bar of testing."""
        self._bar = Bar('Testing', len(runner.test_dataloader))

    after_test_iter = after_val_iter

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Take the bar away; who asked for the test says the scores."""
        self._stop()

    def after_run(self, runner: Runner) -> None:
        """Say what is left to say."""
        self._stop()
        self._say_results(None)

    def _advance(self) -> None:
        if self._bar is not None:
            self._bar.advance()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = None

    def _say_results(self, metrics: dict[str, float] | None) -> None:
        if self._line:
            found = describe_scores(metrics or {})
            say(f'{self._line}  {found}'.rstrip())
        self._line = ''


def _describe_training(runner: Runner, seconds: float) -> str:
    """Loss, inertia and time of the epoch, or of the steps since the last validation."""
    if isinstance(runner.train_loop, EpochBasedTrainLoop):
        steps = len(runner.train_dataloader)
        words = [f'Epoch {runner.epoch + 1}/{runner.max_epochs}']
    else:
        steps = runner.val_interval
        words = [f'Step {runner.iter}/{runner.max_iters}']
    words.append(f'{seconds:.0f} s')
    history = runner.message_hub.log_scalars.get('train/loss')
    if history is not None:
        words.append(f'loss {history.mean(steps):.4f}')
    inertia = runner.message_hub.get_info('inertia/decode')
    if inertia is not None:
        words.append(f'inertia {inertia:.4f}')
    return '  '.join(words)
