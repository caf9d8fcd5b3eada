"""The list of released models that a folder or an address has: ``models.json``."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from filelock import FileLock

from ..whole_files import NO_LOCKS
from .json_files import write_json

#: What the list is called, and the version of its layout.
INDEX_FILE, LAYOUT = 'models.json', 1
#: Most bytes of a model. A list that states more is wrong, or is meant to fill a disk.
MOST_BYTES = 8 * 10**9
#: What a model may be called: it is also a folder, and part of an address.
NAME = re.compile(r'[A-Za-z0-9][\w.+-]*', re.ASCII)
_SHA256 = re.compile(r'[0-9a-f]{64}')


@dataclass(frozen=True)
class ReleasedModel:
    """A model of a list.

    Attributes:
        name (str): what it is asked for by.
        file (str): where it is, from the folder of the list on, with ``/``.
        size (int): bytes.
        sha256 (str): of the file, in 64 hexadecimal digits.
        data (str): what it was trained on.
        scores (dict[str, float]): in percent; empty if there were no labels.
        licence (str): of the weights.
        data_licence (str): of the data.

    Raises:
        ValueError: If one of them cannot be.
    """

    name: str
    file: str
    size: int
    sha256: str
    data: str
    scores: dict[str, float]
    licence: str
    data_licence: str

    def __post_init__(self) -> None:
        check_name(self.name)
        parts = self.file.split('/') if isinstance(self.file, str) else ['']
        if not all(NAME.fullmatch(part) for part in parts):
            raise ValueError(
                f'file of {self.name} must be a path below the list, but is {self.file!r}'
            )
        if type(self.size) is not int or not 0 < self.size <= MOST_BYTES:
            raise ValueError(
                f'size of {self.name} must be from 1 to {MOST_BYTES:,} bytes, but is {self.size!r}'
            )
        if not isinstance(self.sha256, str) or not _SHA256.fullmatch(self.sha256):
            raise ValueError(
                f'sha256 of {self.name} must be 64 hexadecimal digits, but is {self.sha256!r}'
            )
        if not isinstance(self.scores, dict) or not all(
            isinstance(key, str) and type(value) in (int, float) and math.isfinite(value)
            for key, value in self.scores.items()
        ):
            raise ValueError(
                f'scores of {self.name} must be finite numbers, but are {self.scores!r}'
            )
        for key in ('data', 'licence', 'data_licence'):
            if not isinstance(getattr(self, key), str):
                raise ValueError(
                    f'{key} of {self.name} must be text, but is {getattr(self, key)!r}'
                )


def check_name(name: Any) -> None:
    """Refuse what a model cannot be called.

    Args:
        name (Any): to check.

    Raises:
        ValueError: If it is no text of letters, digits, ``.``, ``_``, ``+`` and ``-``, or is the
            name of the list, which lies beside the folder of the model.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            'the name of a model must begin with a letter or digit, and hold letters, digits, '
            f'".", "_", "+" and "-" alone, but is {name!r}'
        )
    if name.lower() == INDEX_FILE:  # some file systems do not tell large letters from small ones
        raise ValueError(
            f'the name of a model must not be {INDEX_FILE}, as the list is called, but is {name!r}'
        )


def parse_index(content: bytes, place: str) -> dict[str, ReleasedModel]:
    """Read a list.

    Args:
        content (bytes): of the file.
        place (str): where it is from, for messages.

    Returns:
        dict[str, ReleasedModel]: by name. What a model has beside its own fields is left out.

    Raises:
        ValueError: If it is no such list, or of a later layout.
    """
    try:
        found = json.loads(content)
        if found['layout'] != LAYOUT:
            raise ValueError(f'its layout is {found["layout"]!r}, and {LAYOUT} is known here')
        names = [field.name for field in fields(ReleasedModel)]
        models = [ReleasedModel(**{key: one[key] for key in names}) for one in found['models']]
    except Exception as error:  # what others wrote fails in any way
        reason = f'it has no {error}' if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f'{place} must be a list of models, as `picie release` writes it, but {reason}; get it '
            'again, or give another place.'
        ) from error
    return {model.name: model for model in models}


def read_index(folder: Path) -> dict[str, ReleasedModel]:
    """Read the list of a folder.

    Args:
        folder (Path): which may be missing.

    Returns:
        dict[str, ReleasedModel]: as of :func:`parse_index`; empty if there is no list.

    Raises:
        ValueError: If it is broken.
    """
    path = folder / INDEX_FILE
    return parse_index(path.read_bytes(), str(path)) if path.is_file() else {}


def add_to_index(folder: Path, model: ReleasedModel) -> None:
    """Put a model into the list of a folder, in place of one of its name.

    Args:
        folder (Path): where its file is; it is made if missing.
        model (ReleasedModel): the model.

    Raises:
        OSError: If the list cannot be written.
        ValueError: If the list is broken.
    """
    with locked(folder / f'.{INDEX_FILE}.lock'):
        models = read_index(folder) | {model.name: model}
        rows = [asdict(models[name]) for name in sorted(models)]
        write_json(folder / INDEX_FILE, dict(layout=LAYOUT, models=rows))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Within, no other process is within the same; where there are no locks, any may be.

    Args:
        path (Path): file of the lock; its folder is made if missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        if not isinstance(error, NotImplementedError) and error.errno not in NO_LOCKS:
            raise
    try:
        yield
    finally:
        lock.release()
