"""A report to look at: what each cluster of a model is, in one self-contained HTML file."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..engine.progress import track
from ..models import PiCIE
from ..visualization.report import ImageFacts, render_report
from ..visualization.report.page import called
from ..visualization.report.pictures import encode_jpeg, encode_segments, to_size
from ..whole_files import write_whole
from .prediction import Source
from .report_facts import describe
from .report_images import Predict, SeenImage, see_images
from .report_labels import Labels
from .report_patches import PatchNumbers, PatchPicker
from .report_tally import Tally
from .run_history import History

#: Warnings that a command prints at most.
FINDINGS = 10
#: Images that the page shows at most, evenly spread over all.
NUM_SHOWN = 200
# Letters of all patches, and of all pictures with their segments.
_PATCH_BYTES = 4_500_000
_PICTURE_BYTES = 9_000_000
# Letters of a patch; with more clusters than fit, fewer patches are kept.
_MIN_PATCH, _MAX_PATCH = 1600, 8000
_MAX_PICTURE = 80_000


class Reported(NamedTuple):
    """What a report tells.

    Attributes:
        path (Path): the page.
        num_images (int): images that were segmented.
        num_shown (int): images that the page shows.
        findings (list[str]): warnings in a sentence each.
        failures (list[str]): a sentence for each image that could not be read.
    """

    path: Path
    num_images: int
    num_shown: int
    findings: list[str]
    failures: list[str]


def shorten(findings: Sequence[str]) -> list[str]:
    """The first findings, and how many more the page has.

    Args:
        findings (Sequence[str]): of :class:`Reported`.

    Returns:
        list[str]: lines to print.
    """
    more = len(findings) - FINDINGS
    return [*findings[:FINDINGS], *([f'and {more} more, in the report'] if more > 0 else [])]


def write_report(
    path: str | Path,
    model: PiCIE,
    sources: Sequence[Source],
    *,
    title: str = 'Segments',
    history: History | None = None,
    labels: Labels | None = None,
    predict: Predict | None = None,
    settings: Mapping[str, str] | None = None,
    seconds: Mapping[str, float] | None = None,
) -> Reported:
    """Segment images and write a page that shows what each cluster is.

    The images go by once, in batches; memory does not grow with their number.

    Args:
        path (str or Path): HTML file to write, complete or not at all.
        model (PiCIE): of :func:`.prediction.load_model`.
        sources (Sequence[Source]): images, of :func:`.prediction.find_sources`.
        title (str): of the page.
        history (History, optional): of the training, for curves and scores; its counts are shown
            as the classes of the clusters if there are no ``labels``, so they must be of this
            model.
        labels (Labels, optional): of some of the images.
        predict (Callable, optional): gives the clusters of an image, (H, W) of its own size, if
            they were predicted before. By default they are predicted here, as by
            :func:`.prediction.predict_files`.
        settings (Mapping[str, str], optional): to be told about the run, by subject.
        seconds (Mapping[str, float], optional): how long what took, such as 'training'.

    Returns:
        Reported: what was written.

    Raises:
        ValueError: If no image can be read, or labels do not fit their images.
    """
    start = time.monotonic()
    gathered = _gather(model, sources, labels, predict)
    if not gathered.tally.num_images:
        raise ValueError(
            f'none of {len(sources)} images can be read, so there is nothing to report: '
            f'{gathered.failures[0]}'
        )
    took = dict(seconds or {})
    if history is not None and history.seconds and 'training' not in took:
        took = {'training': history.seconds} | took
    took['segmenting'] = time.monotonic() - start
    ratios = [image.width / image.height for image in gathered.images]
    facts = describe(model, gathered.tally, gathered.picker, labels, history)._replace(
        title=title,
        images=gathered.images,
        aspect=float(np.median(ratios)) if ratios else 4 / 3,
        failures=gathered.failures,
        settings=settings or {},
        seconds=took,
    )
    write_whole(path, render_report(facts))
    names = [called(cluster) for cluster in facts.clusters]
    return Reported(
        Path(path),
        facts.num_images,
        len(facts.images),
        [
            f'{finding.kind}: {finding.fact.format(*names)}. {finding.advice}'
            for finding in facts.findings
        ],
        gathered.failures,
    )


class _Gathered(NamedTuple):
    tally: Tally
    picker: PatchPicker
    images: list[ImageFacts]
    failures: list[str]


def _gather(
    model: PiCIE, sources: Sequence[Source], labels: Labels | None, predict: Predict | None
) -> _Gathered:
    """Let all images go by once."""
    number = model.decode_head.num_clusters
    shown = np.linspace(0, len(sources) - 1, min(len(sources), NUM_SHOWN)).round().astype(int)
    chosen = {sources[i].name for i in shown}
    max_bytes = min(_MAX_PICTURE, _PICTURE_BYTES // max(1, len(chosen)))
    tally = Tally(number, len(labels.classes) if labels else 0)
    picker = PatchPicker(number, len(sources), patch_numbers(number))
    images: list[ImageFacts] = []
    failures: list[str] = []
    for seen in track(see_images(model, sources, predict), 'Looking at segments', len(sources)):
        if isinstance(seen, str):
            failures.append(seen)
            continue
        shares = tally.add(seen)
        picker.offer(seen)
        if labels is not None:
            _add_labels(tally, seen, labels.read(seen.source))
        if seen.source.name in chosen:
            images.append(_show(seen, shares, number, max_bytes))
    return _Gathered(tally, picker, images, failures)


def patch_numbers(num_clusters: int) -> PatchNumbers:
    """How many patches each of K clusters has, so that the page stays small.

    Args:
        num_clusters (int): K.

    Returns:
        PatchNumbers: 12 and 6 up to 156 clusters, fewer of more.
    """
    numbers = PatchNumbers()
    per_cluster = _PATCH_BYTES // num_clusters
    fitting = per_cluster // _MIN_PATCH
    if fitting < numbers.nearest + numbers.rim:
        rim = max(1, fitting // 3)
        numbers = PatchNumbers(max(1, fitting - rim), rim)
    kept = numbers.nearest + numbers.rim
    return numbers._replace(max_bytes=int(np.clip(per_cluster // kept, _MIN_PATCH, _MAX_PATCH)))


def _add_labels(tally: Tally, seen: SeenImage, labels: NDArray | None) -> None:
    if labels is None:
        return
    area = labels.shape[0] * labels.shape[1]
    if area != seen.area:
        raise ValueError(
            f'the label map of {seen.source.path} has {labels.shape[1]} x {labels.shape[0]} '
            f'pixels, but the image has {seen.area:,} in all; they must have one size.'
        )
    tally.add_labels(seen, labels)


def _show(seen: SeenImage, shares: NDArray, num_clusters: int, max_bytes: int) -> ImageFacts:
    """An image as the page shows it; picture and segments share the bytes."""
    segments = encode_segments(seen.clusters, num_clusters, max_bytes // 2)
    picture = to_size(seen.detail, seen.clusters.shape)
    order = np.argsort(-shares, kind='stable')
    return ImageFacts(
        seen.source.name,
        encode_jpeg(picture, max_bytes - len(segments.text)),
        segments.width,
        segments.height,
        segments.text,
        [(int(k), float(shares[k])) for k in order if shares[k] > 0],
    )
