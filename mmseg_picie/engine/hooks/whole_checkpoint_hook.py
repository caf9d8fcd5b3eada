"""Checkpoints with which nothing is lost when a run is killed."""

import inspect
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmseg.registry import HOOKS
from torch.optim import Optimizer

from ...whole_files import remove_leftovers, write_whole
from ..checkpoint_files import POINTER, point_to_whole
from ..disk_space import check_disk_space, estimate_checkpoint
from ..distributed import unwrap_model
from ..folder_lock import free_folder, lock_folder

#: Settings by which kinds of optimisers differ.
_OF_KINDS = ('alpha', 'betas', 'lambd', 'momentum', 'rho')


class _RemovesLater:
    """A file backend that notes what it is to remove."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.noted: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        """Note a file; it is removed by :meth:`remove_noted`."""
        self.noted.append(path)

    rmtree = remove

    def remove_noted(self, folder: str, kept: list[str]) -> None:
        """Remove what was noted, as far as it lies in the folder and is not to be kept."""
        for path in self.noted:
            if os.path.dirname(path) == folder and path not in kept:
                if self._backend.isfile(path):
                    self._backend.remove(path)
                elif self._backend.isdir(path):
                    self._backend.rmtree(path)
        self.noted = []


def _without_sink(function: Callable) -> inspect.Signature:
    """The signature of a function, without the argument for whatever else is given."""
    found = inspect.signature(function)
    named = [one for one in found.parameters.values() if one.kind is not one.VAR_KEYWORD]
    return found.replace(parameters=named)


@HOOKS.register_module(name='CheckpointHook')
class WholeCheckpointHook(CheckpointHook):
    """mmengine's checkpoint hook, but a run that is killed at any moment loses nothing.

    It takes the place of mmengine's in all configs, with the same arguments.

    - A checkpoint is written before the validation of its epoch and again behind it, with what was
      found. Its ``meta['validated']`` tells which, and is the one place that knows. A run that is
      resumed from a checkpoint that was to be validated, and was not, validates first.
    - What a checkpoint supersedes is removed when it is whole. It tells what that is, for the run
      that is resumed in between.
    - If the checkpoint to resume from is damaged, the newest one that is whole is taken.
    - The work folder is locked against other trainings, and the disk must have room.

    Raises:
        TypeError: If an option is unknown.
    """

    _number: int | None = None  # epoch or iteration of the checkpoint that was written last
    _is_validated = False
    _is_current = False  # whether that checkpoint knows all that there is to know
    _resumed: dict | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.args:  # mmengine's fails at the end of the first epoch
            raise TypeError(
                f'CheckpointHook has no option {", ".join(self.args)}; correct the name.'
            )

    __init__.__signature__ = _without_sink(CheckpointHook.__init__)  # type: ignore[attr-defined]

    def before_run(self, runner: Runner) -> None:
        """Keep others out of the folder, clear up, and choose what to resume from."""
        if not _is_training(runner):
            return
        if is_main_process():
            lock_folder(runner.work_dir)
            folder = self._folder(runner)
            starts = Path(runner.work_dir).glob('*/vis_data')  # of earlier starts, too
            written = [place for start in starts for place in (start, start / 'vis_image')]
            for place in (runner.work_dir, folder, *written):
                remove_leftovers(place)
            if runner._resume and runner._load_from is None and '://' not in folder:
                wrong = point_to_whole(runner.work_dir, folder, self.filename_tmpl)
                if wrong:
                    runner.logger.warning(wrong)
        barrier()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep what a checkpoint to resume from says of itself.

        Raises:
            ValueError: If it holds no state of a training.
        """
        if not runner._resume:
            return
        meta = checkpoint.get('meta') or {}
        needed = ['message_hub', *(['optimizer'] if self.save_optimizer else [])]
        missing = [name for name in needed if name not in checkpoint]
        if missing or not {'epoch', 'iter'} <= meta.keys():
            raise ValueError(
                'the checkpoint to resume from holds no state of a training '
                f'({", ".join(missing) or "epoch and iter"}); start from its weights instead, by '
                'load_from without --resume.'
            )
        if self.save_optimizer and isinstance(runner.optim_wrapper, OptimWrapper):
            _compare_optimizer(runner.optim_wrapper.optimizer, checkpoint['optimizer'])
        self._resumed = meta

    def before_train(self, runner: Runner) -> None:
        """See to the disk, and finish what a killed run has begun."""
        super().before_train(runner)
        self.file_backend: Any = _RemovesLater(self.file_backend)
        if is_main_process() and os.path.isdir(self.out_dir):
            size, number = self._estimate(runner)
            check_disk_space(self.out_dir, size, number, at_once=1 if self._resumed else 2)
        if self._resumed is None:
            return
        names = self._resumed.get('superseded') or ()
        self.file_backend.noted = [os.path.join(self.out_dir, str(name)) for name in names]
        self._number = self._count(runner)
        self._remove_superseded()
        is_done, self._resumed = self._resumed.get('validated'), None
        if not is_done and self._is_due(runner):
            name = self.filename_tmpl.format(self._number)
            runner.logger.warning(
                f'The run ended before the validation of {name} did, so it is done now.'
            )
            runner.val_loop.run()

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Write the checkpoint of this epoch again, now that it is validated."""
        is_written = self._number is not None and self._number == self._count(runner)
        self._is_validated = is_written
        self._is_current = not is_written
        super().after_val_epoch(runner, metrics)  # which writes it if it is the best
        if not self._is_current and self._number is not None:
            meta = dict(epoch=runner.epoch, iter=runner.iter)
            self._save_checkpoint_with_step(runner, self._number, meta)

    def after_run(self, runner: Runner) -> None:
        """Let others into the folder."""
        if is_main_process() and _is_training(runner):
            free_folder(runner.work_dir)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Say whether the checkpoint is validated, what it supersedes, and how many ranks train."""
        noted = getattr(getattr(self, 'file_backend', None), 'noted', ())
        names = [os.path.basename(path) for path in noted if path not in self._kept()]
        checkpoint['meta'].update(
            validated=self._is_validated, superseded=names, world_size=get_world_size()
        )

    def _save_checkpoint(self, runner: Runner) -> None:
        self._is_validated = False
        super()._save_checkpoint(runner)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Write a checkpoint, then point to it, then remove what it supersedes."""
        name = self.filename_tmpl.format(step)
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                old = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
                self.file_backend.remove(self.file_backend.join_path(self.out_dir, old))
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        self._number, self._is_current = step, True
        if is_main_process():
            write_whole(os.path.join(runner.work_dir, POINTER), self.last_ckpt)
        self._remove_superseded()

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        super()._save_best_checkpoint(runner, metrics)
        if self._number is None and self.save_best:  # there is but the best
            self._remove_superseded()

    def _remove_superseded(self) -> None:
        if is_main_process():
            self.file_backend.remove_noted(self.out_dir, self._kept())

    def _kept(self) -> list[str]:
        """Checkpoints of the present state of the training."""
        best = [getattr(self, 'best_ckpt_path', None), self.last_ckpt]
        return [
            path for path in [*best, *getattr(self, 'best_ckpt_path_dict', {}).values()] if path
        ]

    def _folder(self, runner: Runner) -> str:
        """Where checkpoints go, before mmengine's hook has worked it out."""
        if self.out_dir is None:
            return runner.work_dir
        return os.path.join(self.out_dir, os.path.basename(runner.work_dir.rstrip(os.sep)))

    def _count(self, runner: Runner) -> int:
        """Epochs or iterations that are done."""
        return runner.epoch if self.by_epoch else runner.iter

    def _is_due(self, runner: Runner) -> bool:
        """Whether the loop validates at this point, as mmengine's loops decide it."""
        loop = runner.train_loop
        kind, end = EpochBasedTrainLoop, 'max_epochs'
        if not self.by_epoch:
            kind, end = IterBasedTrainLoop, 'max_iters'
        if runner.val_loop is None or not isinstance(loop, kind):
            return False
        loop._decide_current_val_interval()
        done = self._count(runner)
        is_at_interval = done % loop.val_interval == 0 or done == getattr(loop, end)
        return 0 < done >= loop.val_begin and is_at_interval

    def _estimate(self, runner: Runner) -> tuple[int, int]:
        """Bytes of a checkpoint, and how many there will be at once."""
        optimizers = _optimizers(runner.optim_wrapper) if self.save_optimizer else ()
        model: Any = unwrap_model(runner)
        # The encoder that makes the pseudo-labels (KMeansCentroidHook).
        keeps = any(getattr(hook, 'num_clusterings', None) for hook in runner.hooks)
        size = estimate_checkpoint(model, optimizers, [model.encoder] if keeps else [])
        if self.interval <= 0 and not self.save_last:
            return size, 0
        end = runner.max_epochs if self.by_epoch else runner.max_iters
        number = (end - self._count(runner)) // self.interval if self.interval > 0 else 1
        if self.max_keep_ckpts > 0:
            number = min(number, self.max_keep_ckpts)
        return size, number + 1 + len(self.save_best or ())


