"""Train and test by a config."""

from typing import NamedTuple

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from ..engine.facts import log_file
from ..engine.folder_lock import lock_folder
from .launchers import leave_process_group
from .runners import build_runner


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
