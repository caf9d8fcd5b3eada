"""Code of the package in pages, by its name, so that it is always the present code.

A line ``Code: [`NAME`](PATH.py)`` gets the source of NAME below it, without docstrings.
"""

import ast
import re
import textwrap
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

DOCS = Path(__file__).parents[1]
_LINE = re.compile(r'^Code: \[`([\w.]+)`\]\(([^)\s]+\.py)\)$', re.MULTILINE)


def find_source(text: str, name: str) -> str:
    """Cut the source of a function or class out of a file.

    Args:
        text: Of the file.
        name: Dotted name within it, such as `PiCIE.loss`.

    Returns:
        Its lines without docstring, not indented.

    Raises:
        KeyError: If the file has no such name.
    """
    node: ast.AST = ast.parse(text)
    for part in name.split('.'):
        found = [
            child for child in ast.iter_child_nodes(node) if getattr(child, 'name', '') == part
        ]
        if not found:
            raise KeyError(name)
        node = found[0]
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    numbers = set(range(first, (node.end_lineno or first) + 1))
    if ast.get_docstring(node) is not None:
        numbers -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = text.splitlines()
    return textwrap.dedent('\n'.join(lines[number - 1] for number in sorted(numbers)))


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Put the code below the lines that name it."""

    def add(match: re.Match) -> str:
        name, path = match.groups()
        try:
            code = find_source((DOCS / path).read_text('utf-8'), name)
        except (OSError, KeyError) as error:
            raise PluginError(f'{page.file.src_uri}: there is no {name} in {path}.') from error
        return f'{match[0]}\n\n```python\n{code}\n```'

    return _LINE.sub(add, markdown)
