"""Files from an address, which may be slow, silent, or break off."""

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..version import __version__
from ..whole_files import open_whole
from .file_hashes import PIECE

#: Environment variable: a folder or an address of released models.
SOURCE = 'MMSEG_PICIE_MODELS'
#: Seconds without an answer after which an address is given up.
_PATIENCE = 20


def read_address(address: str, most: int) -> bytes | None:
    """Read what lies at an address.

    Args:
        address (str): where to.
        most (int): bytes to read.

    Returns:
        bytes: all of it; None if it is more than that.

    Raises:
        ConnectionError: If there is no answer, or it breaks off.
    """
    with _opened(address) as answer, _connected(address):
        content = answer.read(most + 1)
        if len(content) > most:
            return None
        missing = getattr(answer, 'length', 0)  # of what the server said that it has
        if missing:
            raise EOFError(f'the last {missing:,} bytes of the answer are missing')
        return content


def fetch(address: str, path: Path, size: int, sha256: str) -> None:
    """Download a file; it is there as its list says, or not at all.

    Args:
        address (str): where it is.
        path (Path): file to write.
        size (int): its bytes.
        sha256 (str): of them.

    Raises:
        ConnectionError: If there is no answer, or not so many bytes.
        OSError: If the file cannot be written.
        ValueError: If the bytes are others.
    """
    digest, received = hashlib.sha256(), 0
    with _opened(address) as answer, open_whole(path) as file:
        while received <= size:
            with _connected(address):
                piece = answer.read(PIECE)
            if not piece:
                break
            received += len(piece)
            digest.update(piece)
            file.write(piece)
        if received != size:
            is_cut = received < size
            raise ConnectionError(
                f'{address} {"ended" if is_cut else "went on"} after {received:,} bytes, but its '
                f'list says {size:,}; '
                + ('try again.' if is_cut else 'ask who released it, and use none of it.')
            )
        if digest.hexdigest() != sha256:
            raise ValueError(
                f'{address} has the sha256 {digest.hexdigest()}, but its list says {sha256}, '
                'so it is damaged or another file, and was thrown away; try again, or ask who '
                'released it.'
            )


@contextmanager
def _opened(address: str) -> Iterator[IO[bytes]]:
    """Ask an address; it is given up if there is no answer."""
    request = urllib.request.Request(address, headers={'User-Agent': f'mmseg_picie/{__version__}'})
    with _connected(address):
        answer = urllib.request.urlopen(request, timeout=_PATIENCE)
    with answer:
        yield answer


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Within, all that fails is of the connection."""
    try:
        yield
    except urllib.error.HTTPError as error:
        raise ConnectionError(
            f'{address} cannot be had, as the server says {error.code} {error.reason}; check the '
            f'address ({SOURCE}).'
        ) from error
    # The last is of a host that cannot be one.
    except (OSError, EOFError, http.client.HTTPException, UnicodeError) as error:
        reason = getattr(error, 'reason', None) or error
        raise ConnectionError(
            f'{address} cannot be reached ({reason}); check the network and the address, or put '
            f'the folder of the models on this machine and name it by {SOURCE}.'
        ) from error
