"""One file that is a whole model: weights, names, and settings as data.

A checkpoint of a training needs the config beside it, which is a program. The settings of a model
file are plain data: what to build is named by the registries' names alone, so reading a file from
elsewhere builds networks and transforms, and runs nothing else. What would fetch weights, or name a
file of them, is left out: the weights are in the file.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry
from mmseg.registry import MODELS, TRANSFORMS
from torch import Tensor

from ..checkpoint_loading import read_checkpoint
from ..engine.checkpoint_files import save_whole
from ..models import PiCIE
from ..version import __version__
from .prediction import load_model

#: What marks a model file, and the version of its layout.
FORMAT = 'mmseg_picie model'
LAYOUT = 1
#: Options that say where weights come from.
_SOURCES = {'init_cfg', 'weights', 'checkpoint_path', 'pretrained_cfg'}
# More than any config has, and less than all that walks through settings can do.
_MOST_LEVELS = 50
# What timm calls its models; no address and no path.
_PLAIN_NAME = re.compile(r'[\w.-]+')


def write_model(
    path: str | Path,
    model: PiCIE,
    config: Config,
    facts: Mapping[str, Any] | None = None,
    half: bool = False,
) -> None:
    """Write a model into one file.

    Args:
        path (str or Path): file to write, whole or not at all.
        model (PiCIE): trained.
        config (Config): of its training: ``model`` and ``test_pipeline``.
        facts (Mapping, optional): what else to tell of it, such as its seed; plain data.
        half (bool): whether kernels and matrices are rounded to float16, which halves the file.
            Who reads it computes in float32 all the same. Norms and centroids stay as they are.

    Raises:
        ValueError: If the settings are no plain data, or weights are too large for float16.
    """
    settings = dict(
        model=_without_sources(_plain(config.model)), test_pipeline=_plain(config.test_pipeline)
    )
    try:
        _check_settings(settings)
    except ValueError as error:
        raise ValueError(
            f'the config cannot be stored in a model file, as {error}; use `picie predict` with '
            'the config and a checkpoint.'
        ) from error
    meta = dict(
        format=FORMAT,
        layout=LAYOUT,
        version=__version__,
        settings=json.dumps(settings),
        facts=json.dumps(dict(facts or {})),
        dataset_meta={key: list(value) for key, value in model.dataset_meta.items()},
    )
    state = {key: value.cpu() for key, value in model.state_dict().items()}
    if half:
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                state[name] = _round(name, state[name])
    save_whole(dict(meta=meta, state_dict=state), path)


def read_model(path: str | Path, device: str = 'cpu') -> PiCIE:
    """Read a model of :func:`write_model`.

    Args:
        path (str or Path): the file.
        device (str): such as 'cpu' or 'cuda:0'.

    Returns:
        PiCIE: in eval mode, as of :func:`.prediction.load_model`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no model file, is of a later version, or names what no registry has.
    """
    return load_model(read_settings(path), str(path), device)


def read_settings(path: str | Path) -> Config:
    """The settings of a model file, as a config that inference can use.

    Args:
        path (str or Path): the file.

    Returns:
        Config: with ``model`` and ``test_pipeline``.

    Raises:
        FileNotFoundError: As of :func:`read_model`.
        ValueError: Likewise.
    """
    meta = _read_meta(path)
    try:
        settings = json.loads(meta['settings'])
        _check_settings(settings)
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        reason = str(error) if type(error) is ValueError else 'its settings are damaged'
        raise ValueError(f'{path} cannot be used as a model: {reason}; get it again.') from error
    return Config(
        dict(
            model=_without_sources(settings['model']),
            test_pipeline=settings['test_pipeline'],
            default_scope='mmseg',
        )
    )


def read_facts(path: str | Path) -> dict[str, Any]:
    """What :func:`write_model` was told of a model.

    Args:
        path (str or Path): the file.

    Returns:
        dict[str, Any]: plain data.

    Raises:
        FileNotFoundError: As of :func:`read_model`.
        ValueError: Likewise.
    """
    try:
        return dict(json.loads(_read_meta(path)['facts']))
    except (KeyError, RecursionError, TypeError, ValueError):
        return {}


def is_model_file(path: str | Path) -> bool:
    """Whether a file is of :func:`write_model`, of whatever version.

    Args:
        path (str or Path): of a checkpoint that can be read.

    Returns:
        bool: False for a checkpoint of a training.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint.
    """
    meta = read_checkpoint(path).get('meta')
    return isinstance(meta, dict) and meta.get('format') == FORMAT


def _round(name: str, weight: Tensor) -> Tensor:
    rounded = weight.half()
    if not rounded.isfinite().all():
        raise ValueError(
            f'half rounds weights to float16, but {name} has values beyond +-65504, which it does '
            'not hold; write the model without it.'
        )
    return rounded


def _read_meta(path: str | Path) -> dict[str, Any]:
    meta = read_checkpoint(path).get('meta')
    if not isinstance(meta, dict) or meta.get('format') != FORMAT:
        raise ValueError(
            f'{path} must be a model file, as `picie segment` writes it, but is another kind of '
            'checkpoint; give model.pth of its results, or use `picie predict` with the config of '
            'the training.'
        )
    if meta.get('layout') != LAYOUT:
        raise ValueError(
            f'{path} was written by mmseg_picie {meta.get("version")}, in a layout that '
            f'{__version__} does not know; install that version, or segment anew.'
        )
    return meta


def _plain(settings: Any) -> Any:
    """Settings as JSON has them; refuses everything else."""
    try:
        return json.loads(json.dumps(settings))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'model and test_pipeline of the config must be plain data to be stored in a model '
            f'file, but {error}; replace objects in them by dicts with a type.'
        ) from error


def _without_sources(settings: Any) -> Any:
    """Settings without what says where weights come from."""
    if isinstance(settings, list | tuple):
        return [_without_sources(item) for item in settings]
    if not isinstance(settings, dict):
        return settings
    kept = {key: _without_sources(v) for key, v in settings.items() if key not in _SOURCES}
    if kept.get('pretrained'):
        kept['pretrained'] = False if isinstance(kept['pretrained'], bool) else None
    return kept


def _check_settings(settings: Any) -> None:
    """Refuse settings that name more than what registries hold."""
    _check_names(settings['model'], MODELS)
    _check_names(settings['test_pipeline'], TRANSFORMS)
    kind = settings['model']['type']
    if not issubclass(MODELS.get(kind), PiCIE):
        raise ValueError(f'it is a {kind}, but must be a PiCIE')


def _check_names(settings: Any, registry: Registry, levels: int = _MOST_LEVELS) -> None:
    """Refuse types that the registry does not hold by a plain name, and models by address."""
    if not levels:
        raise ValueError(f'its settings are nested more than {_MOST_LEVELS} deep')
    if isinstance(settings, list):
        for item in settings:
            _check_names(item, registry, levels - 1)
    if not isinstance(settings, dict):
        return
    for key, value in settings.items():
        if key == '_scope_':  # of another package, which would be imported
            raise ValueError(f'it names the scope {value!r}')
        if key == 'type':
            _check_type(value, registry)
        elif key == 'model_name' and not _PLAIN_NAME.fullmatch(str(value)):
            raise ValueError(f'model_name is {value!r}, which is no plain name')
        else:
            _check_names(value, registry, levels - 1)


def _check_type(name: Any, registry: Registry) -> None:
    # A registry imports whatever a dotted name says, unless the first part is a scope.
    scope, dot, plain = str(name).rpartition('.')
    if not isinstance(name, str) or '.' in scope or (dot and scope not in MODULE2PACKAGE):
        raise ValueError(f'it names {name!r}, which is no name of a registry')
    found = registry.get(name) if dot or _is_registered(plain, registry) else None
    if not isinstance(found, type):
        raise ValueError(
            f'it names {name!r}, which is not known here (import the package that has it first)'
        )


def _is_registered(name: str, registry: Registry) -> bool:
    """Whether a registry, or one that it asks, has a name, without importing what it says."""
    registry.import_from_location()  # of its own modules, as building does
    if name in registry.module_dict:
        return True
    return registry.parent is not None and _is_registered(name, registry.parent)
