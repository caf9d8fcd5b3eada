"""The matrix of versions: the lowest are those of setup.cfg, and what cannot be had is told."""

import configparser
import importlib.util
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def matrix():
    spec = importlib.util.spec_from_file_location('matrix', ROOT / '.ci' / 'matrix.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lowest_versions_are_those_of_setup_cfg():
    """Each dependency, those of extras too, is pinned at exactly the lowest version it allows."""
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg', encoding='utf-8')
    texts = [config['options']['install_requires'], *config['options.extras_require'].values()]
    lines = [line for line in '\n'.join(texts).splitlines() if line and not line.startswith('#')]
    lowest = {}
    for requirement in map(Requirement, lines):
        floors = [s.version for s in requirement.specifier if s.operator == '>=']
        assert len(floors) == 1, f'{requirement} needs one lowest version, as in NAME>=1.2'
        lowest[requirement.name] = Version(floors[0])
    text = (ROOT / 'constraints' / 'lowest.txt').read_text()
    pinned = {}
    for requirement in map(Requirement, [s for s in text.splitlines() if not s.startswith('#')]):
        (specifier,) = requirement.specifier
        assert specifier.operator == '=='
        pinned[requirement.name] = Version(specifier.version)
    assert pinned == lowest, 'run: python .ci/matrix.py --write-constraints'


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        ('rich', 'setup.cfg: rich has no lowest version; write rich>=VERSION'),
        ('rich<15', 'rich<15 has no lowest version'),
        ('rich>=13\n    rich>=14', 'rich has two lowest versions, 13 and 14'),
    ],
)
def test_a_dependency_without_one_lowest_version_is_refused(matrix, tmp_path, lines, message):
    path = tmp_path / 'setup.cfg'
    path.write_text(
        f'[options]\ninstall_requires =\n    {lines}\n[options.extras_require]\na =\n    b>=1\n'
    )
    with pytest.raises(ValueError, match=message):
        matrix.read_floors(path)


def test_the_text_of_the_constraints_is_that_of_the_file(matrix):
    written = matrix.make_constraints(matrix.read_floors(ROOT / 'setup.cfg'))
    assert written == (ROOT / 'constraints' / 'lowest.txt').read_text()


def fake_python(path: Path, says: str) -> None:
    """Write a program that answers as an interpreter of some version would."""
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\n{says}\n')
    path.chmod(0o755)


def test_an_interpreter_is_taken_only_if_it_runs_and_is_what_its_name_says(
    matrix, tmp_path, monkeypatch
):
    fake_python(tmp_path / 'shims' / 'python3.77', 'exit 127')  # of a version that is not chosen
    fake_python(tmp_path / 'versions' / '3.77.1' / 'bin' / 'python', 'echo 3.77')
    fake_python(tmp_path / 'versions' / '3.78.0' / 'bin' / 'python', 'echo 3.7')
    monkeypatch.setenv('PATH', f'{tmp_path / "shims"}:/usr/bin:/bin')
    monkeypatch.setenv('PYENV_ROOT', str(tmp_path))
    found = matrix.find_python(('3.78', '3.77'))
    assert found == str(tmp_path / 'versions' / '3.77.1' / 'bin' / 'python')
    with pytest.raises(matrix.NotToBeHad, match='no Python 3.78 or 3.79'):
        matrix.find_python(('3.78', '3.79'))


def test_a_row_that_cannot_be_had_is_in_the_table_with_its_reason(matrix, tmp_path, monkeypatch):
    monkeypatch.setenv('PYENV_ROOT', str(tmp_path))
    result = matrix.run_row(matrix.Row('far', ('3.99',)), tmp_path, quick=True)
    assert 'passed' not in result
    done = dict(row='near', python='3.11.7', torch='2.14.1', tests='fast', date='2026-11-30')
    table = matrix.make_table([result, done | dict(passed=3, failed=1, skipped=0)])
    far, near = [[cell.strip() for cell in line.split('|')] for line in table.splitlines()[2:]]
    assert 'not to be had: no Python 3.99' in far
    assert near[1:4] == ['near', '3.11.7', '2.14.1'] and '3 passed, 1 failed' in near


def test_a_row_that_fails_or_cannot_be_had_is_no_success(matrix, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(matrix, 'ROOT', tmp_path)
    monkeypatch.setattr(sys, 'argv', ['matrix.py', '--rows', 'lowest'])
    good = dict(row='lowest', passed=2, failed=0, skipped=0)
    bad = [good | dict(failed=1), dict(row='lowest', reason='no'), good | dict(passed=0)]
    codes = []
    for result in (good, *bad):
        monkeypatch.setattr(matrix, 'run_row', lambda *_, result=result: result)
        codes.append(matrix.main())
    assert codes == [0, 1, 1, 1]


def test_ci_runs_the_lowest_versions():
    assert ' lowest' in (ROOT / '.ci' / 'run').read_text()
    assert '.ci/matrix.py --quick --rows lowest' in (ROOT / 'Makefile').read_text()
