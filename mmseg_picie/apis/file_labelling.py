"""Label image files: read ahead and written on threads, and forwarded several at once."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..datasets.image_files import read_size
from ..datasets.image_reading import read_image
from ..datasets.image_strips import ArrayStrips, Strips, needs_parts, open_strips
from ..engine.progress import Bar
from ..threads import get_threads
from .labelling import Labeller
from .result_files import ResultWriter

#: Pixels of the images that are read ahead, that wait for others of their size, and that are being
#: written; of each kind at least one image.
_MOST_PIXELS = 24_000_000


class Source(NamedTuple):
    """An image and the name of its results.

    Attributes:
        path (str): image file.
        name (str): relative path of the results, without suffix.
    """

    path: str
    name: str


class Loaded(NamedTuple):
    """An image that is read.

    Attributes:
        source (Source): its file.
        image (NDArray, optional): (H, W, 3) uint8 BGR; None of a file that is read in parts.
        item (dict, optional): of :meth:`Labeller.prepare`.
        error (Exception, optional): why it cannot be read.
    """

    source: Source
    image: NDArray[np.uint8] | None = None
    item: dict[str, Any] | None = None
    error: Exception | None = None


def label_files(
    labeller: Labeller,
    sources: Sequence[Source],
    writer: ResultWriter,
    stretch: str = 'none',
    resume: bool = False,
) -> list[str]:
    """Label image files and write the results.

    Args:
        labeller (Labeller): of the model.
        sources (Sequence[Source]): images.
        writer (ResultWriter): of the results.
        stretch (str): as of :func:`..datasets.image_reading.read_image`.
        resume (bool): whether to pass over images whose results are there.

    Returns:
        list[str]: a sentence for each image that could not be read.

    Raises:
        OSError: If results cannot be written.
    """
    failures: list[str] = []
    bar = Bar('Segmenting', len(sources))
    written = Work(bar.advance)
    try:
        left = []
        for source in sources:
            if resume and writer.count_written(source.name, source.path):
                bar.advance()
            else:
                left.append(source)
        for batch in _batch(labeller, _read_ahead(labeller, left, stretch)):
            first = batch[0]
            if first.error is not None:
                failures.append(str(first.error))
                bar.advance()
            elif first.image is None or first.item is None:
                written.finish()
                failure = _label_alone(labeller, first, writer, stretch)
                failures += [] if failure is None else [failure]
                bar.advance()
            else:
                maps = labeller.label_items([loaded.item for loaded in batch if loaded.item])
                for loaded, labels in zip(batch, maps, strict=True):
                    written.add(labels.size, writer.write, loaded.source.name, loaded.image, labels)
        written.finish()
    finally:
        bar.stop()
    return failures


def _label_alone(
    labeller: Labeller, loaded: Loaded, writer: ResultWriter, stretch: str
) -> str | None:
    """Label an image that is seen in windows; a sentence if it cannot be read."""
    try:
        with _open(loaded, stretch) as strips:
            clusters = labeller.label_strips(strips)
            overlay, place = writer.paint(strips, clusters), strips.place
    except (OSError, ValueError) as error:
        return str(error)
    writer.write_painted(loaded.source.name, overlay, clusters, place)
    return None


def _open(loaded: Loaded, stretch: str) -> AbstractContextManager[Strips]:
    if loaded.image is None:
        return open_strips(loaded.source.path, stretch)
    return nullcontext(ArrayStrips(loaded.image))


def _read_ahead(labeller: Labeller, sources: Sequence[Source], stretch: str) -> Iterator[Loaded]:
    """Images in their order, read on threads."""
    found: deque[Loaded] = deque()
    reading: Work = Work(found.append)
    for source in sources:
        if needs_parts(source.path):
            reading.finish()
            found.append(Loaded(source))
        else:
            width, height = read_size(source.path) or (1, 1)
            reading.add(width * height, _read, labeller, source, stretch)
        while found:
            yield found.popleft()
    reading.finish()
    yield from found


def _read(labeller: Labeller, source: Source, stretch: str) -> Loaded:
    try:
        image = read_image(source.path, stretch=stretch)
        return Loaded(source, image, labeller.prepare(image))
    except (OSError, ValueError) as error:
        return Loaded(source, error=error)


def _batch(labeller: Labeller, images: Iterator[Loaded]) -> Iterator[list[Loaded]]:
    """Groups of images of one size, as large as is good; others alone."""
    groups: dict[tuple, list[Loaded]] = {}
    pixels = 0
    for loaded in images:
        if loaded.item is None or loaded.image is None:
            yield [loaded]
            continue
        key = loaded.image.shape, tuple(loaded.item['inputs'].shape)
        groups.setdefault(key, []).append(loaded)
        pixels += loaded.image.size // 3
        if len(groups[key]) < labeller.count_at_once(loaded.item):
            if pixels <= _MOST_PIXELS:
                continue
            key = max(groups, key=lambda key: len(groups[key]) * key[0][0] * key[0][1])
        batch = groups.pop(key)
        pixels -= sum(each.image.size // 3 for each in batch if each.image is not None)
        yield batch
    yield from groups.values()


class Work:
    """Calls on threads, of which only so much is under way.

    Args:
        done (Callable): is given the result of each, in their order.
    """

    def __init__(self, done: Callable[..., Any]) -> None:
        self._done = done
        self._running: deque[tuple[int, Future]] = deque()

    def add(self, pixels: int, function: Callable, *args: Any) -> None:
        """Begin a call, when there is room for it.

        Args:
            pixels (int): what it holds.
            function (Callable): to call.
            args (Any): its arguments.
        """
        while self._running and pixels + sum(each for each, _ in self._running) > _MOST_PIXELS:
            self._finish_one()
        self._running.append((pixels, get_threads().submit(function, *args)))
        while self._running and self._running[0][1].done():
            self._finish_one()

    def finish(self) -> None:
        """Wait for all calls."""
        while self._running:
            self._finish_one()

    def _finish_one(self) -> None:
        result = self._running[0][1].result()
        self._running.popleft()
        self._done() if result is None else self._done(result)
