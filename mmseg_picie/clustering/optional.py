"""Libraries that k-means is faster with, and works without."""

import functools
import importlib
import warnings
from types import ModuleType


@functools.lru_cache(maxsize=1)
def import_numba() -> ModuleType | None:
    """Import numba if it works here.

    Returns:
        module or None: numba, or None where it is missing or broken (a warning tells why).
    """
    return _import('numba')


@functools.lru_cache(maxsize=1)
def import_faiss() -> ModuleType | None:
    """Import faiss if it works here.

    Returns:
        module or None: faiss, or None where it is missing or broken (a warning tells why).
    """
    return _import('faiss')


def _import(name: str) -> ModuleType | None:
    """A library, whatever it raises where it does not suit numpy, a processor or a driver."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        if not isinstance(error, ModuleNotFoundError) or error.name != name:
            warnings.warn(f'{name} is installed but cannot be used: {error}', stacklevel=3)
    return None
