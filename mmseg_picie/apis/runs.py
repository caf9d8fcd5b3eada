"""Train and test by a config: launcher, runner, options, results."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakSet

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process, master_only
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import DATASETS, MODEL_WRAPPERS, RUNNERS
from torch import nn
from torch.utils.data import DataLoader

from ..engine import ConsoleHook
from ..engine.distributed import check_norms, check_wrapper
from ..engine.facts import describe_scores, log_file
from ..engine.folder_lock import lock_folder
from ..engine.hooks import FittingWeightsHook
from ..models import PiCIE
from ..whole_files import write_whole
from .launchers import leave_process_group, prepare_launcher
from .near_names import registered_types, suggest
from .quiet import QuietLog

__all__ = [
    'Done',
    'announce',
    'build_runner',
    'describe_scores',
    'enable_amp',
    'leave_process_group',
    'prepare_launcher',
    'require_device_for_amp',
    'show_predictions',
    'test',
    'train',
    'use_tta',
    'validate',
    'write_predictions',
]


class Done(NamedTuple):
    """What a run leaves.

    Attributes:
        metrics (dict[str, float]): of the last evaluation; empty if there was none.
        log (str): the toolbox's log file.
        checkpoint (str): the last one; empty if none was written.
        is_main (bool): whether this is the main process, the only one that is to print.
    """

    metrics: dict[str, float]
    log: str
    checkpoint: str
    is_main: bool


def train(cfg: Config, verbose: bool = True) -> Done:
    """Train.

    Args:
        cfg (Config): the whole config.
        verbose (bool): as of :func:`build_runner`.

    Returns:
        Done: the last checkpoint and the scores of the last validation.

    Raises:
        OSError: If another process trains into the work folder, or it cannot be written.
    """
    if cfg.get('launcher', 'none') == 'none':  # else the main process does, once it is known
        lock_folder(cfg.work_dir)  # before anything is written there
    runner = build_runner(cfg, verbose, trains=True)
    runner.train()
    hub, names = runner.message_hub, ('aAcc', 'mIoU')
    scores = {name: hub.log_scalars.get(f'val/{name}') for name in names}
    metrics = {name: history.current() for name, history in scores.items() if history is not None}
    done = Done(metrics, log_file(runner), hub.get_info('last_ckpt') or '', is_main_process())
    del runner, hub
    leave_process_group()
    return done


def test(cfg: Config, verbose: bool = True) -> Done:
    """Test the checkpoint that the config's ``load_from`` names.

    Args:
        cfg (Config): the whole config.
        verbose (bool): as of :func:`build_runner`.

    Returns:
        Done: the scores.
    """
    return _score(build_runner(cfg, verbose), 'test')


def validate(cfg: Config, verbose: bool = True) -> Done:
    """Validate the checkpoint that the config's ``load_from`` names, as a training would.

    Args:
        cfg (Config): the whole config, with a validation.
        verbose (bool): as of :func:`build_runner`.

    Returns:
        Done: the scores.
    """
    return _score(build_runner(cfg, verbose), 'val')


def _score(runner: Runner, loop: str) -> Done:
    """Run the loop of a runner's test or validation."""
    checkpoint = runner.cfg.load_from
    done = Done(getattr(runner, loop)() or {}, log_file(runner), checkpoint, is_main_process())
    del runner
    leave_process_group()
    return done


def build_runner(cfg: Config, verbose: bool = True, trains: bool = False) -> Runner:
    """Build mmengine's runner, or the one of the registry that `runner_type` names.

    Args:
        cfg (Config): the whole config.
        verbose (bool): whether the log is shown as mmengine does. If not, it goes to the log file,
            and a :class:`ConsoleHook` shows what a person needs.
        trains (bool): whether it is to train. If not, it leaves the config that is in the work
            folder, which may be that of a training, as it is.

    Returns:
        Runner: before any training or testing.

    Raises:
        ValueError: If there is no such runner, or its ranks cannot train the model.
    """
    kind = RUNNERS.get(cfg.runner_type) if 'runner_type' in cfg else Runner
    if kind is None:
        raise ValueError(
            f'runner_type is {cfg.runner_type!r}, which no registry knows'
            f'{suggest(cfg.runner_type, registered_types(RUNNERS))}; correct the name'
        )
    if not issubclass(kind, Runner):
        return kind.from_cfg(cfg)
    parts: list[type] = [WholeConfig if trains else GuestConfig]
    parts += [] if verbose else [QuietLog]
    if kind is not Runner:
        parts.append(kind)
    made: type[Runner] = type(kind.__name__, tuple(parts), {})
    runner = made.from_cfg(cfg)
    runner.register_hook(FittingWeightsHook())
    if not verbose:
        runner.register_hook(ConsoleHook())
    return runner


