"""What a checkpoint may hold beside torch's own types, read into classes that do nothing.

A file names a type and gives its arguments. Here each name stands for a class that keeps them. Once
the file is closed, a :class:`Converter` makes arrays and histories of what is then known as data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from mmengine.logging import HistoryBuffer

_NUMBERS = re.compile(r'[<>|=]?([?biufcSUa]\d*)')


class _DType:
    """Arguments of ``numpy.dtype``."""

    def __init__(self, name: str, *_: Any) -> None:
        self.name, self.order = name, '='

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]

    def build(self) -> np.dtype:
        text = self.name.decode('ascii') if isinstance(self.name, bytes) else str(self.name)
        match = _NUMBERS.fullmatch(text)
        if match is None or self.order not in ('<', '>', '|', '='):
            raise ValueError(f'it holds an array of {text!r}, which are not numbers')
        dtype = np.dtype(match[1])
        return dtype.newbyteorder('>') if self.order == '>' else dtype


class _Array:
    """Arguments and state of a ``numpy.ndarray``."""

    state: tuple = ()

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: tuple) -> None:
        self.state = state

    def build(self) -> np.ndarray:
        _, shape, dtype, is_fortran, data = self.state
        flat = np.frombuffer(data, dtype.build()).copy()
        return flat.reshape(shape, order='F' if is_fortran else 'C')


class _Scalar(NamedTuple):
    """Arguments of a scalar of numpy."""

    dtype: _DType
    data: bytes = b''

    def build(self) -> np.generic:
        return np.frombuffer(self.data, self.dtype.build())[0]


class _Method(NamedTuple):
    """The name of a method, which nobody looks up."""

    owner: Any
    name: str


class _Bytes:
    """Bytes that a file holds as text, of which torch knows from 2.5 on."""

    def __new__(cls, text: str, encoding: str) -> bytes:  # type: ignore[misc]
        if encoding != 'latin1':
            raise ValueError(f'it holds bytes as {encoding!r}, which Python does not write')
        return text.encode('latin1')


class _History:
    """State of mmengine's ``HistoryBuffer``."""

    state: Mapping[str, Any] = {}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.state = state

    def build(self) -> HistoryBuffer:
        logs, counts = (_build(self.state[f'_{kind}_history']) for kind in ('log', 'count'))
        if not all(isinstance(part, np.ndarray) and part.ndim == 1 for part in (logs, counts)):
            raise ValueError('it holds a history that is not two lists of numbers')
        history = HistoryBuffer(max_length=int(self.state.get('max_length', 1000000)))
        history._log_history, history._count_history = logs, counts
        return history


#: Full name in a file -> what is made of it.
_READ_AS: dict[str, type] = {
    'builtins.bytes': bytes,
    'builtins.complex': complex,
    'builtins.set': set,
    '_codecs.encode': _Bytes,
    'builtins.slice': slice,
    'numpy.dtype': _DType,
    'numpy.ndarray': _Array,
    **{f'numpy.{core}.multiarray._reconstruct': _Array for core in ('core', '_core')},
    **{f'numpy.{core}.multiarray.scalar': _Scalar for core in ('core', '_core')},
    'mmengine.logging.history_buffer.HistoryBuffer': _History,
    # A history names its own statistics in this way. They are not read.
    'builtins.getattr': _Method,
}


def _named(full_name: str, kind: type) -> type:
    """A class that torch finds under a name."""
    module, _, name = full_name.rpartition('.')
    if kind.__module__ == 'builtins':
        return kind
    return type(name, (kind,), dict(__module__=module, __qualname__=name))


ALLOWED = [_named(*item) for item in _READ_AS.items()]


def _build(item: Any) -> Any:
    return item.build() if isinstance(item, (_Array, _Scalar, _DType, _History)) else item


class Converter:
    """Puts arrays, scalars and histories where a file had them; each object once."""

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, Any]] = {}

    def convert(self, item: Any) -> Any:
        """What an object of the file stands for; dicts and lists are changed in place."""
        if id(item) in self._done:
            return self._done[id(item)][1]
        if isinstance(item, (dict, list)):
            self._done[id(item)] = (item, item)
            pairs = list(item.items() if isinstance(item, dict) else enumerate(item))
            for key, value in pairs:
                item[key] = self.convert(value)
            return item
        if type(item) is tuple:
            result: Any = tuple(map(self.convert, item))
        else:
            result = _build(item)
        self._done[id(item)] = (item, result)  # kept, so that its id stays its own
        return result
