"""PiCIE, unsupervised semantic segmentation, for MMSegmentation 1.x.

Importing this package registers its segmentor, heads, data sets, transforms, hooks and metric in
mmseg's registries; a config does it by
``custom_imports = dict(imports=['mmseg_picie'], allow_failed_imports=False)``.

``segment('photos', clusters=12)`` segments a folder of images, see :func:`.apis.segment.segment`.
``get_config('picie_fpn_r18_cocostuff')`` reads a ready config, and ``get_checkpoint`` finds a
released model.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .acceleration.waiting import wait_briefly
from .moved import forward_moved_modules
from .toolbox import check_toolbox, without_notices
from .version import __version__

if TYPE_CHECKING:
    from mmengine.config import Config

    from .apis.model_store import get_checkpoint
    from .apis.segment import segment

#: What is imported when it is asked for -> where it is.
_LATE = {'get_checkpoint': '.apis.model_store', 'segment': '.apis.segment'}

__all__ = ['__version__', 'get_checkpoint', 'get_config', 'register', 'segment']


def register() -> None:
    """Register all parts in mmseg's registries; done on import, and done again changes nothing.

    Raises:
        ImportError: If mmengine, mmcv or mmseg is missing, there twice, or too old.
    """
    check_toolbox()
    with without_notices():
        from . import checkpoint_loading, datasets, engine, evaluation, models, visualization  # noqa: F401
        from .acceleration import hook  # noqa: F401
        from .apis.ready_configs import read_bases_by_name

        checkpoint_loading.guard_toolbox()
        read_bases_by_name()


def get_config(name: str | Path) -> Config:
    """Read a config.

    Args:
        name (str or Path): path of a file, or name of a ready config, such as
            'picie_fpn_r18_cocostuff' or 'backbones/picie_fpn_r50_cocostuff'; or name of a released
            model, whose file holds what inference needs of its config, as data.

    Returns:
        Config: mmengine's.

    Raises:
        FileNotFoundError: If there is no such file or name; it tells the nearest names, and which
            lists of models could not be read.
        ValueError: If it cannot be read.
    """
    from .apis.config_files import read_config_file
    from .apis.model_file import read_settings
    from .apis.model_index import NAME
    from .apis.model_store import get_checkpoint as find_checkpoint

    try:
        return read_config_file(str(name))
    except FileNotFoundError as error:
        if not NAME.fullmatch(str(name)):
            raise
        try:
            path = find_checkpoint(name)
        except FileNotFoundError as other:
            raise FileNotFoundError(f'{error}; {other}') from None
    return read_settings(path)


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name], __name__), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


forward_moved_modules()
wait_briefly()
# The command line reads its arguments before the toolbox is imported, which takes seconds.
if os.environ.pop('MMSEG_PICIE_POSTPONED', None) is None:
    register()
