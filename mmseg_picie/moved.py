"""Modules of version 0.1 that have moved: their old names still import, for one version."""

import importlib
import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_PACKAGE = __package__ + '.'
#: Old name -> module that has it now, below this package.
MOVED = {
    'datasets.synthetic_scenes': 'datasets.scenes',
    'engine.backbone_weights': 'apis.backbone_weights',
    'engine.baselines': 'apis.baselines',
    'engine.centroid_hook': 'engine.hooks.kmeans_centroid_hook',
    'engine.class_map_hook': 'engine.hooks.cluster_to_class_hook',
    'engine.cli': 'cli.common',
    'engine.cpu_amp': 'engine.optimizers.cpu_amp_optim_wrapper',
    'engine.fresh_centroids': 'apis.fresh_centroids',
    'engine.json_files': 'apis.json_files',
    'engine.label_study': 'apis.label_study',
    'engine.prediction': 'apis.prediction',
    'engine.released_checkpoint': 'apis.released_checkpoint',
    'engine.seed_runs': 'apis.seed_runs',
    'engine.visualization_hook': 'engine.hooks.matched_visualization_hook',
    'evaluation.naming': 'clustering.naming',
    'engine.visualizer': 'visualization',
    'engine.SegmentVisualizer': 'visualization',
}


class _Forward(Loader):
    """Gives the module that has taken another's place."""

    def __init__(self, target: str) -> None:
        self.target = target

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Import the new module."""
        module = importlib.import_module(self.target)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has run already; it keeps its own name."""
        module.__spec__ = self.spec


class _Finder(MetaPathFinder):
    """Finds modules by their old names, each with one warning."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find a module that has moved."""
        new = MOVED.get(fullname.removeprefix(_PACKAGE))
        if new is None or not fullname.startswith(_PACKAGE):
            return None
        warnings.warn(
            f'{fullname} has moved to {_PACKAGE}{new}; the old name will go in the next version.',
            FutureWarning,
            stacklevel=2,
        )
        return ModuleSpec(fullname, _Forward(_PACKAGE + new))


def get_moved(module: str, name: str) -> Any:
    """Find a name that has moved out of a module, for the module's ``__getattr__``.

    Args:
        module (str): full name of the module.
        name (str): the name that it lacks.

    Returns:
        Any: what the name stands for.

    Raises:
        AttributeError: If it has not moved either.
    """
    new = MOVED.get(f'{module.removeprefix(_PACKAGE)}.{name}')
    if new is None or not name[0].isupper():
        raise AttributeError(f'module {module!r} has no attribute {name!r}')
    warnings.warn(
        f'{name} has moved from {module} to {_PACKAGE}{new}; the old name will go in the next '
        'version.',
        FutureWarning,
        stacklevel=3,
    )
    return getattr(importlib.import_module(_PACKAGE + new), name)


def forward_moved_modules() -> None:
    """Let the old names import; calling it again changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
