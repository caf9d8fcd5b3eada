"""What a misspelt name was meant to be: types of the registries, and options of a type."""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

_UNKNOWN_TYPE = re.compile(r'^(\S+) is not in the (\S+) registry|^Cannot find (\S+) in registry')
_UNKNOWN_OPTION = re.compile(r"got an unexpected keyword argument '([^']+)'")
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_MISSING_OPTION = re.compile(r'missing \d+ required (?:positional|keyword-only) arguments?: (.+)$')


def explain(error: BaseException, text: str, built: Mapping[str, Any]) -> str:
    """Explain an unknown type, and an option that a type does not have or lacks.

    Args:
        error: What was raised.
        text: Its words.
        built: Variables of mmengine's function that was building; empty if none was.

    Returns:
        A sentence; empty if it is about something else.
    """
    found = _UNKNOWN_TYPE.search(text)
    if found and isinstance(error, KeyError):
        name = found[1] or found[3]
        types = registered_types(built.get('registry'))
        return (
            f'there is no type {name!r}{suggest(name, types)}; correct the name, or import its '
            'module by custom_imports'
        )
    owner = built.get('obj_cls')
    if not isinstance(error, TypeError) or (owner is None and '__init__' not in text):
        return ''
    name = getattr(owner, '__name__', '') or text.partition('.')[0]
    found = _UNKNOWN_OPTION.search(text)
    if found:
        options, _ = list_options(owner) if owner is not None else ([], True)
        return f'{name} has no option {found[1]!r}{suggest(found[1], options)}'
    found = _MISSING_OPTION.search(text)
    return f'{name} needs the option {found[1]}; add it' if found else ''


def suggest(name: str, names: Iterable[str]) -> str:
    """List names that are nearly the same.

    Args:
        name: The misspelt one.
        names: Those that there are.

    Returns:
        Words to add to a sentence; empty if there is none.
    """
    by_lower = {known.lower(): known for known in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    return f' (did you mean {" or ".join(by_lower[known] for known in found)}?)' if found else ''


def list_options(owner: Any) -> tuple[list[str], bool]:
    """Options of a type, those of its parents included where it hands options on to them.

    Args:
        owner: A class or function.

    Returns:
        Names of its parameters, and whether there may be others.
    """
    options: list[str] = []
    is_open = False
    for part in inspect.getmro(owner) if inspect.isclass(owner) else (owner,):
        made_by = vars(part).get('__init__') if inspect.isclass(owner) else part
        if not inspect.isfunction(made_by):  # none of its own, or written in C
            continue
        parameters = inspect.signature(made_by).parameters.values()
        options += [p.name for p in parameters if p.kind in _NAMED and p.name != 'self']
        if all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters):
            return options, is_open
        is_open = True
    return options, True


def registered_types(registry: Any = None) -> dict[str, list[Any]]:
    """Types by name.

    Args:
        registry: One of mmengine's; None for all of mmengine's and mmseg's.

    Returns:
        What goes by each name, in that registry and those above and below it.
    """
    roots = [registry] if registry is not None else _all_registries()
    found: dict[str, list[Any]] = {}
    seen = set()
    for root in roots:
        while root.parent is not None:
            root = root.parent
        waiting = [root]
        while waiting:
            one = waiting.pop()
            waiting += one.children.values()
            if id(one) not in seen:
                seen.add(id(one))
                one.import_from_location()
                for name, item in one.module_dict.items():
                    found.setdefault(name, []).append(item)
    return found


def _all_registries() -> list[Any]:
    modules = [sys.modules.get(name) for name in ('mmengine.registry', 'mmseg.registry')]
    return [
        item
        for module in modules
        for item in vars(module or object).values()
        if type(item).__name__ == 'Registry'
    ]
