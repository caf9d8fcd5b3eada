"""What calls that label the images of a folder together know of each other.

Every call makes the same list of images and takes its own part of it. In the folder of the results
it keeps a record, `shares/2-of-8.json`, of its settings and of what it has counted. So shares of
other settings are refused, a share that was killed goes on where it was, and the one that ends last
knows that it is the last, and what all have counted. A share at work holds a lock, so that no call
for all images writes over its results.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from ..models import PiCIE
from .file_labelling import Source
from .json_files import read_json, write_json
from .result_files import RESULTS
from .shares import Share

#: Folder of the records, in that of the results.
RECORDS = 'shares'
_NAME = re.compile(r'\d+-of-\d+\.json', re.ASCII)


class ShareRecords:
    """The records of the shares in a folder of results.

    Args:
        out_dir (str): the folder.
        settings (dict): all that decides what the results are, as text and numbers; 'images' is
            what they are of.
    """

    def __init__(self, out_dir: str, settings: dict[str, Any]) -> None:
        self._out, self._folder = Path(out_dir), Path(out_dir, RECORDS)
        self._settings = settings

    def begin(self, share: Share, resume: bool) -> None:
        """Record that a share has begun.

        Args:
            share (Share): which.
            resume (bool): whether results that are there without a record are of these settings.

        Raises:
            ValueError: If there are results of other settings, or that nobody knows the settings
                of.
        """
        # In this order: another share writes its record before its first result.
        has_results = any(Path(self._out, kind).is_dir() for kind in RESULTS)
        is_known = self.check()
        if has_results and not is_known and not resume:
            raise ValueError(
                f'{self._out} holds results that no share has written; give another folder, or '
                '--resume if they are of the same model and options.'
            )
        path = self._path(share)
        write_json(path, dict(state='started', settings=self._settings))
        try:
            self.check()  # for one that has begun at the same time
        except ValueError:
            path.unlink(missing_ok=True)
            raise

    @contextmanager
    def at_work(self, share: Share) -> Iterator[None]:
        """Within, :func:`forget_shares` is refused, as far as the file system has locks.

        Args:
            share (Share): that has begun.
        """
        lock = FileLock(self._path(share).with_suffix('.lock'))
        with suppress(NotImplementedError, OSError):  # also if the same share is at work twice
            lock.acquire(timeout=0)
        try:
            yield
        finally:
            lock.release()

    def check(self) -> bool:
        """Refuse a folder with shares of other settings.

        Returns:
            bool: whether there are any shares.

        Raises:
            ValueError: If there are some of other settings.
        """
        paths = [path for path in _list(self._folder) if _NAME.fullmatch(path.name)]
        for path in paths:
            found = read_json(path).get('settings')
            found = found if isinstance(found, dict) else {}
            for name, value in self._settings.items():
                if found.get(name) != value:
                    raise ValueError(
                        f'{self._out} holds the results of shares of other settings: {name} was '
                        f'{found.get(name)!r} and is now {value!r}; give another folder.'
                    )
        return bool(paths)

    def finish(
        self, share: Share, tally: dict[str, list[int]], failures: list[str]
    ) -> list[dict[str, Any]] | None:
        """Record that a share is done.

        Args:
            share (Share): which.
            tally (dict): what it has counted.
            failures (list[str]): a sentence for each image that could not be read.

        Returns:
            list[dict] or None: the records of all other shares, with ``tally`` and ``failures``;
                None if one of them is not finished.
        """
        known = dict(state='finished', settings=self._settings, tally=tally, failures=failures)
        write_json(self._path(share), known)
        others = [Share(number, share.total) for number in range(1, share.total + 1)]
        others.remove(share)
        paths = [self._path(other) for other in others]
        records = [read_json(path) if path.is_file() else {} for path in paths]
        is_done = all(record.get('state') == 'finished' for record in records)
        return records if is_done else None

    def _path(self, share: Share) -> Path:
        return self._folder / f'{share.number}-of-{share.total}.json'


def forget_shares(out_dir: str) -> None:
    """Remove the records of shares, before their results are written over by others.

    Args:
        out_dir (str): folder of the results.

    Raises:
        ValueError: If a share is at work; of one on a file system without locks nobody knows.
    """
    folder = Path(out_dir, RECORDS)
    for path in sorted(folder.glob('*.lock')):
        try:
            with FileLock(path, timeout=0):
                pass
        except Timeout:
            raise ValueError(
                f'{out_dir} is being written to by another call, for the share {path.stem}; wait '
                'for its end, or give another folder.'
            ) from None
        except (NotImplementedError, OSError):
            continue
    shutil.rmtree(folder, ignore_errors=True)


def describe_work(model: PiCIE, sources: Sequence[Source]) -> dict[str, str]:
    """Tell by what shares segment which images.

    Args:
        model (PiCIE): as of :func:`describe_model`.
        sources (Sequence[Source]): all images, in their order.

    Returns:
        dict[str, str]: for the settings of :class:`ShareRecords`.
    """
    names = describe_names([source.name for source in sources])
    return dict(model=describe_model(model), images=names)


def describe_names(names: Sequence[str]) -> str:
    """Tell lists of images apart.

    Args:
        names (Sequence[str]): of the images, in their order.

    Returns:
        str: their number, and a digest.
    """
    return f'{len(names)} images {_digest(json.dumps(list(names)).encode())}'


def describe_model(model: PiCIE) -> str:
    """Tell models apart by all that decides what they find in an image.

    Args:
        model (PiCIE): of :func:`.prediction.load_model`.

    Returns:
        str: a digest of weights, clusters, names and the settings of the prediction.
    """
    weights = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        weights.update(name.encode())
        weights.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    config: Any = model.cfg
    crf = None if model.crf is None else vars(model.crf)
    told = [config.model, config.test_pipeline, crf, model.dataset_meta]
    text = json.dumps(told, sort_keys=True, default=lambda value: type(value).__name__)
    return _digest(weights.digest() + text.encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _list(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
