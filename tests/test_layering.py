"""Dependencies inside the package run one way.

clustering, views, acceleration  <-  datasets, models, evaluation  <-  engine, visualization  <-
apis  <-  cli
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'mmseg_picie'
TOOLBOX = {'mmengine', 'mmcv', 'mmseg'}
#: Small pieces that every room may use.
SHARED = {
    'checkpoint_loading',
    'checkpoint_types',
    'device_limits',
    'launched',
    'moved',
    'parents',
    'printing',
    'threads',
    'toolbox',
    'version',
    'whole_files',
}
#: From the lowest floor to the highest; a room sees the floors below its own.
FLOORS = (
    {'clustering', 'views', 'acceleration'},
    {'datasets', 'models', 'evaluation'},
    {'engine', 'visualization'},
    {'apis'},
    {'cli'},
)
#: Pure maths, which knows no toolbox.
PLAIN = {'clustering', 'views'}
# Room -> the parts of the package that it may import beside itself.
ALLOWED = {
    **{
        room: SHARED.union(*FLOORS[:level], {'engine', 'visualization'} if level == 2 else ())
        for level, floor in enumerate(FLOORS)
        for room in floor
    },
    **{room: {'device_limits', 'threads'} for room in PLAIN},
    'acceleration': {'device_limits', 'threads'},
    **{piece: set() for piece in SHARED},
    'checkpoint_loading': {'checkpoint_types'},
    '__init__': SHARED.union(*FLOORS[:4]),
}
ALLOWED['cli'] |= {'register'}


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
        ('acceleration', 'from mmengine.hooks import Hook', False),
        ('acceleration', 'from ..models import picie', True),
        ('models', 'from ..acceleration import AccelerationHook', False),
        ('models', 'import mmseg_picie.cli.common', True),
        ('engine', 'from ..apis import runs', True),
        ('engine', 'from ..visualization import segment_visualizer', False),
        ('apis', 'from ..engine import ConsoleHook', False),
        ('apis', 'from ..cli import common', True),
        ('cli', 'from ..apis import runs', False),
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
