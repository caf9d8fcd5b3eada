"""Dependencies inside the package run one way.

clustering, views  <-  datasets, models, evaluation  <-  engine  <-  configs, tools
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'mmseg_picie'
TOOLBOX = {'mmengine', 'mmcv', 'mmseg'}
PLAIN = {'clustering', 'views'}
ADAPTERS = {'datasets', 'models', 'evaluation'}
# Room -> the parts of the package that it may import beside itself.
ALLOWED = {
    **{room: {'threads'} for room in PLAIN},
    **{room: PLAIN | {'threads', 'version', 'toolbox'} for room in ADAPTERS},
    'engine': PLAIN | ADAPTERS | {'threads', 'version', 'toolbox'},
    'threads': set(),
    'version': set(),
    'toolbox': set(),
    '__init__': PLAIN | ADAPTERS | {'engine', 'version', 'toolbox'},
}


def imported_names(path: Path, root: Path) -> set[str]:
    """List what a file imports, anywhere in it, as absolute dotted names.

    Args:
        path: Python file.
        root: Folder of the package that it belongs to.

    Returns:
        Dotted names; for `from a import b` it is a.b, whether b is a module or not.
    """
    package = [root.name, *path.relative_to(root).parts[:-1]]
    names = set()
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *([node.module] if node.module else [])]
            names.update('.'.join([*module, alias.name]) for alias in node.names)
    return names


def violations(root: Path) -> list[str]:
    """List the imports of a package that go against the rule, as readable lines."""
    found = []
    for path in sorted(root.rglob('*.py')):
        room = path.relative_to(root).with_suffix('').parts[0]
        for name in sorted(imported_names(path, root)):
            top, *rest = name.split('.')
            wrong = top in TOOLBOX and room in PLAIN
            if top == root.name:
                wrong = not rest or rest[0] not in {room, *ALLOWED.get(room, set())}
            if wrong:
                found.append(f'{path.relative_to(root)} imports {name}')
    return found


def test_imports_run_one_way():
    assert violations(PACKAGE) == []


def test_every_room_has_a_rule():
    rooms = {path.relative_to(PACKAGE).with_suffix('').parts[0] for path in PACKAGE.rglob('*.py')}
    assert rooms <= set(ALLOWED)


@pytest.mark.parametrize(
    ('room', 'line', 'wrong'),
    [
        ('clustering', 'import mmengine', True),
        ('clustering', 'from mmseg.registry import MODELS', True),
        ('clustering', 'from mmseg_picie.views import params', True),
        ('clustering', 'from .matching import match', False),
        ('views', 'def f():\n    from ..clustering import kmeans', True),
        ('views', 'import numpy.random', False),
        ('models', 'from mmseg.registry import MODELS', False),
        ('models', 'from ..clustering.kmeans import assign', False),
        ('models', 'from ..engine import cli', True),
        ('models', 'import mmseg_picie.engine.cli', True),
        ('datasets', 'from mmseg_picie import engine', True),
        ('datasets', 'from ..models import picie', True),
        ('evaluation', 'import mmseg_picie', True),
        ('engine', 'from .. import evaluation, models', False),
    ],
)
def test_the_scan_sees_every_form_of_import(tmp_path, room, line, wrong):
    file = tmp_path / 'mmseg_picie' / room / 'part.py'
    file.parent.mkdir(parents=True)
    file.write_text(line + '\n')
    assert bool(violations(tmp_path / 'mmseg_picie')) == wrong
