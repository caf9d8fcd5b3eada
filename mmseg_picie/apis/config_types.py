"""Check the types and options that a config names, before anything is built."""

import difflib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModule
from mmengine.runner import BaseLoop, LogProcessor, Runner
from mmengine.visualization import BaseVisBackend, Visualizer
from torch.utils.data import DataLoader, Sampler

from .near_names import list_options, registered_types, suggest

#: Types that are built with all of their options, and no others.
_PLAINLY_BUILT = (
    BaseDataset,
    BaseLoop,
    BaseMetric,
    BaseModule,
    BaseTransform,
    BaseVisBackend,
    Hook,
    LogProcessor,
    Sampler,
    Visualizer,
)
#: Options that mmengine takes for itself before it builds.
_TAKEN = {'type', '_scope_', '_delete_', 'priority'}
_TAKEN_OF_LOADERS = {'num_batch_per_epoch', 'disable_subprocess_warning'}
#: How the names of settings end that are dicts.
_DICTS = ('_cfg', '_dataloader', 'default_hooks', '_model', 'log_processor', 'randomness')
#: Settings of loaders and of the training's loop -> the least integer that makes sense.
_LEAST = {'batch_size': 1, 'num_workers': 0, 'max_epochs': 1, 'max_iters': 1, 'val_interval': 1}


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check the settings of a whole config.

    Args:
        settings (Mapping[str, Any]): the top level, without variables of the config.

    Raises:
        ValueError: If a type or an option of one is unknown, or a number makes no sense. The
            message names the key, and what is nearly the same.
    """
    types = registered_types()
    for key, node in settings.items():
        if node is None:
            continue
        if key.endswith(_DICTS) and not isinstance(node, Mapping):
            raise ValueError(f'argument config: {key} must be a dict, but is {node!r}; correct it')
        if key == 'randomness':
            _check_names(
                key, node, {*inspect.signature(Runner.set_randomness).parameters} - {'self'}
            )
        if key.endswith('_dataloader'):
            _check_loader(key, node)
        if key.endswith('_dataloader') or key == 'train_cfg':
            _check_numbers(key, node)
        for path, part in _find_typed(node, key):
            _check_type(path, part, types)


def _check_loader(key: str, loader: Mapping[str, Any]) -> None:
    _check_names(key, loader, {*inspect.signature(DataLoader).parameters, *_TAKEN_OF_LOADERS})
    if not loader.get('dataset'):
        raise ValueError(f'argument config: {key} has no dataset; add it')


def _check_names(key: str, node: Mapping[str, Any], options: set[str]) -> None:
    """Refuse names that are no options."""
    for name in node:
        if name not in options | _TAKEN:
            raise ValueError(
                f'argument config: {key} has no option {name!r}{suggest(name, options)}; correct it'
            )


def _check_numbers(key: str, node: Mapping[str, Any]) -> None:
    for name, least in _LEAST.items():
        value = node.get(name, least)
        if value is None and name in ('max_epochs', 'max_iters'):
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(
                f'argument config: {key}.{name} must be an integer of at least {least}, but is '
                f'{value!r}; correct it'
            )


def _find_typed(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Settings that name a type, with their keys."""
    if isinstance(node, Mapping):
        if 'type' in node:
            yield path, node
        for key, value in node.items():
            yield from _find_typed(value, f'{path}.{key}')
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _find_typed(value, f'{path}.{index}')


def _check_type(path: str, node: Mapping[str, Any], types: Mapping[str, list[Any]]) -> None:
    """Refuse a type that no registry knows, and options that it does not have."""
    kind = node['type']
    if isinstance(kind, str):
        if '.' in kind:  # of another project, or a full name
            return
        found = types.get(kind, [])
        if not found:
            raise ValueError(
                f'argument config: {path}.type is {kind!r}, which no registry knows'
                f'{suggest(kind, types)}; correct the name, or import its module by custom_imports'
            )
    else:
        found = [kind]
    if not all(inspect.isclass(item) and issubclass(item, _PLAINLY_BUILT) for item in found):
        return
    for name in node:
        if name not in _TAKEN and not any(_takes(item, name) for item in found):
            options = [option for item in found for option in list_options(item)[0]]
            raise ValueError(
                f'argument config: {path} of type {getattr(kind, "__name__", kind)} has no option '
                f'{name!r}{suggest(name, options)}'
            )


def _takes(item: type, name: str) -> bool:
    """Whether a class may take an option; if it takes any, all but those nearly one of its own."""
    options, is_open = list_options(item)
    is_near = bool(difflib.get_close_matches(name, options, n=1, cutoff=0.85))
    return name in options or (is_open and not is_near)
