"""Text that is safe to print: names of files may hold anything but a NUL."""

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


def _escape(char: str) -> str:
    if '\udc80' <= char <= '\udcff':  # how Python keeps a byte that it could not decode
        return f'\\x{ord(char) - 0xDC00:02x}'
    return char.encode('unicode_escape').decode()
