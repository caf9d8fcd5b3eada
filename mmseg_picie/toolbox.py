"""The toolbox (mmengine, mmcv, mmseg): is it there, once, and new enough.

At its top this module imports the standard library only, so that its answer comes before any import
that a faulty toolbox would break.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import metadata, util
from importlib.machinery import ModuleSpec
from pathlib import Path

# Import name -> the oldest version that has what this package calls.
MINIMUM_VERSIONS = {'mmengine': '0.10.5', 'mmcv': '2.1.0', 'mmseg': '1.2.2'}
# How lines begin that the toolbox prints: of optional packages when it is imported, and when it
# loads weights.
_NOTICES = ('Could not import OneDL', 'Loads checkpoint by ')


def check_toolbox() -> None:
    """Check that mmengine, mmcv and mmseg are importable, provided once each, and new enough.

    None of the three is imported.

    Raises:
        ImportError: One of them is missing, is provided by two distributions, or is too old. The
            message is one sentence that says which and what to run.
    """
    specs = {name: _find_spec(name) for name in MINIMUM_VERSIONS}
    missing = [name for name, spec in specs.items() if spec is None]
    if missing:
        raise ImportError(
            f'{_join(missing)}, needed by mmseg_picie, cannot be found: '
            "run `pip install 'mmseg_picie[toolbox]'`, or install your own MMSegmentation "
            f'{MINIMUM_VERSIONS["mmseg"]} or newer with the MMEngine and MMCV that it asks for.'
        )
    providers = find_providers()
    for name, minimum in MINIMUM_VERSIONS.items():
        distributions = providers[name]
        if len(distributions) > 1:
            listed = _join(f'{dist} {version}' for dist, version in distributions.items())
            raise ImportError(
                f'`{name}` is provided by {len(distributions)} installed distributions, {listed}, '
                'which overwrite or hide each other: run '
                f'`pip uninstall {" ".join(distributions)}` and install one of them again.'
            )
        found, version = next(iter(distributions.items()), (name, _read_version(specs[name])))
        if version and _release(version) < _release(minimum):
            raise ImportError(
                f'mmseg_picie needs {name} >= {minimum}, and {found} {version} is installed: '
                "upgrade it, or run `pip install 'mmseg_picie[toolbox]'` in a fresh environment."
            )


@contextmanager
def without_notices() -> Iterator[None]:
    """Within, the toolbox keeps to itself what it prints and no user can act on."""
    said = io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(said):
        warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformableAttention``')
        yield
    for line in said.getvalue().splitlines():
        if not line.startswith(_NOTICES):
            print(line)


def find_providers() -> dict[str, dict[str, str]]:
    """Find the installed distributions that provide each import name of the toolbox.

    It gives what `importlib.metadata.packages_distributions` does for these three names, several
    times quicker, because the long file lists of other distributions are not parsed.

    Returns:
        Import name -> {distribution name: version}, in the order of `sys.path`. A distribution that
        is found twice is listed once, as the one that Python finds first.
    """
    providers: dict[str, dict[str, str]] = {name: {} for name in MINIMUM_VERSIONS}
    for distribution in metadata.distributions():
        for name in _provided_names(distribution):
            title, version = _read_identity(distribution)
            if title and version:  # else it is what a removal that was stopped has left
                # Names are compared as pip does: Foo_Bar is foo-bar.
                key = re.sub(r'[-_.]+', '-', title).lower()
                providers[name].setdefault(key, version)
    return providers


def _find_spec(name: str) -> ModuleSpec | None:
    """Find a top-level package without importing it; a folder without code does not count."""
    spec = util.find_spec(name)
    return spec if spec is not None and spec.origin is not None else None


def _provided_names(distribution: metadata.Distribution) -> list[str]:
    """List the toolbox's import names that a distribution installs."""
    declared = (distribution.read_text('top_level.txt') or '').split()
    if declared:
        return [name for name in MINIMUM_VERSIONS if name in declared]
    record = '\n' + (distribution.read_text('RECORD') or '')
    return [name for name in MINIMUM_VERSIONS if f'\n{name}/__init__.py,' in record]


def _read_identity(distribution: metadata.Distribution) -> tuple[str | None, str | None]:
    """Read name and version of a distribution, as far as they are stated."""
    try:
        return distribution.metadata['Name'], distribution.metadata['Version']
    except (KeyError, OSError, TypeError, ValueError):  # no METADATA, or none that can be read
        return None, None


def _read_version(spec: ModuleSpec | None) -> str | None:
    """Read the version from `version.py` of a package that no distribution claims (a source tree).

    Returns:
        The version, or None where the file does not state it literally; it is then not checked.
    """
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).with_name('version.py')
    if not path.is_file():
        return None
    text = path.read_text('utf-8')
    stated = re.search(r'^__version__\s*=\s*[\'"]([^\'"]+)', text, re.MULTILINE)
    return stated.group(1) if stated else None


def _release(version: str) -> tuple[int, ...]:
    """Take the leading numbers of a version: '2.6.0a0+cpu' -> (2, 6, 0)."""
    numbers = re.match(r'\d+(\.\d+)*', version)
    return tuple(int(part) for part in numbers.group().split('.')) if numbers else ()


def _join(items: Iterable[str]) -> str:
    """Join words as prose: 'a', 'a and b', 'a, b and c'."""
    *head, last = list(items)
    return f'{", ".join(head)} and {last}' if head else last
