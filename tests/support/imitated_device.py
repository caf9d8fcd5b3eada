"""A second device, imitated on the CPU, so that a tensor left on the wrong one is found here.

Its tensors are a subclass that lives in ordinary memory, says that it is elsewhere, and refuses
what torch refuses there:

- operations of tensors of both places, seen where torch's kernels see them. As in torch, a tensor
  without dimensions on the CPU may take part in an elementwise operation, tensors on the CPU may
  index one on the device, and ``copy_`` goes between both;
- ``.numpy()`` without ``.cpu()``;
- float64, if the device is to have none, as mps has none.

What it cannot imitate: operations that a device lacks, its rounding, its order of sums, and its
memory. A move is no part of a graph. A few of torch's gradients, such as that of an empty part,
make zeros on the CPU here, which is told as a mixture that a real device would not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._pytree import tree_flatten, tree_map

#: Operations whose kernels take a tensor without dimensions from the CPU.
_ELEMENTWISE = {
    *('add', 'sub', 'rsub', 'mul', 'div', 'floor_divide', 'remainder', 'fmod', 'pow', 'atan2'),
    *('eq', 'ne', 'lt', 'le', 'gt', 'ge', 'maximum', 'minimum', 'fmax', 'fmin', 'where'),
    *('bitwise_and', 'bitwise_or', 'bitwise_xor', 'logical_and', 'logical_or', 'logical_xor'),
}
#: Operations that go from one place to another.
_CROSSING = {'copy_', '_to_copy'}
_INDEXING = {'index', 'index_put', '_index_put_impl'}
#: Operations whose result the host has to wait for.
_WAITING = {'_local_scalar_dense', 'nonzero', 'equal', 'masked_select', '_unique2'}
_WIDE = {torch.float64, torch.complex128}


class Imitation(TorchFunctionMode):
    """The device; within it, what names its kind is put there.

    Args:
        kind: What it calls itself, such as 'cuda' or 'mps'.
        has_float64: Whether it knows float64.

    Attributes:
        waits: How often the host has waited for a value.
    """

    def __init__(self, kind: str = 'cuda', has_float64: bool = True) -> None:
        super().__init__()
        self.device = torch.device(kind, 0)
        self.has_float64 = has_float64
        self.waits = 0

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        first = args[0] if args else None
        is_there = isinstance(first, OnDevice)
        if func in _PLACES:
            answer = _PLACES[func](self.device)
            return answer if is_there else _call(func, args, kwargs)
        if func in _TO_HOST and is_there:
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to "
                'copy the tensor to host memory first.'
            )
        if is_there and func in _SHOWING:  # which torch does for its own tensors only
            self.waits += 1
            return func(self.move(first.detach(), torch.device('cpu')), *args[1:], **kwargs)
        if func is Tensor.cpu:
            return self.move(first, torch.device('cpu'))
        if func is Tensor.cuda:
            return self.move(first, torch.device('cuda', 0))
        if func is Tensor.to:
            return self._to(*args, **kwargs)
        if kwargs.get('device') is not None:
            return self._make(func, args, kwargs)
        return _call(func, args, kwargs)

    def move(self, tensor: Tensor, device: torch.device) -> Tensor:
        """A tensor at another place."""
        is_there, goes_there = isinstance(tensor, OnDevice), device.type == self.device.type
        if is_there == goes_there:
            return tensor
        assert tensor.is_leaf or not torch.is_grad_enabled(), 'a move is no part of a graph'
        with torch.no_grad(), no_dispatch(), torch._C.DisableTorchFunctionSubclass():
            copied = tensor.detach().clone()
        if goes_there:
            self.check(copied)
            copied = OnDevice(copied)
        return copied.requires_grad_() if tensor.requires_grad else copied

    def check(self, tensor: Tensor) -> None:
        """Refuse a type of numbers that the device does not know."""
        if not self.has_float64 and tensor.dtype in _WIDE:
            raise TypeError(f'{self.device} does not support {tensor.dtype}; use float32 instead.')

    def _to(self, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        device, dtype, rest = kwargs.pop('device', None), kwargs.pop('dtype', None), dict(kwargs)
        other = rest.pop('other', None)
        rest.pop('non_blocking', None)
        for value in (*args, other):
            if isinstance(value, Tensor):
                device, dtype = self.place_of(value), value.dtype
            elif isinstance(value, torch.dtype):
                dtype = value
            elif isinstance(value, str | torch.device):
                device = value
        device = None if device is None else torch.device(device)
        goes_there = device is not None and device.type == self.device.type
        if device is not None and not goes_there:
            tensor = self.move(tensor, device)
        tensor = _call(Tensor.to, (tensor,), {**rest, 'dtype': dtype or tensor.dtype})
        return self.move(tensor, self.device) if goes_there else tensor

    def place_of(self, tensor: Tensor) -> torch.device:
        """Where a tensor is."""
        return self.device if isinstance(tensor, OnDevice) else torch.device('cpu')

    def _make(self, func: Callable, args: tuple, kwargs: dict) -> Any:
        """Call what makes a tensor at a place."""
        device = torch.device(kwargs['device'])
        made = _call(func, args, {**kwargs, 'device': 'cpu'})
        if device.type == self.device.type:
            return tree_map(self._put, made)
        return tree_map(lambda x: self.move(x, device) if isinstance(x, OnDevice) else x, made)

    def _put(self, value: Any) -> Any:
        if isinstance(value, Tensor) and not isinstance(value, OnDevice):
            return self.move(value, self.device)
        return value


_active: list[Imitation] = []


@contextmanager
def imitate(kind: str = 'cuda', has_float64: bool = True) -> Iterator[Imitation]:
    """Within, there is such a device."""
    device = Imitation(kind, has_float64)
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    _active.append(device)
    try:
        with device:
            yield device
    finally:
        _active.pop()
        torch.__future__.set_overwrite_module_params_on_conversion(before)


class OnDevice(Tensor):
    """A tensor on the imitated device."""

    @staticmethod
    def __new__(cls, values: Tensor) -> OnDevice:
        return Tensor._make_subclass(cls, values)

    @classmethod
    def __torch_function__(
        cls, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return _active[-1].__torch_function__(func, types, args, kwargs)

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        device = _active[-1]
        name = func._schema.name.removeprefix('aten::')
        device.waits += name in _WAITING or (name == 'index' and _has_mask(args[1]))
        _refuse_mixture(device.device, name, args, kwargs)
        with no_dispatch():
            result = func(*args, **kwargs)

        def wrap(value: Any) -> Any:
            if not isinstance(value, Tensor) or isinstance(value, OnDevice):
                return value
            device.check(value)
            return OnDevice(value)

        if name == 'copy_' and not isinstance(args[0], OnDevice):
            return result
        return tree_map(wrap, result)


def _refuse_mixture(device: torch.device, name: str, args: tuple, kwargs: dict) -> None:
    """Raise torch's own words if tensors of both places meet where they may not."""
    if name in _CROSSING:
        return
    tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
    strangers = [x for x in tensors if not isinstance(x, OnDevice)]
    is_own = isinstance(args[0], OnDevice) if args else False
    if name.rstrip('_') in _INDEXING and is_own:
        indices = tree_flatten(args[1])[0]
        strangers = [x for x in strangers if not any(x is index for index in indices)]
        strangers = [x for x in strangers if name == 'index' or x.ndim]
    elif name.rstrip('_') in _ELEMENTWISE and (is_own or not name.endswith('_')):
        strangers = [x for x in strangers if x.ndim]
    if strangers:
        raise RuntimeError(
            f'Expected all tensors to be on the same device, but found at least two devices, '
            f'{device} and cpu! (in {name}, of shapes {[tuple(x.shape) for x in tensors]})'
        )


def _has_mask(indices: Sequence) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


def _call(func: Callable, args: tuple, kwargs: dict) -> Any:
    with torch._C.DisableTorchFunctionSubclass():
        return func(*args, **kwargs)


_PLACES = {
    Tensor.device.__get__: lambda device: device,
    Tensor.is_cpu.__get__: lambda device: False,
    Tensor.is_cuda.__get__: lambda device: device.type == 'cuda',
    Tensor.is_mps.__get__: lambda device: device.type == 'mps',
    Tensor.get_device: lambda device: device.index,
}
_SHOWING = {Tensor.__format__, Tensor.__repr__, Tensor.tolist}
_TO_HOST = {Tensor.numpy, Tensor.__array__}
