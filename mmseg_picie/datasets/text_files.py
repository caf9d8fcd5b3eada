"""Lists of names, as editors of all systems write them."""

import codecs
import re
from pathlib import Path

#: What a file begins with -> how it is encoded. The longer ones come first.
_MARKS = {
    codecs.BOM_UTF32_LE: 'utf-32',
    codecs.BOM_UTF32_BE: 'utf-32',
    codecs.BOM_UTF8: 'utf-8-sig',
    codecs.BOM_UTF16_LE: 'utf-16',
    codecs.BOM_UTF16_BE: 'utf-16',
}


def read_lines(path: str | Path, what: str = 'image list', entry: str = 'image') -> list[str]:
    """Read the lines of a list, without white space at their ends and without empty ones.

    Args:
        path (str or Path): text in UTF-8, or in UTF-16 or UTF-32 with a byte order mark; lines end
            as on any system.
        what (str): what the file is, for messages.
        entry (str): what a line is the name of, likewise.

    Returns:
        list[str]: at least one line.

    Raises:
        FileNotFoundError: If it does not exist.
        ValueError: If it is no such text, is empty, or has a line twice.
    """
    content = Path(path).read_bytes()
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), 'utf-8')
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        number = content.count(b'\n', 0, error.start) + 1
        raise ValueError(
            f'{what} {path} must be text in UTF-8, but line {number} is not; save it so.'
        ) from error
    if '\0' in text:
        raise ValueError(f'{what} {path} must be text in UTF-8, but holds zeros; save it as UTF-8.')
    lines = [line.strip() for line in re.split('\r\n|\n|\r', text)]
    found: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if line and found.setdefault(line, number) != number:
            raise ValueError(
                f'{what} {path} must name each {entry} once, but {line} is in the lines '
                f'{found[line]} and {number}; take one of them out.'
            )
    if not found:
        raise ValueError(f'{what} {path} is empty; it needs one name a line.')
    return list(found)
