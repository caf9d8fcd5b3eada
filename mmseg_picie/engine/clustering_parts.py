"""How the images of a clustering pass are cut into forward passes and batches."""

from typing import NamedTuple


class Part(NamedTuple):
    """Images that belong to one forward pass and to one batch.

    Attributes:
        images (slice): which images of the forward pass.
        is_initial (bool): whether the batch is one of the initial fit.
        ends_batch (bool): whether no other part of the batch follows.
    """

    images: slice
    is_initial: bool
    ends_batch: bool


def plan_parts(
    num_images: int, per_forward: int, per_batch: int, num_init_batches: int
) -> list[list[Part]]:
    """Cut a rank's images into forward passes, and these where a batch ends.

    All ranks follow the plan of the one with most images, so that they communicate at the same
    parts; where another rank lacks the last image, its part is shorter or empty.

    Args:
        num_images (int): images of the rank.
        per_forward (int): images of a forward pass, at least 1; the last may have fewer.
        per_batch (int): images of a batch, at least 1; likewise.
        num_init_batches (int): batches of the initial fit.

    Returns:
        list[list[Part]]: for each forward pass its parts, in the order of the images.
    """
    plan = []
    for first in range(0, num_images, per_forward):
        last = min(first + per_forward, num_images)
        next_batch = (first // per_batch + 1) * per_batch
        edges = [first, *range(next_batch, last, per_batch), last]
        plan.append(
            [
                Part(
                    slice(start - first, stop - first),
                    start < num_init_batches * per_batch,
                    stop % per_batch == 0 or stop == num_images,
                )
                for start, stop in zip(edges[:-1], edges[1:], strict=True)
            ]
        )
    return plan
