"""Proofs for mmseg_picie.toolbox.

The module is loaded from its file and run in an interpreter that sees the standard library and one
made-up site folder only, so that any toolbox can be 'installed' for a test, or none.
"""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmseg_picie import toolbox

CHECK = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location('toolbox', {module!r})
toolbox = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toolbox)
sys.path[:0] = {paths!r}
try:
    toolbox.check_toolbox()
except ImportError as error:
    print(error)
loaded = [name for name in toolbox.MINIMUM_VERSIONS if name in sys.modules]
assert not loaded, loaded
"""


class Site:
    """A made-up site-packages folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def install(self, distribution, version, package, declared=True, code=True) -> None:
        """Write a package and what pip would record about it.

        Args:
            distribution: Its name, or None for a source tree that pip does not know.
            version: Its version.
            package: The import name.
            declared: Whether it declares its import name in top_level.txt, or only lists its files.
            code: Whether the package itself is there.
        """
        folder = self.path / package
        folder.mkdir(exist_ok=True)
        if code:
            (folder / '__init__.py').write_text('raise RuntimeError("imported")\n')
        if distribution is None:
            (folder / 'version.py').write_text(f"# Made up\n__version__ = '{version}'\n")
            return
        info = self.path / f'{distribution.replace("-", "_")}-{version}.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Name: {distribution}\nVersion: {version}\n')
        (info / 'RECORD').write_text(f'{package}/__init__.py,,\n{package}/core/api.py,,\n')
        if declared:
            (info / 'top_level.txt').write_text(f'docs\n{package}\n')


