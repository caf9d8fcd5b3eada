"""Read checkpoints in the layout of PiCIE's released implementation, without running anything."""

import argparse
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..checkpoint_loading import read_checkpoint

#: A view each.
CLASSIFIERS = ('classifier1_state_dict', 'classifier2_state_dict')
REQUIRED = ('state_dict', *CLASSIFIERS)
OPTIONAL = ('epoch', 'args', 'optimizer')
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)
MAX_NAMED = 8  # a message names all of up to so many things, else the first 5

Plain = str | int | float | None


class ReleasedCheckpoint(NamedTuple):
    """What a released checkpoint holds; the optimiser's state is left out.

    Attributes:
        weights (dict[str, Tensor]): of ``backbone`` and ``decoder`` by their names there.
        centroids (Tensor): (V, K, D) float32.
        biases (Tensor): (V, K) float32, of the classifiers; zero where there is none.
        epoch (Plain): as the checkpoint states it; None if it does not.
        arguments (dict[str, Plain]): those arguments of the training that are text or numbers.
    """

    weights: dict[str, Tensor]
    centroids: Tensor
    biases: Tensor
    epoch: Plain
    arguments: dict[str, Plain]


def read_released(path: str | Path) -> ReleasedCheckpoint:
    """Read a checkpoint in the released layout.

    Args:
        path (str | Path): file of ``torch.save``.

    Returns:
        ReleasedCheckpoint: its parts, not yet compared with any model.

    Raises:
        ValueError: If it is no such checkpoint, or holds more than data.
    """
    released = read_checkpoint(path, more_types=[argparse.Namespace])
    check_names(str(path), released, REQUIRED, OPTIONAL)
    classifiers = [_read_classifier(released[name], name) for name in CLASSIFIERS]
    centroids, biases = zip(*classifiers, strict=True)
    if centroids[0].shape != centroids[1].shape:
        shapes = ' and '.join(str(tuple(view.shape)) for view in centroids)
        raise ValueError(f'the classifiers must be of one shape (K, D), but got {shapes}.')
    args = released.get('args')
    return ReleasedCheckpoint(
        _read_weights(released['state_dict'], 'state_dict'),
        torch.stack(centroids).float(),
        torch.stack(biases).float(),
        _plain_values({'epoch': released.get('epoch')}).get('epoch'),
        _plain_values(vars(args)) if isinstance(args, argparse.Namespace) else {},
    )


def check_names(
    where: str, found: Collection[Any], required: Collection[str], optional: Collection[str] = ()
) -> None:
    """Refuse missing and unknown names.

    Args:
        where (str): what holds the names, for the message.
        found (Collection[Any]): the names that are there.
        required (Collection[str]): those that must be.
        optional (Collection[str]): those that may be.

    Raises:
        ValueError: If some are missing or unknown; it names them.
    """
    missing = [repr(name) for name in required if name not in found]
    unknown = [repr(name) for name in found if name not in required and name not in optional]
    faults = []
    if missing:
        faults.append(f'lacks {join_names(missing)}')
    if unknown:
        faults.append(f'has the unknown {join_names(unknown)}')
    if faults:
        raise ValueError(
            f'{where} {" and ".join(faults)}; give a checkpoint of the released layout.'
        )


def join_names(names: Sequence[str]) -> str:
    """Name all of a few things, or the first 5 of many and how many there are.

    Args:
        names (Sequence[str]): the names.

    Returns:
        str: such as 'a, b'.
    """
    if len(names) <= MAX_NAMED:
        return ', '.join(names)
    return f'{", ".join(names[:5])}, ... ({len(names)} in all)'


def _read_weights(state: Any, where: str) -> dict[str, Tensor]:
    """Check a state dict, and take off the 'module.' that a data-parallel wrapper puts before."""
    if not isinstance(state, dict):
        raise ValueError(f'{where} must be a dict of tensors, but is a {type(state).__name__}.')
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(
                f'{where} must map names to tensors, but got a {type(value).__name__} for {name!r}.'
            )
        if value.layout != torch.strided or value.is_meta or value.dtype not in DTYPES:
            raise ValueError(
                f'{name!r} in {where} must be a plain tensor of real numbers, but got '
                f'{value.dtype}, {value.layout} on {value.device}.'
            )
        if not torch.isfinite(value).all():
            raise ValueError(f'{name!r} in {where} must be finite, but has NaN or infinite values.')
    tensors = {name.removeprefix('module.'): value for name, value in state.items()}
    if len(tensors) < len(state):
        raise ValueError(f"{where} must hold each name once, with or without 'module.' before it.")
    return tensors


def _read_classifier(state: Any, where: str) -> tuple[Tensor, Tensor]:
    """Read the centroids (K, D) and biases (K,) of a view from its 1x1 convolution."""
    tensors = _read_weights(state, where)
    check_names(where, tensors, ('weight',), ('bias',))
    weight = tensors['weight']
    if weight.ndim != 4 or weight.shape[2:] != (1, 1):
        raise ValueError(
            f"'weight' in {where} must be of shape (K, D, 1, 1), but got {tuple(weight.shape)}."
        )
    bias = tensors.get('bias', weight.new_zeros(len(weight)))
    if bias.shape != weight.shape[:1]:
        raise ValueError(
            f"'bias' in {where} must be of shape (K,) = ({len(weight)},), but got "
            f'{tuple(bias.shape)}.'
        )
    return weight[:, :, 0, 0], bias


def _plain_values(values: dict) -> dict[str, Plain]:
    """Keep what is text, a number or None, under a name that is text."""
    plain = (str, int, float, bool, type(None))
    return {k: v for k, v in values.items() if type(k) is str and type(v) in plain}
