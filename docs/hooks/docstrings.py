"""Docstrings as this code writes them, for a generator that knows neither roles nor `#:`."""

import re
from typing import Any

import griffe

# Formulas stay TeX: to set them would need a script from the network.
_ROLE = re.compile(r':(?:attr|class|data|exc|func|math|meth|mod):`~?\.?([^`]+)`')


def read_comment_above(lines: list[str], number: int) -> str:
    """Read the lines above an attribute that begin with `#:`.

    Args:
        lines: Of the file.
        number: Of the attribute's line, from 1.

    Returns:
        Their text, empty if there are none.
    """
    found: list[str] = []
    for line in reversed(lines[: number - 1]):
        if not line.lstrip().startswith('#:'):
            break
        found.insert(0, line.lstrip().removeprefix('#:').strip())
    return ' '.join(found)


class Docstrings(griffe.Extension):
    """Turns roles such as `:class:` into plain code, and `#:` comments into docstrings."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite a docstring."""
        if obj.is_attribute and obj.docstring is None and isinstance(obj.lineno, int):
            comment = read_comment_above(obj.lines_collection[obj.filepath], obj.lineno)
            obj.docstring = griffe.Docstring(comment, parent=obj) if comment else None
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(r'`\1`', obj.docstring.value).replace('``', '`')
