"""Packages that some settings need and a plain install leaves out: the extras of setup.cfg."""

import re
from importlib import metadata

_DISTRIBUTION = 'mmseg_picie'
#: How Python, and mmseg, say that a package is missing.
_MISSING = re.compile(r"^No module named '(\w+)|^([\w-]+) is not installed")
_REQUIREMENT = re.compile(r'^([\w.-]+).*\bextra == [\'"]([\w-]+)[\'"]')


def explain_missing(text: str) -> str:
    """Explain that a package of an extra is missing.

    Args:
        text (str): words of an error.

    Returns:
        str: what is missing and how to get it; empty if the error is about something else.
    """
    found = _MISSING.search(text)
    name = (found[1] or found[2]) if found else ''
    extra = find_extra(name)
    if not extra:
        return ''
    remedy = f"run `pip install '{_DISTRIBUTION}[{extra}]'`"
    return f'the package {name}, which is needed, is missing; {remedy}'


def find_extra(name: str) -> str:
    """Find the extra that brings a package.

    Args:
        name (str): of the package or of its module, such as 'timm'.

    Returns:
        str: name of the extra; empty if none does.
    """
    try:
        requirements = metadata.requires(_DISTRIBUTION) or ()
    except metadata.PackageNotFoundError:  # run from its files
        return ''
    for requirement in requirements:
        found = _REQUIREMENT.match(requirement)
        if found and _plain(found[1]) == _plain(name):
            return found[2]
    return ''


def _plain(name: str) -> str:
    """A name as pip compares it: Foo_Bar is foo-bar."""
    return re.sub(r'[-_.]+', '-', name).lower()
