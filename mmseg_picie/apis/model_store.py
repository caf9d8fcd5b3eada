"""Find released models by their names: in folders, at an address, in the package.

What comes from an address is kept in a folder of this machine. Each file is compared with the
sha256 of its list before it is given out, whichever way it came.
"""

import os
import re
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ..launched import is_first
from ..printing import printable
from .downloads import SOURCE, fetch, read_address
from .file_hashes import compute_sha256
from .model_index import (
    INDEX_FILE,
    NAME,
    ReleasedModel,
    add_to_index,
    locked,
    parse_index,
    read_index,
)
from .near_names import suggest
from .ready_configs import find_carried

#: Environment variable: the folder of what is kept.
HOME = 'MMSEG_PICIE_HOME'
#: Most bytes of a list that comes from an address.
_MOST_INDEX_BYTES = 10**7
# Without user and password, which would be shown to all who ask where a model is from.
_ADDRESS = re.compile(
    r'https?://([\w.-]+|\[[\da-f:.]+\])(:\d{1,5})?(/[!-~]*)?', re.ASCII | re.IGNORECASE
)
_FILE_ADDRESS = re.compile(r'file://(?:localhost)?(/.*)', re.IGNORECASE)


class Found(NamedTuple):
    """A released model, and where it is.

    Attributes:
        model (ReleasedModel): what its list says of it.
        place (str): folder or address of the list.
    """

    model: ReleasedModel
    place: str

    @property
    def address(self) -> str:
        """Path or address of its file."""
        return f'{self.place}/{self.model.file}'


def list_models(source: str | Path | None = None) -> tuple[list[Found], list[str]]:
    """List the released models that there are.

    Args:
        source (str or Path, optional): folder, or address that begins with ``http://``,
            ``https://`` or ``file://``, of a list of models; by default that of the environment
            variable ``MMSEG_PICIE_MODELS``, if it is set.

    Returns:
        tuple[list[Found], list[str]]: models by name, of the source, of the folder ``models`` in
            ``MMSEG_PICIE_HOME`` (by default ``~/.cache/mmseg_picie``), and of the package. Of one
            name the first counts. Then a sentence for each list that cannot be reached or read.

    Raises:
        OSError: If the source that was given is a folder that is not there, or has no list.
        ValueError: If its list is broken, or it is an address of another kind.
    """
    given = source or os.environ.get(SOURCE)
    places: list[tuple[str, Callable[[], str | Path]]] = [
        (HOME, _kept),
        ('', lambda: find_carried('model_zoo')),
    ]
    if given:
        places.insert(0, ('' if source else SOURCE, lambda: _find_source(str(given))))
    found: dict[str, Found] = {}
    failures = []
    for number, (variable, find) in enumerate(places):
        try:
            place = str(find())
            models = _read_list(place)
        except (OSError, ValueError) as error:
            if source and number == 0 and not isinstance(error, ConnectionError):
                raise
            failures.append(_describe(error, variable))
            continue
        for name, model in models.items():
            found.setdefault(name, Found(model, place))
    return [found[name] for name in sorted(found)], failures


def get_checkpoint(name: str | Path, source: str | Path | None = None) -> str:
    """Find the checkpoint of a released model, which is downloaded if it has to be.

    Its bytes are compared with the sha256 of the list each time. It goes with
    ``mmseg_picie.get_config`` of the same name into mmseg's ``init_model``.

    Args:
        name (str or Path): of a model, as `picie models` lists it; or path of a file, which is
            given back as it is.
        source (str or Path, optional): as of :func:`list_models`.

    Returns:
        str: path of the file.

    Raises:
        OSError: If there is no such model, it cannot be downloaded, or nothing can be written.
        ValueError: If its bytes are not those of the list, or as of :func:`list_models`.
    """
    if Path(name).is_file():
        return str(name)
    if not NAME.fullmatch(str(name)):
        raise FileNotFoundError(
            f'there is no checkpoint file {printable(str(name))}; check the path'
        )
    models, failures = list_models(source)
    found = {one.model.name: one for one in models}.get(str(name))
    if found is None:
        more = f'. What could not be read: {" ".join(failures)}' if failures else ''
        near = suggest(str(name), [one.model.name for one in models])
        raise FileNotFoundError(
            f'there is no checkpoint file {name}, and no released model of that name{near}; check '
            f'the path, or see `picie models`{more}'
        )
    for failure in failures:
        _tell(f'{failure} {found.address} is taken.')
    if _is_address(found.place):
        return str(_download(found))
    path = Path(found.address)
    problem = _find_problem(path, found.model)
    if problem:
        raise ValueError(
            f'{path} {problem}, so it is not the model {name} of {found.place}/{INDEX_FILE}; get '
            'it again.'
        )
    return str(path)


