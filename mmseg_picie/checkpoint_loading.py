"""Read checkpoints as data: nothing in a file is ever run.

:func:`read_checkpoint` is the one reader of this project. :func:`guard_toolbox` makes it that of
the toolbox as well, so mmseg's own `init_model`, `MMSegInferencer` and training are as careful.

torch's restricted reader (`weights_only=True`) does the work. Beside tensors it is let read the
few kinds of data that mmengine writes, and each of these is read into a plain class of this module
that keeps its arguments and does nothing. They become arrays and histories after the file is
closed, when all that is in them can be looked at.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from .checkpoint_types import ALLOWED, Converter

_LOCK = threading.Lock()
# Whether the toolbox is reading a checkpoint.
_TOOLBOX_READS: ContextVar[bool] = ContextVar('toolbox_reads', default=False)
# Most bytes that the tensors of a file may have beyond those that it holds.
_MOST_REPEATED = 1 << 30
# Most numbers that are looked at in one go.
_PIECE = 1 << 20


class UnreadableCheckpoint(ValueError):
    """A file is no checkpoint, is damaged, or holds more than data."""


def read_checkpoint(
    path: str | os.PathLike[str] | io.IOBase,
    map_location: Any = 'cpu',
    more_types: Sequence[type] = (),
) -> dict[str, Any]:
    """Read a checkpoint: tensors, containers, text, numbers, numpy's arrays, mmengine's histories.

    Args:
        path: File of ``torch.save``, or an open one.
        map_location: As in ``torch.load``.
        more_types: Plain data types that the file may hold as well, for other projects' files.

    Returns:
        What was saved.

    Raises:
        UnreadableCheckpoint: If the file is no checkpoint, is damaged, names anything that is not
            data, holds weights that are not finite, or tensors of more numbers than it has.
        OSError: If it cannot be opened.
    """
    name = _describe(path)
    if not isinstance(path, io.IOBase):
        _refuse_what_is_no_checkpoint(name, os.fspath(path))
    _refuse_archives(name, path)
    try:
        with _allowing(more_types), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch's guesses about files that are then refused
            found = _torch_load(path, map_location=map_location, weights_only=True)
        found = Converter().convert(found)
    except Exception as error:  # bytes that are no checkpoint fail in any way
        raise UnreadableCheckpoint(_explain(name, error)) from error
    _check_content(name, found)
    return found


def guard_toolbox() -> None:
    """Have mmengine's loader read by :func:`read_checkpoint`; calling it again changes nothing.

    mmengine falls back to unrestricted loading by itself, and each of its sources (files, the web,
    object stores, schemes that others register) calls ``torch.load`` in its own way. So while
    mmengine loads a checkpoint, ``torch.load`` is this module's reader, whatever it is asked for.
    At all other times it is torch's own.

    mmengine also runs the text of the config in a checkpoint, on resuming and for an inferencer
    without a config. These texts are taken out: the config comes from the user.
    """
    plain = CheckpointLoader.load_checkpoint
    if getattr(plain, 'is_guarded', False):
        return

    def load_checkpoint(
        cls: type[CheckpointLoader],
        filename: str,
        map_location: Any = None,
        logger: Any = 'current',
    ) -> dict[str, Any]:
        token = _TOOLBOX_READS.set(True)
        try:
            checkpoint = plain(filename, map_location, logger)
        finally:
            _TOOLBOX_READS.reset(token)
        return _without_config_texts(_with_meta(checkpoint))

    load_checkpoint.is_guarded = True  # type: ignore[attr-defined]
    CheckpointLoader.load_checkpoint = classmethod(load_checkpoint)
    torch.load = _load


def _load(f: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
    """``torch.load``, but for checkpoints of the toolbox."""
    if _TOOLBOX_READS.get():
        return read_checkpoint(f, map_location)
    return _torch_load(f, map_location, *args, **kwargs)


_torch_load: Callable[..., Any] = torch.load
_load.__doc__, _load.__wrapped__ = torch.load.__doc__, torch.load  # type: ignore[attr-defined]


@contextmanager
def _allowing(more_types: Sequence[type]) -> Iterator[None]:
    """Within, torch allows this module's types, and none that others have put onto its list."""
    with _LOCK:
        others = torch.serialization.get_safe_globals()
        own: list[Any] = [*ALLOWED, *more_types]
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(own)
        try:
            yield
        finally:  # other threads may have put types onto it meanwhile
            added = [kind for kind in torch.serialization.get_safe_globals() if kind not in own]
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals([*others, *added])


def _refuse_what_is_no_checkpoint(name: str, path: str) -> None:
    """Name the kinds of file that people take for checkpoints."""
    if os.path.isdir(path):
        raise UnreadableCheckpoint(
            f'{name} must be a checkpoint file, but is a folder; give a file.'
        )
    if not os.path.isfile(path):
        kind = 'is neither a file nor a folder' if os.path.exists(path) else 'does not exist'
        raise FileNotFoundError(
            f'there is no checkpoint file {name}, as it {kind}; check the path.'
        )
    with open(path, 'rb') as file:
        start = file.read(256)
    if not start:
        raise UnreadableCheckpoint(f'{name} is empty; get the file again.')
    if start.startswith(b'version https://git-lfs'):
        raise UnreadableCheckpoint(
            f'{name} is a pointer of Git LFS, not the checkpoint itself; run `git lfs pull`.'
        )
    if start.lstrip().lower().startswith((b'<!doctype', b'<html', b'<?xml')):
        raise UnreadableCheckpoint(
            f'{name} is a web page, not a checkpoint; open the address in a browser to see why, '
            'and download the file itself.'
        )


