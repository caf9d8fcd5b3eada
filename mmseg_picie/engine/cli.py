"""What the command-line tools share: arguments, config and work folder, launcher, runner.

A user's mistake ends the tool through `parser.error`: the usage, one sentence, exit code 2.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import torch.distributed
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.dist import barrier, is_distributed
from mmengine.logging import print_log
from mmengine.runner import Runner

from .host import keep_freed_memory

# What a launcher of the kind of torchrun sets for each of its processes.
RENDEZVOUS_VARIABLES = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')


def add_common_arguments(parser: argparse.ArgumentParser, launcher: bool = True) -> None:
    """Add the options that training and testing share, with mmseg's names and meanings.

    Args:
        parser: The tool's parser; its own positional arguments come first.
        launcher: Whether the tool can be a distributed job.
    """
    parser.add_argument(
        '--work-dir',
        help='folder for logs, checkpoints and results; without it the one that the config names, '
        'else ./work_dirs/<name of the config>',
    )
    add_cfg_options(parser)
    if not launcher:
        return
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes of a distributed job',
    )
    # torch.distributed.launch passes it, spelt either way; torchrun sets LOCAL_RANK instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add the option that changes settings of the config.

    Args:
        parser: The tool's parser.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='change settings of the config: a.b=1 for a nested key, "a=[1,2]" (quoted, without '
        'spaces) for a list or tuple',
    )


def parse_args(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> argparse.Namespace:
    """Parse the command line and export LOCAL_RANK, which mmengine reads.

    Args:
        parser: A parser with the common arguments.
        argv: Words of the command line; None takes those of this process.

    Returns:
        The parsed arguments.
    """
    try:
        args = parser.parse_args(argv)
    except ValueError:  # raised by DictAction, the only action here that raises
        parser.error(
            'argument --cfg-options: each entry must be KEY=VALUE, such as randomness.seed=1'
        )
    os.environ.setdefault('LOCAL_RANK', str(getattr(args, 'local_rank', 0)))
    return args


def load_config(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Config:
    """Read the config and apply the common options to it.

    Args:
        parser: Reports a config that cannot be read.
        args: Parsed arguments with `config`, `cfg_options` and `work_dir`, perhaps `launcher`.

    Returns:
        The config, with `launcher` and `work_dir` set. The command line's work folder goes before
        the config's own, and that before ./work_dirs/<name of the config>.
    """
    cfg = read_config(parser, args)
    cfg.launcher = getattr(args, 'launcher', 'none')
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs', Path(args.config).stem))
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if loader and loader.get('num_workers') == 0:  # torch refuses to keep workers that are none
            loader.persistent_workers = False
    return cfg


def read_config(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Config:
    """Read the config and change it as `--cfg-options` says.

    Args:
        parser: Reports a config that cannot be read.
        args: Parsed arguments with `config` and `cfg_options`.

    Returns:
        The config.
    """
    if not Path(args.config).is_file():
        parser.error(f'argument config: there is no file {args.config}; check the path')
    try:
        cfg = Config.fromfile(args.config)
    except OSError as error:  # a missing base file, or a suffix that is not a config's
        parser.error(f'argument config: {args.config} cannot be read: {error}')
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def require_checkpoint(parser: argparse.ArgumentParser, argument: str, path: str) -> None:
    """End the tool if a checkpoint file does not exist; addresses such as https:// are not checked.

    Args:
        parser: Reports the missing file.
        argument: The argument or config key that named it.
        path: Local path or address.
    """
    if '://' not in path and not Path(path).is_file():
        parser.error(f'argument {argument}: there is no checkpoint file {path}; check the path')


def enable_amp(parser: argparse.ArgumentParser, cfg: Config) -> None:
    """Turn the config's optimiser wrapper into the one with automatic mixed precision.

    Args:
        parser: Reports a config whose wrapper is not the plain one.
        cfg: The config, changed in place.
    """
    wrapper = cfg.get('optim_wrapper')
    kind = wrapper.get('type', 'OptimWrapper') if wrapper else None
    if kind in ('AmpOptimWrapper', 'CPUAmpOptimWrapper'):
        print_log(f'--amp: the config uses {kind} already.', 'current', logging.WARNING)
    elif kind != 'OptimWrapper':
        parser.error(
            f'argument --amp: optim_wrapper.type must be OptimWrapper, got {kind}; '
            'leave --amp out, or set the type to AmpOptimWrapper in the config'
        )
    elif get_device() == 'cpu':
        wrapper.update(type='CPUAmpOptimWrapper')
    else:
        wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')


def require_device_for_amp(parser: argparse.ArgumentParser, cfg: Config) -> None:
    """End the tool if the config asks for a GPU's mixed precision without one.

    Args:
        parser: Reports it.
        cfg: The config.
    """
    kind, device = (cfg.get('optim_wrapper') or {}).get('type'), get_device()
    if kind == 'AmpOptimWrapper' and device in ('cpu', 'mps'):
        parser.error(
            f'optim_wrapper.type: AmpOptimWrapper needs a GPU, and the only device here is {device}'
            '; on a CPU set it to CPUAmpOptimWrapper, or to OptimWrapper and give --amp'
        )


def prepare_launcher(parser: argparse.ArgumentParser, cfg: Config) -> None:
    """Make ready what mmengine needs to start the distributed job that the config asks for.

    On a GPU that is nothing. On a CPU mmengine's own start would call CUDA, so the process group
    is made here, with gloo, and the model is to be wrapped without device ids.

    Args:
        parser: Reports a launcher that cannot work here.
        cfg: The config with `launcher`; on a CPU its `model_wrapper_cfg` is set.
    """
    if cfg.launcher == 'none':
        return
    if cfg.launcher == 'pytorch':
        missing = [name for name in RENDEZVOUS_VARIABLES if name not in os.environ]
        if missing:
            parser.error(
                f'argument --launcher: pytorch needs {", ".join(missing)} in the environment; '
                'start the job with torchrun, or with tools/dist_train.sh or tools/dist_test.sh'
            )
    if get_device() != 'cpu':
        return
    if cfg.launcher != 'pytorch':
        parser.error(
            f'argument --launcher: {cfg.launcher} needs GPUs and none is visible; on CPUs use '
            '--launcher pytorch with torchrun'
        )
    seconds = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
    timeout = None if seconds is None else datetime.timedelta(seconds=seconds)
    torch.distributed.init_process_group('gloo', timeout=timeout)
    wrapper = dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    wrapper.update(cfg.get('model_wrapper_cfg') or {})
    cfg.model_wrapper_cfg = dict(wrapper, device_ids=None)


def build_runner(cfg: Config) -> Runner:
    """Build mmengine's runner, or the one of the registry that `runner_type` names.

    Args:
        cfg: The whole config.

    Returns:
        The runner, before any training or testing.
    """
    keep_freed_memory()
    if 'runner_type' not in cfg:
        return Runner.from_cfg(cfg)
    from mmseg.registry import RUNNERS

    return RUNNERS.build(cfg)


def leave_process_group() -> None:
    """Leave the distributed job, if this process is in one, after its work is done.

    The threads of gloo abort a process that ends while they still run.
    """
    if is_distributed():
        gc.collect()  # a runner that is done with, whose wrapped model holds the group
        barrier()
        torch.distributed.destroy_process_group()
