"""What tells a file from all others: its sha256."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

#: Bytes that are read at once.
PIECE = 1 << 20


def compute_sha256(path: Path) -> str:
    """The sha256 of a file.

    Args:
        path (Path): the file.

    Returns:
        str: 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for piece in read_pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def read_pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file, one after the other, however large it is."""
    with path.open('rb') as file:
        while piece := file.read(PIECE):
            yield piece
