"""From counts to what a report shows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..clustering import UNMATCHED, class_scores, match_clusters, to_class_confusion
from ..clustering.naming import distinct_palette
from ..models import PiCIE
from ..visualization.report import (
    ClassShare,
    ClusterFacts,
    Finding,
    Neighbour,
    ReportFacts,
    findings,
)
from ..visualization.report.pictures import describe_places, encode_places
from .cluster_names import fingerprint
from .report_labels import Labels
from .report_patches import PatchPicker
from .report_tally import Tally
from .run_history import History

_NUM_NEIGHBOURS = 3
_NUM_CLASSES = 4


def describe(
    model: PiCIE,
    tally: Tally,
    picker: PatchPicker,
    labels: Labels | None = None,
    history: History | None = None,
) -> ReportFacts:
    """Turn counts into what the page shows.

    Args:
        model (PiCIE): whose clusters they are.
        tally (Tally): counts of all images.
        picker (PatchPicker): has seen them, too.
        labels (Labels, optional): of some of them.
        history (History, optional): of the training.

    Returns:
        ReportFacts: without images, title, times and settings.
    """
    classes, confusion, of = _classes(tally, labels, history)
    scores = dict(history.scores) if history is not None else {}
    if labels is not None and confusion.any():
        found = class_scores(to_class_confusion(confusion, match_clusters(confusion)))
        scores = {'pixel accuracy': 100 * found.accuracy, 'mIoU': 100 * found.mean_iou}
    return ReportFacts(
        title='',
        num_images=tally.num_images,
        clusters=_describe_clusters(model, tally, picker, classes, confusion),
        images=[],
        aspect=4 / 3,
        model=fingerprint(model.state_dict()),
        view=model.decode_head.predict_views[0],
        findings=_find(tally),
        curves=history.curves if history is not None else [],
        scores={name: f'{value:.1f} %' for name, value in scores.items()},
        classes_of=of,
    )


def _classes(
    tally: Tally, labels: Labels | None, history: History | None
) -> tuple[Sequence[str], NDArray[np.int64], str]:
    """Names of C classes, (C, K) pixels, and of which images they are."""
    number = len(tally.pixels)
    if labels is not None and tally.confusion.any():
        return labels.classes, tally.confusion, f'{labels.of} ({tally.num_labelled})'
    if history is not None and history.counts is not None:
        classes, confusion, _ = history.counts
        if confusion.shape[1] == number:
            return classes, confusion, "the training's validation images"
    return [], np.zeros((0, number), np.int64), ''


def _find(tally: Tally) -> list[Finding]:
    counts = tally.pixels
    return [
        *findings.find_dominant(counts),
        *findings.find_collapsed(counts),
        *findings.find_alike(tally.cosines(), counts),
        *findings.find_borders(tally.inner, counts),
        *findings.find_in_one_image(tally.largest, counts, tally.largest_names, tally.num_images),
    ]


def _describe_clusters(
    model: PiCIE,
    tally: Tally,
    picker: PatchPicker,
    classes: Sequence[str],
    confusion: NDArray[np.int64],
) -> list[ClusterFacts]:
    head = model.decode_head
    number = head.num_clusters
    view = head.predict_views[0]
    known = head.cluster_to_class[view].cpu().numpy() != UNMATCHED
    names, colours = head.name_clusters(view)
    own = distinct_palette(number)
    cosines = tally.cosines()
    total = max(1.0, tally.pixels.sum())
    described = []
    for k in range(number):
        near = [i for i in np.argsort(-cosines[k], kind='stable') if i != k and tally.pixels[i]]
        is_empty = not tally.places[k].any()
        described.append(
            ClusterFacts(
                cluster=k,
                name=names[k] if known[k] else '',
                colour=_colour(colours[k]),
                own_colour=_colour(own[k]),
                share=float(tally.pixels[k] / total),
                num_images=int(tally.images[k]),
                nearest=picker.nearest(k),
                rim=picker.rim(k),
                mean_colour=tally.mean_colour(k),
                places='' if is_empty else encode_places(tally.places[k]),
                place_words='' if is_empty else describe_places(tally.places[k]),
                neighbours=[]
                if is_empty
                else [Neighbour(int(i), float(cosines[k, i])) for i in near[:_NUM_NEIGHBOURS]],
                classes=_class_shares(confusion[:, k], classes),
            )
        )
    return described


def _class_shares(counts: NDArray, classes: Sequence[str]) -> list[ClassShare]:
    order = np.argsort(-counts, kind='stable')[:_NUM_CLASSES]
    total = counts.sum()
    return [ClassShare(classes[c], float(counts[c] / total)) for c in order if counts[c]]


def _colour(values: Sequence[int]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in values)
    return red, green, blue
