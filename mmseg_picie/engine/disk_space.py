"""Whether a disk has room for the checkpoints of a training."""

import logging
import shutil
from collections.abc import Iterable
from typing import Any

import torch
from mmengine.logging import print_log
from torch import nn


def check_disk_space(folder: str, size: int, number: int, at_once: int) -> None:
    """Compare the free space with what checkpoints will need.

    Args:
        folder (str): where they go; it exists.
        size (int): bytes of one.
        number (int): that will lie there at most, with the one that is being written.
        at_once (int): that are needed to go on at all.

    Raises:
        OSError: If there is no room for ``at_once``. If there is none for ``number``, that is
            logged as a warning.
    """
    free = shutil.disk_usage(folder).free
    if free >= size * number:
        return
    need = f'{folder} has {_megabytes(free)} free, but {{}} of {_megabytes(size)}'
    if free < size * at_once:
        raise OSError(
            need.format(f'a training needs {at_once} checkpoints')
            + ' at once; free some space, or give a folder on another disk.'
        )
    print_log(
        need.format(f'the training will write {number} checkpoints')
        + '; free some space, or set max_keep_ckpts of default_hooks.checkpoint.',
        logger='current',
        level=logging.WARNING,
    )


def estimate_checkpoint(
    model: nn.Module, optimizers: Iterable[torch.optim.Optimizer], also: Iterable[nn.Module] = ()
) -> int:
    """Estimate the size of a checkpoint.

    Args:
        model (nn.Module): whose weights it holds.
        optimizers (Iterable[Optimizer]): whose state it holds; before the first step there is none
            yet, but what there will be.
        also (Iterable[nn.Module]): whose weights it holds as well.

    Returns:
        int: bytes.
    """
    size = sum(_bytes(value) for part in (model, *also) for value in part.state_dict().values())
    for optimizer in optimizers:
        slots = _count_slots(optimizer.defaults)
        for group in optimizer.param_groups:
            size += slots * sum(_bytes(p) for p in group['params'] if p.requires_grad)
    return size


def _count_slots(defaults: dict[str, Any]) -> int:
    """Tensors of the size of the weights that an optimiser keeps."""
    if 'betas' in defaults:  # Adam and its kin
        return len(defaults['betas']) + bool(defaults.get('amsgrad'))
    return bool(defaults.get('momentum')) + ('alpha' in defaults)


def _bytes(value: Any) -> int:
    return value.nbytes if isinstance(value, torch.Tensor) else 0


def _megabytes(size: int) -> str:
    return f'{size / 1e6:,.1f} MB'
