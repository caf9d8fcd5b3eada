"""The versions of what a run depends on, as a report of an error should name them."""

import platform
from importlib import metadata

from ..toolbox import MINIMUM_VERSIONS, find_providers
from ..version import __version__

#: Distributions that provide faiss.
_FAISS = ('faiss-cpu', 'faiss-gpu')


def describe_versions() -> str:
    """Describe this package, Python, torch, the toolbox, faiss and the device.

    All but torch and the device are read from the metadata of what is installed: torch alone is
    imported, because nothing else knows whether there is a GPU that it can use.

    Returns:
        str: a line each.
    """
    lines = {'mmseg_picie': __version__, 'python': platform.python_version()}
    lines['torch'], device = _describe_torch()
    providers = find_providers()
    for name in MINIMUM_VERSIONS:
        found = [f'{version} ({provider})' for provider, version in providers[name].items()]
        lines[name] = ', '.join(found) or 'not installed'
    found = [f'{version} ({name})' for name in _FAISS if (version := _find_version(name))]
    lines['faiss'] = ', '.join(found) or 'not installed, and not needed'
    lines['device'] = device
    return '\n'.join(f'{name} {line}' for name, line in lines.items())


def _find_version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ''


def _describe_torch() -> tuple[str, str]:
    """Its version, and the device that it would use."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library of a GPU is missing or too old
        reason = ' '.join(str(error).split())
        return f'{_find_version("torch") or "not installed"}, cannot be imported: {reason}', 'none'
    if torch.cuda.is_available():
        return torch.__version__, f'cuda ({torch.cuda.get_device_name()})'
    if torch.backends.mps.is_available():
        return torch.__version__, 'mps'
    return torch.__version__, f'cpu ({torch.get_num_threads()} threads)'
