"""PiCIE, unsupervised semantic segmentation, for MMSegmentation 1.x.

Importing this package registers its segmentor, heads, data sets, transforms, hooks and metric in
mmseg's registries; a config does it by
``custom_imports = dict(imports=['mmseg_picie'], allow_failed_imports=False)``.

``segment('photos', clusters=12)`` segments a folder of images, see :func:`.apis.segment.segment`.
"""

import os
from typing import Any

from .acceleration.waiting import wait_briefly
from .moved import forward_moved_modules
from .toolbox import check_toolbox, without_notices
from .version import __version__

__all__ = ['__version__', 'register', 'segment']


def register() -> None:
    """Register all parts in mmseg's registries; done on import, and done again changes nothing.

    Raises:
        ImportError: If mmengine, mmcv or mmseg is missing, there twice, or too old.
    """
    check_toolbox()
    with without_notices():
        from . import checkpoint_loading, datasets, engine, evaluation, models, visualization  # noqa: F401
        from .acceleration import hook  # noqa: F401

        checkpoint_loading.guard_toolbox()


def __getattr__(name: str) -> Any:
    if name == 'segment':  # what it needs is imported when it is asked for
        from .apis.segment import segment

        return segment
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


forward_moved_modules()
wait_briefly()
# The command line reads its arguments before the toolbox is imported, which takes seconds.
if os.environ.pop('MMSEG_PICIE_POSTPONED', None) is None:
    register()
