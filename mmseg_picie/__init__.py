"""PiCIE, unsupervised semantic segmentation, for MMSegmentation 1.x.

Importing this package registers its segmentor, heads, data sets, transforms, hooks and metric in
mmseg's registries; a config does it by
``custom_imports = dict(imports=['mmseg_picie'], allow_failed_imports=False)``.
"""

from .toolbox import allow_checkpoint_types, check_toolbox
from .version import __version__

check_toolbox()
allow_checkpoint_types()

# These import mmengine and mmseg, so they come after the check.
from . import datasets, engine, evaluation, models  # noqa: E402

__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'models']