def _refuse_archives(name: str, path: Any) -> None:
    """Refuse the tar files of torch before 0.1.10, which torch < 2.6 unpacks without care."""
    position = path.tell() if isinstance(path, io.IOBase) else 0
    is_tar = tarfile.is_tarfile(path)
    if isinstance(path, io.IOBase):
        path.seek(position)
    if is_tar:
        raise UnreadableCheckpoint(
            f'{name} is refused, as it is a tar archive, which may run code when read; write the '
            'checkpoint again with torch.save of torch 1.6 or newer, where you trust it.'
        )


def _explain(name: str, error: Exception) -> str:
    """One sentence about a file that could not be read."""
    if isinstance(error, UnreadableCheckpoint):
        return f'{name} cannot be read: {error}; get the file again.'
    message = str(error)
    found = re.search(r'GLOBAL (\S+)|unrecognized function (.+)|Can only .*got (<.*?>)', message)
    if found:
        return (
            f'{name} is refused, as it names {next(filter(None, found.groups()))}, which is not '
            'data and could run code when loaded; if you trust where it comes from, load it there '
            "with torch.load(FILE, weights_only=False) and save its ['state_dict'] by torch.save."
        )
    return (
        f'{name} must be a checkpoint of torch.save, but cannot be read as one, as it is damaged, '
        f'cut short or of another kind ({type(error).__name__}); get the file again.'
    )


def _check_content(name: str, found: Any) -> None:
    """Refuse what cannot be weights, and weights that are not finite."""
    if not isinstance(found, dict):
        raise UnreadableCheckpoint(
            f'{name} must hold a dict of weights, but holds a {type(found).__name__}; give a '
            'checkpoint of a training, or a state dict.'
        )
    weights = found.get('state_dict', found)
    if not isinstance(weights, dict) or not all(isinstance(key, str) for key in weights):
        raise UnreadableCheckpoint(
            f"{name} must hold a dict of weights by name in ['state_dict']; give a checkpoint of a "
            'training, or a state dict.'
        )
    repeated = 0
    for key, tensor in _find_tensors(found):
        claimed, held = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
        repeated += max(0, claimed - held)
        if repeated > _MOST_REPEATED:
            raise UnreadableCheckpoint(
                f'{name} is refused, as its tensor {key} claims to be of {claimed:,} bytes, but '
                f'the file holds {held:,} of them, which are repeated; if you trust where it comes '
                'from, load it there and save a clone() of the tensor.'
            )
    wrong = [key for key, value in weights.items() if _is_broken(key, value)]
    if wrong:
        raise UnreadableCheckpoint(
            f'{name} holds weights that are not finite numbers, in {len(wrong)} of {len(weights)} '
            f'tensors, such as {wrong[0]}; the training that wrote it has diverged: go back to an '
            'earlier checkpoint, and lower the learning rate.'
        )


def _find_tensors(found: dict) -> Iterator[tuple[str, Tensor]]:
    """All tensors that have memory of their own, however deep they lie, and what leads to each."""
    waiting: list[tuple[str, Any]] = [('', found)]
    seen = set()
    while waiting:
        name, item = waiting.pop()
        if _is_plain(item):
            yield name, item
        elif isinstance(item, (dict, list, tuple)) and id(item) not in seen:
            seen.add(id(item))
            pairs = item.items() if isinstance(item, dict) else enumerate(item)
            waiting += [(f'{name}.{key}' if name else str(key), value) for key, value in pairs]


def _is_plain(value: Any) -> bool:
    """Whether it is a tensor whose numbers lie in memory one by one."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_nested:
        return False
    return value.device.type != 'meta' and not value.is_quantized


def _is_broken(key: str, value: Any) -> bool:
    """Whether a tensor holds NaN or infinity; masks of attention hold minus infinity rightly."""
    if not _is_plain(value) or not value.is_floating_point():
        return False
    # Piece by piece, as the answer for all numbers at once takes more memory than they do.
    for piece in value.reshape(-1).split(_PIECE):
        if bool(piece.isnan().any() if 'mask' in key else not piece.isfinite().all()):
            return True
    return False


def _with_meta(checkpoint: Any) -> Any:
    """Let weights alone be loaded by mmseg's `init_model`, which asks for their `meta`."""
    if not isinstance(checkpoint, dict) or 'meta' in checkpoint:
        return checkpoint
    if 'state_dict' in checkpoint:
        checkpoint['meta'] = {}
        return checkpoint
    return _BareWeights(checkpoint)


class _BareWeights(dict):
    """A state dict that has an empty `meta` for who asks, and no such entry for who looks."""

    def __missing__(self, key: str) -> dict:
        if key == 'meta':
            return {}
        raise KeyError(key)


def _without_config_texts(checkpoint: Any) -> Any:
    """Take out the texts of configs, which the toolbox would run."""
    if not isinstance(checkpoint, dict):
        return checkpoint
    hub = checkpoint.get('message_hub')
    holders = [checkpoint.get('meta'), hub.get('runtime_info') if isinstance(hub, dict) else None]
    for holder in holders:
        if isinstance(holder, dict):
            for key in ('cfg', 'config'):
                holder.pop(key, None)
    return checkpoint


def _describe(path: Any) -> str:
    return str(getattr(path, 'name', 'the checkpoint') if isinstance(path, io.IOBase) else path)
