"""Change settings of a config, and refuse changes that nothing would notice."""

import difflib
import inspect
import re
from collections.abc import Iterator, Mapping, Set
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner, runner
from mmseg.apis import utils

from .config_types import check_settings
from .near_names import suggest

#: How code asks a config for a key of its top level.
_READING = re.compile(r"\bcfg(?:\.get\('|\['|\.)(\w+)")
#: Places to name at most.
_MAX_NAMED = 6


def apply(cfg: Config, options: Mapping[str, Any], predicts: bool = False) -> Config:
    """Change a config that was read, and check what it then says.

    Args:
        cfg (Config): changed in place.
        options (Mapping[str, Any]): values by key, such as 'train_cfg.max_epochs'.
        predicts (bool): whether mmseg's inference will read the config too.

    Returns:
        Config: the same.

    Raises:
        ValueError: If nothing reads a key, a key fits no setting, or the config names an unknown
            type or option.
    """
    read = read_keys(predicts)
    for key in options:
        _check_is_read(cfg, key, read)
        _check_is_near_nothing(cfg, key)
    try:
        cfg.merge_from_dict(dict(options))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        text = str(error.args[0] if error.args else error)
        raise ValueError(
            f'argument --cfg-options: {", ".join(options)} cannot be set in {cfg.filename}: {text}'
            '; correct the key'
        ) from error
    check_settings({key: cfg[key] for key in cfg if key in read})
    return cfg


@cache
def read_keys(predicts: bool = False) -> frozenset[str]:
    """Keys of a config's top level that mmengine's runner or this package reads.

    They are taken from the runner's arguments and from the code of both, so that there is no list
    to keep.

    Args:
        predicts (bool): whether to add those that mmseg's inference reads.

    Returns:
        frozenset[str]: the keys.
    """
    keys = set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}
    keys.update(_READING.findall(inspect.getsource(runner)))
    inference = set(_READING.findall(inspect.getsource(utils))) - keys
    for room in ('acceleration', 'apis', 'cli', 'engine'):
        for file in (Path(__file__).parents[1] / room).rglob('*.py'):
            keys.update(_READING.findall(file.read_text('utf-8')))
    # This package reads the settings of inference for inference, too.
    keys = keys | inference if predicts else keys - inference
    return frozenset(keys - {*dir(Config), *dir(dict)})


def _check_is_read(cfg: Config, key: str, read: Set[str]) -> None:
    """Refuse a key of the top level that nothing reads, and say which one is meant."""
    name, _, rest = key.partition('.')
    if name in read:
        return
    modules = (cfg.get('custom_imports') or {}).get('imports') or []
    modules = [modules] if isinstance(modules, str) else modules
    is_used = name in cfg and len(re.findall(rf'\b{re.escape(name)}\b', cfg.text)) > 1
    if not is_used and any(not module.startswith('mmseg_picie') for module in modules):
        return  # code of the user may read it
    places = [f'{place}.{rest}' if rest else place for place in _find_places(cfg, name, read)]
    if name in cfg:
        reason = (
            f'{name} is a variable of {cfg.filename} that was used while the config was read, so '
            'a new value changes nothing'
        )
    else:
        reason = f'nothing reads {name}'
    if places:
        raise ValueError(f'argument --cfg-options: {reason}; set {", ".join(places)} instead')
    hint = suggest(name, read & {*cfg, 'load_from', 'resume', 'work_dir'})
    raise ValueError(
        f'argument --cfg-options: {reason}{hint}; change it in the config, or leave it out'
    )


def _find_places(cfg: Config, name: str, read: Set[str]) -> list[str]:
    """Keys that are read and have the variable's last name, or else its value."""
    old, settings = cfg.get(name), {key: cfg[key] for key in cfg if key in read}
    nodes = list(_walk(settings))
    named = [path for path, _ in nodes if path.rpartition('.')[2] == name]
    if old in (None, True, False, '', [], {}, ()):
        return named[:_MAX_NAMED]
    alike = [path for path, value in nodes if type(value) is type(old) and value == old]
    if isinstance(old, str):
        alike += [path for path, value in nodes if isinstance(value, str) and old in value]
    return list(dict.fromkeys([*named, *alike]))[:_MAX_NAMED]


def _walk(node: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Every setting with its key, from the outermost on."""
    if path:
        yield path, node
    pairs: Any = ()
    if isinstance(node, Mapping):
        pairs = node.items()
    elif isinstance(node, list | tuple):
        pairs = enumerate(node)
    for key, value in pairs:
        yield from _walk(value, f'{path}.{key}' if path else str(key))


def _check_is_near_nothing(cfg: Config, key: str) -> None:
    """Refuse a new key that is nearly one of those beside it, where no type lists them."""
    node: Any = cfg._cfg_dict
    path = []
    for part in key.split('.'):
        if isinstance(node, list | tuple) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, Mapping) and part in node:
            node = node[part]
        else:
            break
        path.append(part)
    else:
        return
    if not isinstance(node, Mapping) or 'type' in node or not path:
        return
    near = difflib.get_close_matches(part, [str(name) for name in node], n=1, cutoff=0.8)
    if near:
        place = '.'.join(path)
        raise ValueError(
            f'argument --cfg-options: {place} has no {part}; did you mean {place}.{near[0]}?'
        )
