"""The wheel and the source archive hold all that a user needs, and nothing else."""

import email.message
import email.parser
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest

from mmseg_picie import __version__

ROOT = Path(__file__).parents[1]
#: Folders and files of the repository that only the work on it leaves behind.
LEFT_BEHIND = ('.*_cache', '__pycache__', '*.egg-info', 'build', 'dist', '.venv', '.git')
LEFT_BEHIND += ('work_dirs', 'outputs', 'data')
BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, 'build_' + sys.argv[1])(sys.argv[2]))
"""
RUN = """
import json, sys
import mmseg_picie
config = mmseg_picie.get_config('finetune/fcn_r18_camvid')
print(json.dumps([mmseg_picie.__file__, config.filename]))
from picie_command import main
main('check-data', ['picie_fpn_r18_scenes', '--fast', '--cfg-options',
    'train_dataloader.dataset.num_images=4', 'val_dataloader.dataset.num_images=4',
    'test_dataloader.dataset.num_images=4'])
"""
pytestmark = pytest.mark.slow


class Built(NamedTuple):
    """What was built.

    Attributes:
        archive: The source archive.
        wheel: Of the repository.
        second: A wheel, of the source archive.
    """

    archive: Path
    wheel: Path
    second: Path


def build(kind: str, tree: Path, out: Path) -> Path:
    """Build as pip does, with the setuptools of this environment."""
    out.mkdir(exist_ok=True)
    command = [sys.executable, '-c', BUILD, kind, str(out)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope='module')
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build from copies, so that nothing is written into the repository."""
    pytest.importorskip('setuptools')
    folder = tmp_path_factory.mktemp('built')
    tree = folder / 'tree'
    shutil.copytree(ROOT, tree, ignore=ignore)
    for name in ('removed', 'removed/module', '.mim/configs/removed'):
        stale = tree / 'build' / 'lib' / 'mmseg_picie' / f'{name}.py'
        stale.parent.mkdir(parents=True, exist_ok=True)
        stale.touch()
    archive = build('sdist', tree, folder / 'dist')
    wheel = build('wheel', tree, folder / 'dist')
    with tarfile.open(archive) as file:
        file.extractall(folder / 'unpacked', filter='data')
    (unpacked,) = (folder / 'unpacked').iterdir()
    return Built(archive, wheel, build('wheel', unpacked, folder / 'second'))


def ignore(folder: str, names: list[str]) -> set[str]:
    """Leave out what is not of the repository; `data` is left out at its top alone."""
    patterns = LEFT_BEHIND if Path(folder) == ROOT else LEFT_BEHIND[:4]
    return shutil.ignore_patterns(*patterns)(folder, names)


def files_of(*folders: str) -> set[str]:
    """Files of the repository below some folders, as paths."""
    found = (path for folder in folders for path in (ROOT / folder).rglob('*'))
    return {
        path.relative_to(ROOT).as_posix()
        for path in found
        if path.is_file() and '__pycache__' not in path.parts
    }


def metadata_of(wheel: Path) -> email.message.Message:
    """The metadata of a wheel."""
    with zipfile.ZipFile(wheel) as file:
        (name,) = [name for name in file.namelist() if name.endswith('.dist-info/METADATA')]
        return email.parser.BytesParser().parsebytes(file.read(name))


def test_the_wheel_holds_package_configs_and_tools_byte_for_byte(built):
    expected = {path: path for path in files_of('mmseg_picie')} | {
        'picie_command.py': 'picie_command.py'
    }
    carried = files_of('configs', 'tools', 'model_zoo') | {'model-index.yml'}
    expected |= {f'mmseg_picie/.mim/{path}': path for path in carried}
    assert 'mmseg_picie/py.typed' in expected
    with zipfile.ZipFile(built.wheel) as file:
        names = {name for name in file.namelist() if '.dist-info/' not in name}
        assert names == set(expected)
        for name, path in expected.items():
            assert file.read(name) == (ROOT / path).read_bytes(), name
        for info in file.infolist():
            if info.filename.endswith('.sh'):
                assert info.external_attr >> 16 & 0o111, f'{info.filename} cannot be run'


def test_a_wheel_of_the_source_archive_is_the_wheel(built):
    assert contents(built.second) == contents(built.wheel)


def contents(wheel: Path) -> dict[str, bytes]:
    """Files of a wheel with what they hold; RECORD lists the others."""
    with zipfile.ZipFile(wheel) as file:
        return {n: file.read(n) for n in file.namelist() if not n.endswith('/RECORD')}


def test_the_source_archive_holds_what_is_tested_and_read(built):
    with tarfile.open(built.archive) as file:
        names = {str(PurePosixPath(*PurePosixPath(m.name).parts[1:])) for m in file if m.isfile()}
    expected = files_of('mmseg_picie', 'configs', 'tools', 'tests', 'docs', 'benchmarks', '.ci')
    if (ROOT / '.git').exists():  # all of the repository
        listed = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, check=True)
        expected |= {name for name in listed.stdout.decode().splitlines() if (ROOT / name).exists()}
    assert expected - names == set()
    assert not {name for name in names if '__pycache__' in name or name.endswith('.pyc')}


def test_the_metadata_are_complete_and_of_one_version(built):
    found = metadata_of(built.wheel)
    assert found['Version'] == __version__ and f'-{__version__}-' in built.wheel.name
    assert built.archive.name == f'mmseg_picie-{__version__}.tar.gz'
    urls = dict(line.split(', ') for line in found.get_all('Project-URL'))
    assert urls['Paper'] == 'https://arxiv.org/abs/2103.17070'
    assert 'Typing :: Typed' in found.get_all('Classifier')
    assert found['Requires-Python'] == '>=3.10' and found['License-File'] == 'LICENSE'
    assert found.get_payload().strip() == (ROOT / 'README.md').read_text('utf-8').strip()


@pytest.mark.parametrize('words', [['twine', 'check', '--strict'], ['check_wheel_contents']])
def test_the_checkers_of_packages_find_nothing(built, words):
    pytest.importorskip(words[0], reason=f'{words[0]} is not installed')
    files = [built.wheel] if words[0] == 'check_wheel_contents' else [built.wheel, built.archive]
    command = [sys.executable, '-m', *words, *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_unpacked_wheel_runs_in_an_empty_folder(built, tmp_path):
    site, empty = tmp_path / 'site', tmp_path / 'empty'
    with zipfile.ZipFile(built.wheel) as file:
        file.extractall(site)
    empty.mkdir()
    environment = os.environ | {'PYTHONPATH': str(site)}
    command = [sys.executable, '-P' if sys.version_info >= (3, 11) else '-B', '-c', RUN]
    done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    places = done.stdout.splitlines()[0]
    assert str(site / 'mmseg_picie' / '__init__.py') in places
    assert str(site / 'mmseg_picie' / '.mim' / 'configs' / 'finetune') in places
    assert 'train: ' in done.stdout
