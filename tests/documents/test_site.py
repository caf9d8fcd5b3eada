"""Parts of the documentation site: links, code by name, the notebook as a page, what is refused."""

import importlib.util
import json
import zlib
from argparse import SUPPRESS
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

pytest.importorskip('mkdocs')
griffe = pytest.importorskip('griffe')

from mkdocs.exceptions import PluginError  # noqa: E402

from mmseg_picie.cli import COMMANDS, CONVERTERS, make_parser  # noqa: E402

ROOT = Path(__file__).parents[2]


def load(name: str) -> ModuleType:
    """Load a hook of the site."""
    spec = importlib.util.spec_from_file_location(f'site_{name}', ROOT / f'docs/hooks/{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ('target', 'origin', 'found', 'source'),
    [
        ('docs/faq.md', 'README.md', 'faq.md', None),
        ('docs/images/demo.jpg', 'README.md', 'images/demo.jpg', None),
        ('../README.md', 'docs/faq.md', 'index.md', None),
        ('../SECURITY.md', 'docs/security.md', 'reporting.md', None),
        ('tutorial.ipynb', 'docs/start.md', 'tutorial.md', None),
        ('../../CHANGELOG.md', 'docs/reference/index.md', 'changelog.md', None),
        ('../configs/a.py', 'docs/faq.md', 'source/configs/a.py.txt', 'configs/a.py'),
        ('LICENSE', 'README.md', 'source/LICENSE.txt', 'LICENSE'),
    ],
)
def test_a_link_leads_to_the_same_in_the_site(target, origin, found, source):
    expected = None if source is None else ROOT / source
    assert load('pages').find_target(target, origin) == (found, expected)


def test_links_in_code_stay():
    pages = load('pages')
    page = SimpleNamespace(file=SimpleNamespace(src_uri='reference/index.md'))
    text = (
        '[a](../faq.md#x) `[b](../faq.md)` [`c`](https://a.b/c)\n```text\n[d](../../LICENSE)\n```'
    )
    changed = pages.on_page_markdown(text, page, None, None)
    assert changed == text
    top = pages.on_page_markdown(
        '[a](docs/faq.md#x)', SimpleNamespace(file=SimpleNamespace(src_uri='index.md')), None, None
    )
    assert top == '[a](faq.md#x)'
    assert pages.on_page_markdown('| `a\\|b` | c |', page, None, None) == '| `a|b` | c |'


def test_code_is_that_of_the_package_without_docstrings():
    find_source = load('code_by_name').find_source
    text = (
        'class A:\n    """Doc."""\n\n    @property\n    def b(self):\n'
        '        """Doc\n        of b."""\n        return 1  # one\n\n    c = 2\n'
    )
    assert find_source(text, 'A.b') == '@property\ndef b(self):\n    return 1  # one'
    assert find_source(text, 'A').startswith('class A:\n\n    @property')
    with pytest.raises(KeyError):
        find_source(text, 'A.d')


def test_a_page_that_names_code_which_is_gone_is_refused():
    page = SimpleNamespace(file=SimpleNamespace(src_uri='page.md'))
    hook = load('code_by_name').on_page_markdown
    path = '../mmseg_picie/models/picie.py'
    assert 'def loss(' in hook(f'Code: [`PiCIE.loss`]({path})', page)
    with pytest.raises(PluginError, match=r'page.md: there is no PiCIE.gone'):
        hook(f'Code: [`PiCIE.gone`]({path})', page)


def test_the_notebook_is_a_page_with_its_code():
    cells = [
        dict(cell_type='markdown', source=['# A\n', 'b']),
        dict(cell_type='code', source=['x = 1\n', 'x']),
    ]
    text = load('pages').notebook_to_markdown(json.dumps(dict(cells=cells)))
    assert text == '# A\nb\n\n```python\nx = 1\nx\n```\n'


