"""Proofs for mmseg_picie.toolbox.

The module is loaded from its file and run in an interpreter that sees the standard library and one
made-up site folder only, so that any toolbox can be 'installed' for a test, or none.
"""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.versions
def test_this_environment_passes():
    toolbox.check_toolbox()


@pytest.mark.skipif(sys.version_info < (3, 11), reason='it reads less of what pip records')
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


@pytest.mark.parametrize('metadata', [None, b'', b'Name: foo\n', b'Version: 1\n', b'\xff'])
def test_what_names_no_distribution_is_passed_over(site, metadata):
    """As pip does: such a folder is what a removal that was stopped has left."""
    install_fork(site)
    info = site.path / 'foo-1.0.dist-info'
    info.mkdir()
    (info / 'top_level.txt').write_text('mmseg\n')
    if metadata is not None:
        (info / 'METADATA').write_bytes(metadata)
    assert check(site) == ''


def test_one_distribution_seen_twice_is_one(tmp_path, site):
    install_fork(site)
    below = Site(tmp_path / 'below')
    below.install('OneDL_MMSegmentation', '1.2.0', 'mmseg')
    # The first on the path is the one that is imported, so its version counts.
    assert check(site, below) == ''
    assert 'onedl-mmsegmentation 1.2.0' in check(below, site)