def find_home() -> Path:
    """The folder of what is kept on this machine.

    Returns:
        Path: ``MMSEG_PICIE_HOME``, or else ``mmseg_picie`` in the user's folder of caches.

    Raises:
        ValueError: If it is an address, or a ``~`` of nobody.
    """
    given, caches = os.environ.get(HOME), os.environ.get('XDG_CACHE_HOME')
    if given and '://' in given:
        raise ValueError(
            f'{HOME} must be a folder of this machine, but is {_without_password(given)}; name the '
            f'address of models by {SOURCE}.'
        )
    if given or not caches:
        return _expand(given or '~/.cache/mmseg_picie', HOME)
    return Path(caches) / 'mmseg_picie'


def _expand(folder: str, name: str) -> Path:
    """A folder that may begin with ``~``."""
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise ValueError(
            f'{name} must be a folder, but is {folder}, and nobody knows the home folder that its '
            '~ stands for; give the whole path.'
        ) from error


def _kept() -> Path:
    """Models that have been downloaded, with a list of them, as in any other folder of models."""
    return find_home() / 'models'


def _find_source(given: str) -> str:
    """The folder or address of a list that is meant."""
    file = _FILE_ADDRESS.fullmatch(given)
    if '://' in given and not file:
        if not _is_address(given):
            raise ValueError(
                'the address of released models must begin with https://, http:// or file:///, and '
                f'be in ASCII without user and password, but is {_without_password(given)}; copy '
                'it from a browser, or give a folder.'
            )
        return given.rstrip('/').removesuffix(f'/{INDEX_FILE}').rstrip('/')
    path = urllib.request.url2pathname(file[1]) if file else given
    folder = _expand(path, 'the place of released models')
    if folder.name == INDEX_FILE:
        folder = folder.parent
    if not (folder / INDEX_FILE).is_file():
        raise FileNotFoundError(
            f'{given} must be a folder of released models, but there is no '
            f'{folder / INDEX_FILE}; check the path.'
        )
    return str(folder)


def _is_address(place: str) -> bool:
    return bool(_ADDRESS.fullmatch(place))


def _without_password(address: str) -> str:
    return re.sub('://.*@', '://...@', address)


def _describe(error: Exception, variable: str) -> str:
    """Why a list is left out, and the variable that says where it is."""
    sentence = str(error)
    if isinstance(error, OSError) and error.strerror:
        path = f'{error.filename}: ' if error.filename else ''
        sentence = f'{path}{error.strerror}; check the path and its permissions.'
    return sentence if variable in sentence else f'{variable}: {sentence}'


def _read_list(place: str) -> dict[str, ReleasedModel]:
    if not _is_address(place):
        return read_index(Path(place))
    address = f'{place}/{INDEX_FILE}'
    content = read_address(address, _MOST_INDEX_BYTES)
    if content is None:
        raise ValueError(
            f'{address} must be a list of models, but is larger than {_MOST_INDEX_BYTES:,} bytes; '
            'check the address.'
        )
    return parse_index(content, address)


def _download(found: Found) -> Path:
    """Have a model of an address in the folder of what is kept."""
    model, kept = found.model, _kept()
    own = replace(model, file=f'{model.name}/{Path(model.file).name}')
    path = kept / own.file
    if _find_problem(path, model):
        with locked(path.parent / '.download.lock'):  # who waits for it finds the file
            if _find_problem(path, model):
                size = f'{model.size / 1e6:.1f} MB'
                _tell(f'Downloading {model.name} ({size}) from {found.place} ...')
                address = f'{found.place}/{quote(model.file)}'
                fetch(address, path, model.size, model.sha256)
    try:
        if read_index(kept).get(model.name) != own:
            add_to_index(kept, own)
    except (OSError, ValueError) as error:  # of a list that is damaged, or of somebody else
        _tell(f'{path} cannot be put into the list there: {_describe(error, HOME)}')
    return path


def _find_problem(path: Path, model: ReleasedModel) -> str:
    """What is wrong with a file; empty if nothing is."""
    if not path.is_file():
        return 'is not there'
    if path.stat().st_size != model.size:
        return f'has {path.stat().st_size:,} bytes instead of {model.size:,}'
    digest = compute_sha256(path)
    return '' if digest == model.sha256 else f'has the sha256 {digest} instead of {model.sha256}'


def _tell(sentence: str) -> None:
    if is_first():
        print(printable(sentence), file=sys.stderr, flush=True)
