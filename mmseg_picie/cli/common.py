"""What the commands share: options, checks of paths, the config.

A user's mistake ends a command through `parser.error`, as :mod:`.ending` says.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..apis import ready_configs
from ..apis.model_store import get_checkpoint
from ..printing import printable
from . import outputs
from .causes import find_cause

if TYPE_CHECKING:
    from mmengine.config import Config

OPTION_RULE = 'argument --cfg-options: each entry must be KEY=VALUE, such as randomness.seed=1'


def add_common_arguments(parser: argparse.ArgumentParser, launcher: bool = True) -> None:
    """Add the options that training and testing share, with mmseg's names and meanings.

    Args:
        parser: The command's parser; its own positional arguments come first.
        launcher: Whether the command can be a distributed job.
    """
    parser.add_argument(
        '--work-dir',
        help='folder for logs, checkpoints and results; without it the one that the config names, '
        'else ./work_dirs/<name of the config>',
    )
    add_cfg_options(parser)
    add_verbose(parser)
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
        parser: The command's parser.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        metavar='KEY=VALUE',
        help='change settings of the config: a.b=1 for a nested key, "a=[1,2]" (quoted, without '
        'spaces) for a list or tuple',
    )


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Add the option that shows all messages of the toolbox.

    Args:
        parser: The command's parser.
    """
    parser.add_argument(
        '--verbose', action='store_true', help='show the full log, which else goes to a file only'
    )


def add_share(parser: argparse.ArgumentParser, more: str = '') -> None:
    """Add the option that shares images out over calls.

    Args:
        parser: The command's parser.
        more: What else it may be.
    """
    parser.add_argument(
        '--share',
        metavar='SHARE',
        help='which of several shares of the images to segment: I/N, such as 2/8; array, that of '
        'the task of a Slurm array; ranks, that of the process of a job of torchrun, srun or '
        f'mpirun{more}. A share that was stopped goes on; the last to end writes the summary',
    )


def check_config(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End the command if there is no such config, or a word of `--cfg-options` is malformed.

    Args:
        parser: Reports it.
        args: Parsed arguments with `config` and `cfg_options`.
    """
    find_config(parser, args.config)
    if not all(word.find('=') > 0 for word in args.cfg_options or ()):
        parser.error(OPTION_RULE)


def find_config(parser: argparse.ArgumentParser, name: str, argument: str = 'config') -> Path:
    """Find a config file, or end the command.

    Args:
        parser: Reports that there is none.
        name: Path, or name of a ready config (see :func:`.ready_configs.find_config`).
        argument: The argument that named it.

    Returns:
        Its path.
    """
    with refuse(parser, argument):
        return ready_configs.find_config(name)


def find_checkpoint(parser: argparse.ArgumentParser, argument: str, path: str) -> str:
    """Find a checkpoint, or end the command; addresses such as https:// are not checked.

    Args:
        parser: Reports that there is none.
        argument: The argument or config key that named it.
        path: Local path, address, or name of a released model, which may be downloaded
            (see :func:`.model_store.get_checkpoint`).

    Returns:
        Local path, or the address.
    """
    if '://' in path:
        return path
    with refuse(parser, argument):
        return get_checkpoint(path)


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
        cfg.work_dir = str(Path('work_dirs', find_config(parser, args.config).stem))
    outputs.check_folder(
        parser, 'work_dir' if args.work_dir is None else '--work-dir', cfg.work_dir
    )
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if loader and loader.get('num_workers') == 0:  # torch refuses to keep workers that are none
            loader.persistent_workers = False
    return cfg


def read_config(
    parser: argparse.ArgumentParser, args: argparse.Namespace, predicts: bool = False
) -> Config:
    """Read the config and change it as `--cfg-options` says.

    Args:
        parser: Reports a config that cannot be read.
        args: Parsed arguments with `config` and `cfg_options`.
        predicts: Whether mmseg's inference will read the config too.

    Returns:
        The config.
    """
    from ..apis import config_options
    from ..apis.config_files import read_config_file

    check_config(parser, args)
    cfg = read_config_file(args.config)
    return config_options.apply(cfg, _to_values(parser, args.cfg_options or ()), predicts)


def require(
    parser: argparse.ArgumentParser, args: argparse.Namespace, cfg: Config, *parts: str
) -> None:
    """End the command if the config lacks what its work will need, before the work begins.

    Args:
        parser: Reports it.
        args: Parsed arguments with `config`.
        cfg: The config.
        parts: What it must have: 'model', 'inference', 'train' or 'val'.
    """
    keys = {
        'model': ('model',),
        'inference': ('test_pipeline',),
        'train': ('train_dataloader', 'train_cfg', 'optim_wrapper'),
        'val': ('val_dataloader', 'val_cfg', 'val_evaluator'),
    }
    missing = [key for part in parts for key in keys[part] if not cfg.get(key)]
    if missing:
        parser.error(
            f'argument config: {args.config} has no {" and no ".join(missing)}, which '
            f'`{parser.prog}` needs; give another config, or add them'
        )


def _to_values(parser: argparse.ArgumentParser, words: Sequence[str]) -> dict[str, Any]:
    """Turn the words of `--cfg-options` into settings, as mmengine does."""
    from mmengine.config import DictAction

    reader = argparse.ArgumentParser()
    reader.add_argument('words', nargs='*', action=DictAction, default={})
    try:
        return reader.parse_args(['--', *words]).words or {}
    except (AssertionError, ValueError):  # brackets that are not closed
        parser.error(OPTION_RULE)


@contextmanager
def refuse(
    parser: argparse.ArgumentParser,
    argument: str = '',
    errors: tuple[type[Exception], ...] = (OSError, ValueError),
) -> Iterator[None]:
    """Within, errors that a user can mend end the command in one sentence.

    Args:
        parser: Reports them.
        argument: The argument to blame, if it is one.
        errors: Their types.
    """
    try:
        yield
    except errors as error:
        sentence = find_cause(error) or str(error)
        parser.error(f'argument {argument}: {sentence}' if argument else sentence)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print named facts below each other, without those that are empty.

    Args:
        facts: Name -> what to say.
    """
    for name, fact in facts.items():
        if fact:
            print(printable(f'{name:<10}  {fact}'))
