"""The files for contributors agree with each other and with what is run."""

import configparser
import re
from pathlib import Path

import yaml

from mmseg_picie import __version__

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / 'Makefile').read_text('utf-8')
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / 'setup.cfg', 'utf-8')


def read(name: str) -> dict:
    """Read a YAML file."""
    return yaml.safe_load((ROOT / name).read_text('utf-8'))


def needs(target: str) -> list[str]:
    """What a target of the Makefile stands for."""
    return re.search(rf'^{target}:(.*)$', MAKEFILE, re.MULTILINE)[1].split()


def test_the_hooks_together_are_make_check():
    hooks = [hook for repo in read('.pre-commit-config.yaml')['repos'] for hook in repo['hooks']]
    assert [hook['entry'] for hook in hooks] == [f'make {target}' for target in needs('check')]
    for hook in hooks:  # whatever has changed, all is checked
        assert hook['always_run'] and not hook['pass_filenames']
    installed = set(read('.pre-commit-config.yaml')['default_install_hook_types'])
    assert {stage for hook in hooks for stage in hook['stages']} == installed


def test_the_public_workflow_runs_the_same_script_on_every_python():
    jobs = read('.github/workflows/ci.yml')['jobs']
    named = re.findall(r'Python :: (3\.\d+)$', SETUP['metadata']['classifiers'], re.MULTILINE)
    assert jobs['checks']['strategy']['matrix']['python'] == named
    assert {'run': '.ci/run'} in jobs['checks']['steps']
    assert SETUP['options']['python_requires'] == f'>={named[0]}'
    script = (ROOT / '.ci' / 'run').read_text('utf-8')
    assert re.search(r'^make check\b.* test$', script, re.MULTILINE)
    targets = {w for job in jobs.values() for w in re.findall(r'\bmake (\w+)', str(job['steps']))}
    assert targets and all(needs(target) is not None for target in targets)


def test_every_check_is_explained():
    page = (ROOT / 'CONTRIBUTING.md').read_text('utf-8')
    body = re.search(r'^style: install\n((?:\t.*\n)+)', MAKEFILE, re.MULTILINE)[1]
    for line in body.splitlines():
        command = line.split(' -m ')[1].removesuffix(' .')
        assert f'| `{command}` |' in page


def test_the_version_is_stated_in_one_place_and_quoted_rightly():
    assert SETUP['metadata']['version'] == 'attr: mmseg_picie.version.__version__'
    assert str(read('CITATION.cff')['version']) == __version__
    sections = re.findall(
        r'^## \[(.+?)\]', (ROOT / 'CHANGELOG.md').read_text('utf-8'), re.MULTILINE
    )
    released = [section for section in sections if section != 'Unreleased']
    assert sections[0] == 'Unreleased' and released[:1] in ([], [__version__])


def test_forms_ask_for_what_a_report_needs():
    forms = {p.name: read(str(p.relative_to(ROOT))) for p in ROOT.glob('.github/ISSUE_TEMPLATE/*')}
    assert {'bug.yml', 'request.yml', 'config.yml'} == set(forms)
    for name in ('bug.yml', 'request.yml'):
        assert forms[name]['name'] and forms[name]['description']
        ids = [field['id'] for field in forms[name]['body']]
        assert len(set(ids)) == len(ids)
        assert all(field['attributes']['label'] for field in forms[name]['body'])
    asked = str(forms['bug.yml'])
    assert 'picie --version' in asked and '--debug' in asked
