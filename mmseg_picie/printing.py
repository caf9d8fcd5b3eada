"""Text for people, and text that is safe to print: names of files may hold anything but a NUL."""

from pathlib import Path


def printable(text: str) -> str:
    r"""Escape what would not stay on its line or is no character.

    Args:
        text (str): any, such as a sentence with the name of a file.

    Returns:
        str: the same on one line; control characters, line ends and marks that turn the direction
            of writing are written as in Python (``\n``), and bytes of a name that are no UTF-8 as
            ``\xff``.
    """
    return ''.join(char if char.isprintable() else _escape(char) for char in text)


def show_name(path: str | Path) -> str:
    """A file's name as :func:`printable` writes it."""
    return printable(str(path))


def percent(share: float) -> str:
    """A share as percent.

    Args:
        share (float): from 0 to 1.

    Returns:
        str: such as '12 %', '3.4 %' or '< 0.1 %'.
    """
    if share == 0:
        return '0 %'
    if share < 0.001:
        return '< 0.1 %'
    return f'{100 * share:.1f} %' if share < 0.0995 else f'{100 * share:.0f} %'


def _escape(char: str) -> str:
    if '\udc80' <= char <= '\udcff':  # how Python keeps a byte that it could not decode
        return f'\\x{ord(char) - 0xDC00:02x}'
    return char.encode('unicode_escape').decode()
