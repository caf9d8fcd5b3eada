"""The runner: mmengine's, or a registered one, with what this project adds to it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import master_only
from mmengine.runner import Runner
from mmseg.registry import MODEL_WRAPPERS, RUNNERS
from torch import nn
from torch.utils.data import DataLoader

from ..engine import ConsoleHook
from ..engine.distributed import check_norms, check_same, check_wrapper
from ..engine.hooks import FittingWeightsHook
from ..launched import name_job
from ..models import PiCIE
from ..version import __version__
from ..whole_files import write_whole
from .near_names import registered_types, suggest
from .quiet import QuietLog


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


#: Default hooks that mmengine adds by itself, and leaves out where a config sets them to None.
_OWN_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


class WholeConfig(Runner):
    """A runner that writes its config as a whole, checks its ranks, and ends its workers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._loaders: WeakSet[DataLoader] = WeakSet()
        super().__init__(*args, **kwargs)

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """Register them; one that a child config sets to None is left out."""
        given = hooks or {}
        super().register_default_hooks(
            {name: hook for name, hook in given.items() if hook is not None or name in _OWN_HOOKS}
        )

    def setup_env(self, env_cfg: dict) -> None:
        """Set up the environment; processes of several jobs that have met are refused."""
        super().setup_env(env_cfg)
        if self.distributed:
            given = (self.cfg.get('randomness') or {}).get('seed')
            check_same(
                'job, version, seed and work folder',
                (name_job(), __version__, given, self.cfg.get('work_dir')),
                'two jobs have met at the port '
                f'{os.environ.get("MASTER_PORT")}: start each with a MASTER_PORT of its own.',
            )

    def load_or_resume(self) -> None:
        """Load or resume, from one state on all ranks."""
        super().load_or_resume()
        if self.distributed and self._train_loop is not None:
            check_same(
                'epoch and iteration to go on from',
                (self.epoch, self.iter),
                'all machines must have one work folder, such as one of the network.',
            )

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