def _is_training(runner: Runner) -> bool:
    """Whether it is about to train, rather than to score."""
    has_optimizer = isinstance(runner.optim_wrapper, OptimWrapper | OptimWrapperDict)
    return has_optimizer and isinstance(runner._train_loop, BaseLoop)


def _optimizers(wrapper: OptimWrapper | OptimWrapperDict) -> Iterator[Optimizer]:
    wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    for one in wrappers:
        yield one.optimizer


def _compare_optimizer(own: Optimizer, stored: dict) -> None:
    """Refuse the state of another kind of optimiser, and tell of settings that are not taken up."""
    name, changed = type(own).__name__, dict[str, tuple[Any, Any]]()
    for mine, kept in zip(own.param_groups, stored.get('param_groups') or (), strict=False):
        for key in _OF_KINDS:
            if (key in mine) != (key in kept):
                raise ValueError(
                    f'optim_wrapper.optimizer is {name}, but the checkpoint to resume from holds '
                    f'the state of another, as {key} says; resume with the optimiser that it was '
                    'trained with, or start from its weights by load_from without --resume.'
                )
        # A schedule changes the rate, and notes where it began.
        keys = {'initial_lr' if 'initial_lr' in mine else 'lr', 'weight_decay', *_OF_KINDS}
        for key in keys & mine.keys() & kept.keys():
            if mine[key] != kept[key] and not ('initial_lr' in kept and key == 'lr'):
                changed.setdefault(key.removeprefix('initial_'), (mine[key], kept[key]))
    for key, (mine, kept) in sorted(changed.items()):
        print_log(
            f'optim_wrapper.optimizer.{key} is {mine}, but a resumed training goes on with that of '
            f'its checkpoint, {kept}; to change it, start from the weights by load_from without '
            '--resume.',
            logger='current',
            level=logging.WARNING,
        )
