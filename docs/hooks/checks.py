"""What a built site must be: its reference is complete, its code is set, it needs no network."""

import re
import zlib
from pathlib import Path

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
#: Modules whose `__all__` is public.
ROOMS = ('clustering', 'views', 'datasets', 'models', 'evaluation', 'engine', 'visualization')
_IMPORT = re.compile(r'^from (mmseg_picie[\w.]*) import (.+)$', re.MULTILINE)
# A fence that is indented otherwise than the item of a list that it stands in.
_FENCE = re.compile(r'```|<code>\w*\n')
# A list or table without an empty line before it.
_LIST = re.compile(r'<p>(?:(?!</p>).)*\n(?:[-*] |\d+\. |\| )', re.DOTALL)
_FETCHED = re.compile(r'<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"')


def list_public_names(package: griffe.Module, documents: list[str]) -> set[str]:
    """List what users may rely on, by the place where it is defined.

    Args:
        package: The package.
        documents: Texts of the documents.

    Returns:
        Dotted names: those in `__all__` of the package and of its rooms, all that is registered
        in a registry, and all that the documents import.
    """
    names = set()
    for module in (package, *(package[room] for room in ROOMS)):
        names |= {f'{module.path}.{name}' for name in module.exports or ()}
    for text in documents:
        for module, imported in _IMPORT.findall(text):
            names |= {f'{module}.{name.strip()}' for name in imported.split(',')}
    names -= {'mmseg_picie.__version__', 'mmseg_picie.__file__'}
    return {_resolve(package, name) for name in names} | _list_registered(package)


def _resolve(package: griffe.Module, name: str) -> str:
    """Follow a name to where it is defined."""
    return package[name.removeprefix('mmseg_picie.')].canonical_path


def _list_registered(module: griffe.Module) -> set[str]:
    """List the classes of a module, and of those in it, that are in a registry."""
    found = {
        part.path
        for part in module.classes.values()
        if not part.is_alias
        and any('.register_module(' in str(mark.value) for mark in part.decorators)
    }
    below = [part for part in module.modules.values() if not part.is_alias]
    return found.union(*(_list_registered(part) for part in below))


def read_inventory(data: bytes) -> set[str]:
    """Read the names in an inventory of Sphinx, `objects.inv`."""
    body = data.split(b'\n', 4)[4]
    return {line.split(' ', 1)[0] for line in zlib.decompress(body).decode().splitlines()}


def on_page_content(html: str, page: Page, **_: object) -> None:
    """Refuse a fence that was not understood, and what a page would fetch."""
    place = page.file.src_uri
    if _FENCE.search(re.sub(r'<pre.*?</pre>', '', html, flags=re.DOTALL)):
        raise PluginError(f'{place}: a code block is not set; indent it in a list by 4 spaces.')
    if _LIST.search(html):
        raise PluginError(f'{place}: a list or table is not set; put an empty line before it.')
    fetched = _FETCHED.search(html)
    if fetched:
        raise PluginError(f'{place}: {fetched[0]} would be fetched from the network.')


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a reference that lacks a public name."""
    package = griffe.load('mmseg_picie', search_paths=[str(ROOT)], try_relative_path=False)
    assert isinstance(package, griffe.Module)
    texts = [path.read_text('utf-8') for path in (ROOT / 'docs').rglob('*.md')]
    texts.append((ROOT / 'README.md').read_text('utf-8'))
    public = list_public_names(package, texts)
    missing = public - read_inventory(Path(config.site_dir, 'objects.inv').read_bytes())
    if missing:
        raise PluginError(f'docs/reference/ lacks {", ".join(sorted(missing))}.')
    print(f'{len(public)} public names are in the reference.')
