"""Run the tests on the lowest and the newest versions that this package supports.

Each row of the matrix gets an environment in build/matrix, and the fast tests run in it. What came
out is added to build/matrix/results.json, and the table of all results so far is written to
results.md beside it. A row whose interpreter or packages cannot be had says so in the table.

    python .ci/matrix.py                      all rows
    python .ci/matrix.py --rows lowest        some of them
    python .ci/matrix.py --quick              the handful of tests marked `versions` only
    python .ci/matrix.py --write-constraints  constraints/lowest.txt from setup.cfg

It exits with 1 unless all tests of all rows passed. Only the standard library is needed.
"""

from __future__ import annotations

import argparse
import configparser
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / 'constraints' / 'lowest.txt'
#: Columns of the table, and the distributions whose versions stand there.
SHOWN = {
    'torch': ('torch',),
    'numpy': ('numpy',),
    'mmengine': ('onedl-mmengine', 'mmengine'),
    'mmcv': ('onedl-mmcv', 'mmcv'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
}
ALL_EXTRAS = 'cpu,timm,geo,export,tests'
# One line a row, without the headings of pip's progress.
_PIP = ('-m', 'pip', '--disable-pip-version-check', 'install', '--no-compile', '--quiet')


class Row(NamedTuple):
    """Versions to test.

    Attributes:
        name: What it is called on the command line.
        pythons: Versions of Python that do, best first; the first one that can be had is taken.
        extras: Extras to install, beside those of a whole run.
        constraints: File that pins versions, if not the newest are wanted.
        steps: Words of pip for what must be installed beforehand.
        kept: Requirements that the extras must not replace.
    """

    name: str
    pythons: tuple[str, ...]
    extras: str = 'toolbox'
    constraints: Path | None = None
    steps: tuple[tuple[str, ...], ...] = ()
    kept: tuple[str, ...] = ()


ROWS = [
    # torch 2.4 has no wheel for 3.13.
    Row('lowest', ('3.10', '3.11', '3.12'), constraints=CONSTRAINTS),
    *(Row(f'newest-{python}', (python,)) for python in ('3.10', '3.11', '3.12', '3.13')),
    # As docs/install.md says. mmcv is compiled, which takes ten to twenty minutes, and not with
    # the newest torch, whose headers need C++20.
    Row(
        'upstream',
        ('3.11', '3.10'),
        extras='',
        steps=(
            ('setuptools>=77,<81', 'wheel', 'ninja', 'psutil', 'numpy>=2,<3', 'torch<2.9'),
            ('--no-build-isolation', '--no-deps', 'mmcv==2.1.0'),
            ('mmengine==0.10.7', 'mmsegmentation==1.2.2', 'ftfy', 'regex'),
        ),
        kept=('torch<2.9',),  # torchvision would bring the newest
    ),
]


class NotToBeHad(Exception):
    """An interpreter is not there, or packages cannot be installed."""


def read_floors(setup: Path) -> dict[str, str]:
    """Read the lowest version of each dependency from the file of the package.

    Args:
        setup: setup.cfg.

    Returns:
        Distribution -> version, of the requirements and of those of all extras, in their order.

    Raises:
        ValueError: If a dependency has no lowest version, or two.
    """
    config = configparser.ConfigParser()
    config.read(setup, encoding='utf-8')
    texts = [config['options']['install_requires'], *config['options.extras_require'].values()]
    floors: dict[str, str] = {}
    for line in '\n'.join(texts).splitlines():
        requirement = line.partition(';')[0].strip()
        if not requirement or requirement.startswith('#'):
            continue
        name = re.match(r'[\w.-]+', requirement)[0]  # type: ignore[index]
        floor = re.search(r'>=\s*([\w.]+)', requirement)
        if floor is None:
            raise ValueError(
                f'{setup.name}: {requirement} has no lowest version; write {name}>=VERSION, the '
                'lowest one that works.'
            )
        if floors.setdefault(name, floor[1]) != floor[1]:
            raise ValueError(
                f'{setup.name}: {name} has two lowest versions, {floors[name]} and {floor[1]}; '
                'write the same one twice.'
            )
    return floors


def make_constraints(floors: dict[str, str]) -> str:
    """Text of constraints/lowest.txt."""
    lines = [f'{name}=={version}' for name, version in floors.items()]
    head = [
        '# The lowest versions that setup.cfg allows, which `make lowest` tests.',
        '# Written by: python .ci/matrix.py --write-constraints',
    ]
    return '\n'.join([*head, *lines, ''])


def find_python(versions: tuple[str, ...]) -> str:
    """Path of an interpreter of one of some versions, from PATH or from pyenv."""
    pyenv = Path(os.environ.get('PYENV_ROOT', Path.home() / '.pyenv')) / 'versions'
    for version in versions:
        found = [shutil.which(f'python{version}')]
        found += [str(path) for path in sorted(pyenv.glob(f'{version}.*/bin/python'), reverse=True)]
        for path in filter(None, found):
            # pyenv's shims are there for versions that are not chosen, and fail.
            say = 'import ensurepip, sys; print("%d.%d" % sys.version_info[:2])'
            answer = subprocess.run([path, '-c', say], capture_output=True, text=True, check=False)
            if answer.returncode == 0 and answer.stdout.strip() == version:
                return path
    raise NotToBeHad(f'no Python {" or ".join(versions)}')


def install(row: Row, folder: Path, quick: bool) -> Path:
    """Make the environment of a row.

    Returns:
        Its interpreter.

    Raises:
        NotToBeHad: If there is no such Python, or if pip fails.
    """
    base = find_python(row.pythons)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([base, '-m', 'venv', str(folder)], check=True)
    python = folder / 'bin' / 'python'
    pins = () if row.constraints is None else ('--constraint', str(row.constraints))
    # The handful needs pytest alone, and a minute less to install.
    extras = ','.join(filter(None, [row.extras, '' if quick else ALL_EXTRAS]))
    more = ('pytest',) if quick else ()
    package = f'{ROOT}[{extras}]' if extras else str(ROOT)
    for words in (*row.steps, ('--editable', package, *more, *row.kept)):
        done = subprocess.run(
            [str(python), *_PIP, *pins, *words],
            env=os.environ | {'MMCV_WITH_OPS': '1'},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            (folder / 'pip.log').write_text(done.stdout + done.stderr)
            print(done.stderr, file=sys.stderr)
            reasons = [line for line in done.stderr.splitlines() if line.startswith('ERROR')]
            raise NotToBeHad((reasons or ['pip failed'])[0].removeprefix('ERROR: '))
    return python


def test(python: Path, folder: Path, quick: bool) -> dict[str, int]:
    """Run the tests in an environment.

    Returns:
        The numbers of those that passed, failed and were skipped.

    Raises:
        NotToBeHad: If they did not come to an end.
    """
    report = folder / 'tests.xml'
    # To look for the handful in all files would take longer than to run it.
    marked = [
        str(path)
        for path in sorted((ROOT / 'tests').rglob('test_*.py'))
        if re.search(r'\bversions\b', path.read_text('utf-8'))
    ]
    words = (
        ['-m', 'versions', *marked]
        if quick
        else ['-m', 'not slow', '-n', 'auto', '--dist', 'worksteal']
    )
    environment = {'OMP_NUM_THREADS': '1', 'OMP_WAIT_POLICY': 'PASSIVE'}
    subprocess.run(
        [str(python), '-m', 'pytest', '-q', f'--junitxml={report}', *words],
        cwd=ROOT,
        env=os.environ | environment,
        check=False,
    )
    if not report.is_file():
        raise NotToBeHad('pytest could not run')
    (suite,) = ElementTree.parse(report).getroot().iter('testsuite')
    total, failed, broken, skipped = (
        int(suite.attrib[name]) for name in ('tests', 'failures', 'errors', 'skipped')
    )
    return dict(passed=total - failed - broken - skipped, failed=failed + broken, skipped=skipped)


def versions_of(python: Path) -> dict[str, str]:
    """Versions of Python and of the distributions of the table, in an environment."""
    code = (
        'import json, platform, importlib.metadata as m; print(json.dumps(dict('
        '{d.metadata["Name"]: d.version for d in m.distributions()}, '
        'python=platform.python_version())))'
    )
    answer = subprocess.run([str(python), '-c', code], capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout)
    shown = {
        column: next((found[name] for name in names if name in found), '')
        for column, names in SHOWN.items()
    }
    return {'python': found['python'], **shown}


def run_row(row: Row, out: Path, quick: bool) -> dict:
    """Install and test a row.

    Returns:
        Its line of the table; `passed` is missing if it could not be had.
    """
    folder = out / row.name
    result: dict = dict(
        row=row.name,
        date=datetime.date.today().isoformat(),
        tests='handful' if quick else 'fast',
        python=row.pythons[0],
    )
    start = time.monotonic()
    try:
        python = install(row, folder, quick)
        result |= versions_of(python)
        result['install_seconds'] = round(time.monotonic() - start)
        start = time.monotonic()
        result |= test(python, folder, quick)
        result['test_seconds'] = round(time.monotonic() - start)
    except NotToBeHad as error:
        result['reason'] = str(error)
    return result


def make_table(results: list[dict]) -> str:
    """The results as a table in Markdown."""
    columns = ['row', 'python', *SHOWN, 'tests', 'result', 'date']
    lines = ['| ' + ' | '.join(columns) + ' |', '|' + '---|' * len(columns)]
    for result in results:
        if 'passed' in result:
            counts = [f'{result[name]} {name}' for name in ('passed', 'failed', 'skipped')]
            text = ', '.join(count for count in counts if not count.startswith('0 '))
        else:
            text = 'not to be had: ' + result['reason']
        cells = result | {'result': text.replace('|', r'\|')}
        lines.append('| ' + ' | '.join(str(cells.get(name, '')) for name in columns) + ' |')
    return '\n'.join([*lines, ''])


def main() -> int:
    """Parse, run, write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [row.name for row in ROWS]
    parser.add_argument('--rows', nargs='+', metavar='ROW', choices=names, default=names)
    parser.add_argument('--quick', action='store_true', help='run the tests marked `versions` only')
    parser.add_argument('--write-constraints', action='store_true', help='write them, and stop')
    args = parser.parse_args()
    if args.write_constraints:
        CONSTRAINTS.parent.mkdir(exist_ok=True)
        CONSTRAINTS.write_text(make_constraints(read_floors(ROOT / 'setup.cfg')))
        return 0
    out = ROOT / 'build' / 'matrix'
    out.mkdir(parents=True, exist_ok=True)
    file = out / 'results.json'
    results = {r['row']: r for r in json.loads(file.read_text())} if file.is_file() else {}
    for row in ROWS:
        if row.name in args.rows:
            print(f'== {row.name}', flush=True)
            results[row.name] = run_row(row, out, args.quick)
            ordered = [results[name] for name in names if name in results]
            file.write_text(json.dumps(ordered, indent=2) + '\n')
            (out / 'results.md').write_text(make_table(ordered))
    chosen = [results[name] for name in names if name in args.rows]
    print(make_table(chosen))
    return 0 if all(r.get('passed') and not r['failed'] for r in chosen) else 1


if __name__ == '__main__':
    sys.exit(main())
