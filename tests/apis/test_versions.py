"""What `picie --version` says."""

import platform
import sys
from importlib import metadata

import pytest
import torch

from mmseg_picie.apis import versions
from mmseg_picie.cli import main


def read(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Ask for the versions, by name."""
    with pytest.raises(SystemExit) as end:
        main(['--version'])
    assert not end.value.code
    return dict(line.split(' ', 1) for line in capsys.readouterr().out.splitlines())


def test_versions_are_those_of_what_is_imported(capsys):
    told = read(capsys)
    assert told['python'] == platform.python_version()
    assert told['torch'] == torch.__version__
    for name in ('mmengine', 'mmcv', 'mmseg'):
        assert told[name].startswith(f'{sys.modules[name].__version__} (')
    assert told['device'].startswith('cuda (' if torch.cuda.is_available() else 'cpu (')
    assert list(told)[0] == 'mmseg_picie' and 'faiss' in told


def test_what_is_not_there_is_told_and_hides_nothing_else(capsys, monkeypatch):
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(versions.metadata, 'version', missing)
    monkeypatch.setattr(
        versions, 'find_providers', lambda: {n: {} for n in ('mmengine', 'mmcv', 'mmseg')}
    )
    monkeypatch.setitem(sys.modules, 'torch', None)  # its import fails
    told = read(capsys)
    assert told['mmseg'] == told['mmengine'] == told['mmcv'] == 'not installed'
    assert told['torch'].startswith('not installed, cannot be imported: ')
    assert told['faiss'] == 'not installed, and not needed'
    assert told['device'] == 'none'
