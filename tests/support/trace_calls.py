"""Which public functions of some rooms are called."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import CodeType
from typing import Any


def public_functions(rooms: Sequence[str]) -> dict[str, CodeType]:
    """Name, such as 'clustering.kmeans.assign' -> code, of functions and of methods of classes."""
    found = {}
    for room in rooms:
        package = importlib.import_module(f'mmseg_picie.{room}')
        for part in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f'{package.__name__}.{part.name}')
            for name, value in _public(module, module.__name__):
                place = f'{room}.{part.name}.{name}'
                if inspect.isclass(value):
                    methods = _public(value, value.__module__)
                    found.update({f'{place}.{key}': method.__code__ for key, method in methods})
                else:
                    found[place] = value.__code__
    return found


def _public(owner: Any, module: str) -> Iterator[tuple[str, Any]]:
    """Public functions and classes that are written in a module or a class."""
    for name, value in vars(owner).items():
        value = getattr(value, 'fget', None) or getattr(value, '__func__', value)
        value = inspect.unwrap(value) if callable(value) else value
        is_own = getattr(value, '__module__', None) == module
        if (name == '__call__' or not name.startswith('_')) and is_own:
            is_class = inspect.isclass(value) and inspect.ismodule(owner)
            if inspect.isfunction(value) or (
                is_class and not getattr(value, '_is_protocol', False)
            ):
                yield name, value


@contextmanager
def called() -> Iterator[set[CodeType]]:
    """Within, note the code of all that is called on this thread."""
    found: set[CodeType] = set()

    def note(frame: Any, event: str, arg: Any) -> None:
        found.add(frame.f_code)

    before = sys.gettrace()
    sys.settrace(note)  # called for each call of Python's, and, as it returns None, for no line
    try:
        yield found
    finally:
        sys.settrace(before)
