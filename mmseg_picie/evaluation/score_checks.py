"""Scores that tell nothing: of labels that cannot be meant, or of clusters that have collapsed."""

import logging
from collections.abc import Sequence

import numpy as np
from mmengine.logging import print_log
from numpy.typing import NDArray

from ..clustering import Scores

#: A cluster with a larger share of all pixels tells little about them.
MAX_SHARE = 0.9


def check_labels(confusion: NDArray, classes: Sequence[str]) -> None:
    """Refuse labels without any class, and say so where there is only one of several.

    Args:
        confusion (NDArray): (C, K) pixels.
        classes (Sequence[str]): C names.

    Raises:
        ValueError: If no pixel has a class.
    """
    found = np.flatnonzero(confusion.sum(axis=1))
    if not len(found):
        raise ValueError(
            'no pixel of the labels has a class, so there is nothing to score; check the label '
            'maps by `picie check-data`.'
        )
    if len(found) == 1 and len(classes) > 1:
        print_log(
            f'all labels are {classes[found[0]]} or have no class, so the scores tell nothing; '
            'in masks of black and white, convert 255 to 1.',
            logger='current',
            level=logging.WARNING,
        )


def warn_of_collapse(confusion: NDArray, scores: Scores) -> None:
    """Say so where the clusters tell hardly anything about the images.

    Args:
        confusion (NDArray): (C, K) pixels.
        scores (Scores): after the match.
    """
    shares = confusion.sum(axis=0) / max(1, confusion.sum())
    found = scores.iou[~np.isnan(scores.iou)]
    num_matched = np.count_nonzero(np.round(100 * found, 2))
    num_possible = min(len(found), len(shares))
    if num_possible > 1 and (shares.max() > MAX_SHARE or 2 * num_matched < num_possible):
        print_log(
            f'the clusters have collapsed: the largest covers {100 * shares.max():.0f} % of the '
            f'pixels, and {len(found) - num_matched} of {len(found)} classes score 0; start from '
            'pretrained weights, lower the learning rate, or go back to an earlier epoch.',
            logger='current',
            level=logging.WARNING,
        )