def check(*sites: Site) -> str:
    """Run check_toolbox with only these sites on the path; returns its complaint or ''."""
    code = CHECK.format(module=toolbox.__file__, paths=[str(site.path) for site in sites])
    run = subprocess.run(
        [sys.executable, '-I', '-S', '-c', code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / 'site')


def install_fork(site: Site) -> None:
    site.install('onedl-mmengine', '0.10.12', 'mmengine', declared=False)
    site.install('onedl-mmcv', '2.3.6', 'mmcv')
    site.install('onedl-mmsegmentation', '1.4.2', 'mmseg')


def test_this_environment_passes():
    toolbox.check_toolbox()


def test_providers_agree_with_the_standard_library():
    providers = toolbox.find_providers()
    reference = importlib.metadata.packages_distributions()
    for name in toolbox.MINIMUM_VERSIONS:
        expected = {dist.lower().replace('_', '-') for dist in reference.get(name, [])}
        assert set(providers[name]) == expected
        for dist, version in providers[name].items():
            assert version == importlib.metadata.version(dist)


def test_fork_and_upstream_and_source_tree_pass(tmp_path, site):
    install_fork(site)
    assert check(site) == ''

    upstream = Site(tmp_path / 'upstream')
    upstream.install('mmengine', '0.10.7', 'mmengine')
    upstream.install('mmcv', '2.1.0', 'mmcv')
    upstream.install('mmsegmentation', '1.2.2', 'mmseg')
    assert check(upstream) == ''

    source = Site(tmp_path / 'source')
    for name, version in toolbox.MINIMUM_VERSIONS.items():
        source.install(None, version, name)
    assert check(source) == ''


def test_missing_toolbox_is_named_with_the_command_to_run(site):
    complaint = check(site)
    assert complaint.startswith('mmengine, mmcv and mmseg, needed by mmseg_picie, cannot be found')
    assert "pip install 'mmseg_picie[toolbox]'" in complaint
    assert '\n' not in complaint


def test_only_the_missing_parts_are_named(site):
    site.install('onedl-mmengine', '0.10.12', 'mmengine')
    # A folder that an uninstalled package leaves behind is not a package.
    site.install('onedl-mmcv', '2.3.6', 'mmcv', code=False)
    assert check(site).startswith('mmcv and mmseg, needed by')


@pytest.mark.parametrize(
    ('distribution', 'package', 'version', 'minimum'),
    [
        ('mmengine', 'mmengine', '0.9.1', '0.10.5'),
        ('mmcv-lite', 'mmcv', '2.0.1', '2.1.0'),
        ('mmsegmentation', 'mmseg', '0.30.0', '1.2.2'),
        (None, 'mmseg', '1.2.1', '1.2.2'),
    ],
)
def test_old_version_is_refused_with_both_versions(
    tmp_path, distribution, package, version, minimum
):
    old = Site(tmp_path / 'old')
    for name, recent in toolbox.MINIMUM_VERSIONS.items():
        if name == package:
            old.install(distribution, version, name)
        else:
            old.install(name, recent, name)
    complaint = check(old)
    assert f'needs {package} >= {minimum}, and {distribution or package} {version} is' in complaint
    assert '\n' not in complaint


@pytest.mark.parametrize(
    ('second', 'version', 'package', 'first'),
    [
        ('mmsegmentation', '1.2.2', 'mmseg', 'onedl-mmsegmentation 1.4.2'),
        ('mmcv-lite', '2.1.0', 'mmcv', 'onedl-mmcv 2.3.6'),
        ('mmengine', '0.10.7', 'mmengine', 'onedl-mmengine 0.10.12'),
    ],
)
def test_two_distributions_of_one_package_are_refused(site, second, version, package, first):
    install_fork(site)
    site.install(second, version, package)
    complaint = check(site)
    assert f'`{package}` is provided by 2 installed distributions' in complaint
    assert first in complaint
    assert f'{second} {version}' in complaint
    assert '\n' not in complaint


def test_one_distribution_seen_twice_is_one(tmp_path, site):
    install_fork(site)
    below = Site(tmp_path / 'below')
    below.install('OneDL_MMSegmentation', '1.2.0', 'mmseg')
    # The first on the path is the one that is imported, so its version counts.
    assert check(site, below) == ''
    assert 'onedl-mmsegmentation 1.2.0' in check(below, site)


@pytest.fixture
def empty_allow_list():
    """Start a test from torch's own list of allowed types; put the former list back after it."""
    former = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(former)


def write_checkpoint(path: Path) -> None:
    """Write what mmengine puts in a checkpoint beside tensors."""
    buffer = HistoryBuffer()
    buffer.update(0.25)
    single = HistoryBuffer(np.array([1, 2], np.float32), np.array([1, 1], np.int32))
    arrays = {
        name: np.ones(2, name)
        for name in ('float16', 'float32', 'float64', 'int32', 'int64', 'uint8', 'uint32', 'bool')
    }
    hub = {'log_scalars': {'train/loss': buffer, 'single': single}, 'resumed_keys': {'loss': True}}
    hub['runtime_info'] = {'epoch': 3, 'best': np.float32(0.5), 'state': arrays, 'slice': slice(2)}
    torch.save({'state_dict': {'w': torch.ones(2)}, 'message_hub': hub}, path)


def test_checkpoint_types_load_safely_once_allowed(tmp_path, empty_allow_list):
    path = tmp_path / 'epoch_1.pth'
    write_checkpoint(path)
    with pytest.raises(Exception, match='[Ww]eights.only'):
        torch.load(path, weights_only=True)

    toolbox.allow_checkpoint_types()
    toolbox.allow_checkpoint_types()
    hub = torch.load(path, weights_only=True)['message_hub']

    assert hub['log_scalars']['train/loss'].mean() == 0.25
    history, _ = hub['log_scalars']['single'].data
    assert history.dtype == np.float32
    assert history.tolist() == [1, 2]
    assert hub['runtime_info']['best'] == 0.5
    for name, array in hub['runtime_info']['state'].items():
        assert array.dtype == name
        assert array.tolist() == [1, 1]


def test_checkpoint_types_stay_allowed_after_a_load_by_mmengine(tmp_path, empty_allow_list):
    from mmengine.runner import CheckpointLoader

    path = tmp_path / 'epoch_1.pth'
    write_checkpoint(path)
    toolbox.allow_checkpoint_types()
    CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    assert torch.load(path, weights_only=True)['message_hub']['runtime_info']['epoch'] == 3


def test_unknown_types_stay_refused(tmp_path, empty_allow_list):
    path = tmp_path / 'foreign.pth'
    torch.save({'path': Path('a')}, path)
    toolbox.allow_checkpoint_types()
    with pytest.raises(Exception, match='[Ww]eights.only'):
        torch.load(path, weights_only=True)


class Hostile:
    """Pickles itself as a call."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def test_getattr_is_allowed_for_the_statistics_of_a_history_alone(tmp_path, empty_allow_list):
    """Through the real one a file would reach exec, by way of the module behind a builtin."""
    from mmengine.logging import HistoryBuffer

    path = tmp_path / 'hostile.pth'
    toolbox.allow_checkpoint_types()
    torch.save(Hostile(getattr, HistoryBuffer, 'mean'), path)
    assert torch.load(path, weights_only=True) is HistoryBuffer.mean
    for owner, name in ((getattr, '__self__'), (HistoryBuffer, '__init__'), ([], 'append')):
        torch.save(Hostile(getattr, owner, name), path)
        with pytest.raises(Exception, match='may not read|[Ww]eights.only'):
            torch.load(path, weights_only=True)
