"""What a forward pass keeps for its backward pass: within a budget, results of cheap layers."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.hooks import RemovableHandle

from .recompute import is_recomputed, statistics_kept

# Layers that keep their input for the backward pass, so that their result can be made of it again.
_NORMS = (nn.BatchNorm2d, nn.LayerNorm)
_SMOOTH = (nn.GELU, nn.SiLU, nn.Hardswish)
# These keep their result alone. It is made again where their input can be.
_BOUNDS = (nn.ReLU, nn.Hardtanh)  # ReLU6 is a Hardtanh
# What a normalisation layer may hold to be as cheap as without it (timm's BatchNormAct2d).
_INNER = (nn.Identity, *_SMOOTH, *_BOUNDS)


@contextmanager
def keep_within(network: nn.Module, max_bytes: int) -> Iterator['Kept']:
    """Within, keep for the backward pass what is needed, and results of cheap layers if they fit.

    A convolution keeps its input, which mostly is the result of a normalisation and an activation,
    and a normalisation keeps its own input, of which that result can be made again: one pass over
    memory, and nothing to multiply. So once more than ``max_bytes`` are kept, results of
    normalisations and activations are let go, the oldest first, and computed again when the
    backward pass comes to them, one at a time. Outputs, gradients and running statistics stay the
    same to the last bit (Chen et al. 2016 of cheap operations; with ``max_bytes`` of 0 it halves
    what MobileNet and EfficientNet keep).

    Args:
        network (nn.Module): what is called within. Nothing of it is changed. Parts that compute all
            of their activations again (:func:`recompute_activations`) are left alone.
        max_bytes (int): what may be kept, at least 0, weights included. Inputs of convolutions and
            normalisations that are no such results are kept whatever it is.

    Yields:
        Kept: what it came to.
    """
    recorder = Kept(max_bytes)
    if not torch.is_grad_enabled():
        yield recorder
        return
    with ExitStack() as stack:
        for layer in _find_cheap(network):
            for handle in recorder.watch(layer):
                stack.callback(handle.remove)
        stack.enter_context(saved_tensors_hooks(recorder.pack, _unpack))
        yield recorder


def _find_cheap(module: nn.Module) -> Iterator[nn.Module]:
    """Layers whose results can be made again, without those that are made again anyway."""
    if is_recomputed(module):
        return
    # What a hook makes of a result is not known here.
    if not module._forward_hooks and not module._forward_pre_hooks:
        if isinstance(module, _NORMS):
            if all(isinstance(part, _INNER) for part in list(module.modules())[1:]):
                yield module
        elif isinstance(module, (*_SMOOTH, *_BOUNDS)):
            yield module
    for child in module.children():
        yield from _find_cheap(child)


class _Result:
    """What a layer made of a tensor or of another result, and can make again."""

    def __init__(self, layer: nn.Module, source: 'Tensor | _Result', output: Tensor) -> None:
        self.layer = layer
        self.source = source
        self.view = _view(output)
        self.num_bytes = output.untyped_storage().nbytes()
        self.autocast = _autocast_state(output.device.type)
        self.is_kept = True
        self.version = source._version if isinstance(source, Tensor) else 0
        self.slots: list[_Slot] = []  # that hold the tensor itself
        self.num_uses = 0  # to come, of the slots that do not
        self.value: Tensor | None = None  # between the first use and the last

    def let_go(self) -> None:
        """Keep the tensor no longer."""
        self.is_kept = False
        for slot in self.slots:
            self.stand_for(slot)
        self.slots.clear()

    def stand_for(self, slot: '_Slot') -> None:
        """Take the place of the tensor that a slot holds."""
        slot.content = self
        self.num_uses += 1

    def take(self) -> Tensor:
        """The tensor, made again, which is kept until it was taken as often as it was saved."""
        self.num_uses -= 1
        value = self._make() if self.value is None else self.value
        self.value = value if self.num_uses > 0 else None
        return value

    def _make(self) -> Tensor:
        source = self.source
        if isinstance(source, _Result):
            source = source._make()
        else:
            _check_version(source, self.version)
        with torch.no_grad(), statistics_kept(self.layer), torch.autocast(**self.autocast):
            value = self.layer.forward(source)
        assert _view(value) == self.view, 'a layer has laid out its result in another way'
        return value


class _Slot:
    """One tensor that an operation has saved: itself, or of which result it is what view."""

    def __init__(self, tensor: Tensor) -> None:
        self.content: Tensor | _Result = tensor
        self.view = _view(tensor)
        self.version = tensor._version


def _unpack(slot: _Slot) -> Tensor:
    """Give an operation of the backward pass what it has saved."""
    # No method of the recorder, which would hold every layer's input until the last slot is gone.
    if isinstance(slot.content, Tensor):
        _check_version(slot.content, slot.version)
        return slot.content
    return slot.content.take().as_strided(*slot.view)


def _view(tensor: Tensor) -> tuple[torch.Size, tuple[int, ...], int]:
    """Which part of its memory a tensor is."""
    return tensor.shape, tensor.stride(), int(tensor.storage_offset())


def _check_version(tensor: Tensor, version: int) -> None:
    """Refuse what was changed in place since it was saved, as torch does without hooks."""
    if tensor._version != version:
        raise RuntimeError(
            'a tensor that the backward pass needs was changed in place: one of shape '
            f'{tuple(tensor.shape)} is at version {tensor._version}, but {version} was saved; '
            'let the network compute out of place.'
        )


def _autocast_state(device_type: str) -> dict[str, Any]:
    """Arguments of ``torch.autocast`` for what is in force now."""
    return dict(
        device_type=device_type,
        dtype=torch.get_autocast_dtype(device_type),
        enabled=torch.is_autocast_enabled(device_type),
    )


class _Memory(NamedTuple):
    """What is known of a tensor's memory.

    Attributes:
        alive: A weak reference, so that no other memory gets the same address meanwhile.
        version: How often the tensor was changed in place.
        result: What made it, if it can be made again.
    """

    alive: StorageWeakRef
    version: int
    result: _Result | None


class Kept:
    """Sees layers make results and operations save tensors, and lets results go.

    Attributes:
        fits (bool): Whether all was kept so far.
        num_bytes (int): What is kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self.fits = True
        self.num_bytes = 0
        self.max_bytes = max_bytes
        self.known: dict[int, _Memory] = {}  # by address
        self.counted: dict[int, StorageWeakRef] = {}
        self.droppable: deque[_Result] = deque()
        # For each layer that is running: its source, and what has been saved since it began.
        self.running: list[tuple[Tensor | _Result | None, list[_Slot]]] = []

    def watch(self, layer: nn.Module) -> Sequence[RemovableHandle]:
        """Be told when the layer runs."""
        return (
            layer.register_forward_pre_hook(self.before, with_kwargs=True),
            layer.register_forward_hook(self.after),
        )

    def before(self, layer: nn.Module, inputs: tuple[Tensor, ...], options: dict) -> None:
        """Note what a layer is given, before it may change that in place."""
        if len(inputs) != 1 or options:  # it would be called in another way than these layers are
            self.running.append((None, []))
            return
        given = inputs[0]
        source: Tensor | _Result | None = self.find_result(given)
        if isinstance(source, _Result) and source.view != _view(given):
            source = None  # a part of a result, or that in another shape
        keeps_input = not isinstance(layer, _BOUNDS) and not getattr(layer, 'inplace', False)
        if source is None and keeps_input:
            source = given.detach()
        self.running.append((source, []))

    def after(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Remember how to make a result again, and judge what was saved meanwhile."""
        source, slots = self.running.pop()
        if source is not None and output.requires_grad:
            result = _Result(layer, source, output)
            storage = output.untyped_storage()
            self.known[storage._cdata] = _Memory(StorageWeakRef(storage), output._version, result)
        for slot in slots:
            self.keep(slot)

    def pack(self, tensor: Tensor) -> _Slot:
        """Take what an operation saves."""
        slot = _Slot(tensor)
        self.keep(slot)
        return slot

    def keep(self, slot: _Slot) -> None:
        """Keep a tensor, or what it is made of; within a layer, wait for what it makes."""
        if self.running:
            self.running[-1][1].append(slot)
            return
        tensor = slot.content
        assert isinstance(tensor, Tensor)
        result = self.find_result(tensor)
        if result is not None and not result.is_kept:
            result.stand_for(slot)
            return
        storage = tensor.untyped_storage()
        if storage._cdata not in self.counted:
            self.counted[storage._cdata] = StorageWeakRef(storage)
            self.num_bytes += storage.nbytes()
            if result is not None:
                self.droppable.append(result)
        if result is not None:
            result.slots.append(slot)
        while self.num_bytes > self.max_bytes and self.droppable:
            oldest = self.droppable.popleft()
            oldest.let_go()
            self.fits = False
            self.num_bytes -= oldest.num_bytes

    def find_result(self, tensor: Tensor) -> _Result | None:
        """What a tensor was made by, if it is as that has left it."""
        memory = self.known.get(tensor.untyped_storage()._cdata)
        if memory is None or memory.version != tensor._version:
            return None
        return memory.result