class WholeConfig(Runner):
    """A runner that writes its config as a whole, checks its ranks, and ends its workers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._loaders: WeakSet[DataLoader] = WeakSet()
        super().__init__(*args, **kwargs)

    def build_dataloader(self, *args: Any, **kwargs: Any) -> DataLoader:
        """Build a data loader, whose workers end with the run."""
        loader = super().build_dataloader(*args, **kwargs)
        self._loaders.add(loader)
        return loader

    def train(self) -> nn.Module:
        """Train, and end the workers."""
        with self._own_workers():
            return super().train()

    def val(self) -> dict[str, float]:
        """Validate, and end the workers."""
        with self._own_workers():
            return super().val()

    def test(self) -> dict[str, float]:
        """Test, and end the workers."""
        with self._own_workers():
            return super().test()

    @contextmanager
    def _own_workers(self) -> Iterator[None]:
        """End persistent workers afterwards.

        A runner is part of reference cycles. The garbage collection, which takes them apart in any
        order, would wait five seconds for each worker, as its queue is closed already.
        """
        try:
            yield
        finally:
            for loader in self._loaders:
                loader._iterator = None

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model for several ranks, if they can train it; nothing on one process."""
        if self.distributed:
            if get_device() == 'cpu':
                check_norms(model, self.cfg.get('sync_bn'))
            if isinstance(model, PiCIE) and model_wrapper_cfg is not None:
                kind = model_wrapper_cfg.get('type', 'MMDistributedDataParallel')
                check_wrapper(MODEL_WRAPPERS.get(kind) if isinstance(kind, str) else kind)
        return super().wrap_model(model_wrapper_cfg, model)

    @master_only
    def dump_config(self) -> None:
        """Write the config under its name, or that of the start."""
        write_whole(self._config_path(), self.cfg.dump())

    def _config_path(self) -> Path:
        return Path(self.work_dir, os.path.basename(self.cfg.filename or f'{self.timestamp}.py'))


class GuestConfig(WholeConfig):
    """A runner in a work folder that may be a training's: if a config is there, it stays."""

    def _config_path(self) -> Path:
        path = super()._config_path()
        return Path(self.log_dir, path.name) if path.exists() else path


def announce(runner: Runner) -> None:
    """Say what a run that clusters is, before it does; nothing if its log is shown anyway.

    Args:
        runner (Runner): of :func:`build_runner`.
    """
    for hook in runner.hooks:
        if isinstance(hook, ConsoleHook):
            loops = {'cluster': runner.train_loop, 'validate with': runner.val_loop}
            hook.announce(runner, loops)


def enable_amp(cfg: Config) -> None:
    """Turn the config's optimiser wrapper into the one with automatic mixed precision.

    Args:
        cfg (Config): changed in place.

    Raises:
        ValueError: If its wrapper is not the plain one.
    """
    wrapper = cfg.get('optim_wrapper')
    kind = wrapper.get('type', 'OptimWrapper') if wrapper else None
    if kind in ('AmpOptimWrapper', 'CPUAmpOptimWrapper'):
        print_log(f'--amp: the config uses {kind} already.', 'current', logging.WARNING)
    elif kind != 'OptimWrapper':
        raise ValueError(
            f'optim_wrapper.type must be OptimWrapper, got {kind}; '
            'leave --amp out, or set the type to AmpOptimWrapper in the config'
        )
    elif get_device() == 'cpu':
        wrapper.update(type='CPUAmpOptimWrapper')
    else:
        wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')


def require_device_for_amp(cfg: Config) -> None:
    """Refuse a config that asks for a GPU's mixed precision without one.

    Args:
        cfg (Config): the whole config.

    Raises:
        ValueError: If it does.
    """
    kind, device = (cfg.get('optim_wrapper') or {}).get('type'), get_device()
    if kind == 'AmpOptimWrapper' and device in ('cpu', 'mps'):
        raise ValueError(
            f'optim_wrapper.type: AmpOptimWrapper needs a GPU, and the only device here is {device}'
            '; on a CPU set it to CPUAmpOptimWrapper, or to OptimWrapper and give --amp'
        )


def show_predictions(cfg: Config, folder: str | None, window: bool, seconds: float) -> None:
    """Have the visualisation hook draw every prediction.

    Args:
        cfg (Config): changed in place.
        folder (str, optional): where drawings are written.
        window (bool): whether they are shown in a window.
        seconds (float): for how long each.

    Raises:
        ValueError: If the config lacks that hook or a visualiser.
    """
    hook = (cfg.get('default_hooks') or {}).get('visualization')
    if not hook or not cfg.get('visualizer'):
        raise ValueError(
            'the config must have visualizer and '
            "default_hooks.visualization=dict(type='SegVisualizationHook')"
        )
    hook.draw = True
    if window:
        hook.show = True
        hook.wait_time = seconds
    if folder:
        cfg.visualizer.save_dir = folder


def use_tta(cfg: Config) -> None:
    """Put the test-time augmentation's pipeline and model in place of the plain ones.

    Args:
        cfg (Config): changed in place.

    Raises:
        ValueError: If it lacks them.
    """
    missing = [key for key in ('tta_pipeline', 'tta_model') if not cfg.get(key)]
    if missing:
        raise ValueError(f'the config has no {" and no ".join(missing)}; add it')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    if cfg.tta_model.type == 'SegTTAModel':  # does the same, and for every view
        cfg.tta_model.type = 'ViewTTAModel'
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def write_predictions(cfg: Config, folder: str) -> None:
    """Have the metrics keep the predictions as files.

    Args:
        cfg (Config): changed in place.
        folder (str): where they go.

    Raises:
        ValueError: If mmseg's metric would write two predictions to one file.
    """
    found = cfg.test_evaluator
    evaluators: list[dict] = [found] if isinstance(found, dict) else found
    for evaluator in evaluators:
        evaluator['output_dir'] = folder
        if evaluator['type'] == 'IoUMetric':
            _require_different_names(cfg)
        if evaluator['type'] == 'CityscapesMetric':  # deletes its folder at the end otherwise
            evaluator['keep_results'] = True


def _require_different_names(cfg: Config) -> None:
    """Mmseg's IoUMetric names a prediction after its image, without the folder."""
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    seen: dict[str, str] = {}
    for index in range(len(dataset)):
        path = dataset.get_data_info(index)['img_path']
        name = Path(path).stem
        if seen.setdefault(name, path) != path:
            raise ValueError(
                f'{seen[name]} and {path} would both be written as {name}.png; rename one of the '
                'images, or test the folders apart.'
            )