@pytest.mark.parametrize(
    ('html', 'message'),
    [
        ('<p><code>sh\npicie demo\n</code></p>', 'a code block is not set'),
        ('<p>```sh</p>', 'a code block is not set'),
        ('<p>These:\n- one\n- two</p>', 'a list or table is not set'),
        ('<p>Text\n| a | b |</p>', 'a list or table is not set'),
        ('<img alt="" src="https://a.b/c.png">', 'would be fetched'),
        ('<script src="//a.b/c.js"></script>', 'would be fetched'),
    ],
)
def test_a_page_that_is_not_as_meant_is_refused(html, message):
    checks = load('checks')
    page = SimpleNamespace(file=SimpleNamespace(src_uri='page.md'))
    with pytest.raises(PluginError, match=message):
        checks.on_page_content(html, page=page)
    right = '<p>a</p>\n<ul><li>b</li></ul><pre><code>sh\n```</code></pre><a href="https://a">c</a>'
    checks.on_page_content(right, page=page)


def test_public_names_are_those_that_are_imported_exported_or_registered(tmp_path):
    package = tmp_path / 'mmseg_picie'
    checks = load('checks')
    for room in checks.ROOMS:
        (package / room).mkdir(parents=True)
        (package / room / '__init__.py').write_text('__all__ = []\n')
    (package / '__init__.py').write_text("__all__ = ['__version__', 'register']\ndef register(): 1")
    (package / 'views' / '__init__.py').write_text("from .a import f\n__all__ = ['f']\n")
    (package / 'views' / 'a.py').write_text('def f(): 1\ndef g(): 1\ndef h(): 1\n')
    (package / 'models' / 'b.py').write_text('@M.register_module()\nclass B: 1\nclass C: 1\n')
    loaded = griffe.load('mmseg_picie', search_paths=[str(tmp_path)], try_relative_path=False)
    found = checks.list_public_names(loaded, ['from mmseg_picie.views.a import g\n'])
    assert found == {
        'mmseg_picie.register',
        'mmseg_picie.views.a.f',
        'mmseg_picie.views.a.g',
        'mmseg_picie.models.b.B',
    }


def test_the_inventory_is_read():
    head = b'# Sphinx inventory version 2\n# Project: a\n# Version: 0\n# zlib\n'
    body = zlib.compress(b'a.b py:class 1 page.html#a.b -\na.c py:function 1 page.html#$ -\n')
    assert load('checks').read_inventory(head + body) == {'a.b', 'a.c'}


def test_docstrings_lose_roles_and_gain_comments(tmp_path):
    (tmp_path / 'part.py').write_text(
        '#: One, of\n#: :class:`B`.\nA = 1\n\nC = 2\n\n'
        'def f():\n    """See :func:`.x.y`, ``z``."""\n'
    )
    extensions = griffe.load_extensions(load('docstrings').Docstrings)
    part = griffe.load('part', search_paths=[str(tmp_path)], extensions=extensions)
    assert part['A'].docstring.value == 'One, of `B`.'
    assert part['C'].docstring is None
    assert part['f'].docstring.value == 'See `x.y`, `z`.'


def test_the_page_of_commands_has_every_option():
    hook = load('commands')
    page = SimpleNamespace(file=SimpleNamespace(src_uri='commands.md'))
    text = hook.on_page_markdown('# Commands\n', page, None, None)
    sections = dict(part.split('\n', 1) for part in text.split('## picie ')[1:])
    names = [n for n in COMMANDS if n != 'convert'] + [f'convert {n}' for n in CONVERTERS]
    assert list(sections) == names
    for name, section in sections.items():
        _, parser = make_parser(name.split())
        shown = [action for action in parser._actions if action.help != SUPPRESS]
        words = [word for action in shown for word in action.option_strings]
        assert '--debug' in words
        assert [word for word in words if word not in section.split('options:')[1]] == []
    other = SimpleNamespace(file=SimpleNamespace(src_uri='faq.md'))
    assert hook.on_page_markdown('text', other, None, None) == 'text'
