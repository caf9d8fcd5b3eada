"""Advise a number of clusters for images without labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.config import Config
from prettytable import PrettyTable, TableStyle

from ..clustering.cluster_numbers import spaced_numbers
from ..visualization.cluster_number_plot import draw_cluster_numbers
from .cluster_figures import limit_number, measure_numbers
from .feature_sample import build_untrained, gather_features
from .json_files import write_json

#: Images and pixels of all of them that are looked at, at most.
NUM_IMAGES, NUM_POINTS = 200, 10_000
#: Prediction strength from which pixels of a cluster stay together more often than not.
LEAST_STRENGTH = 0.5
#: Clusters below which, on all data sets that were measured, more of them scored higher.
ENOUGH = 20
#: Silhouette above which clusters lie apart (Kaufman and Rousseeuw 1990).
CLEAR_SILHOUETTE = 0.5


class Advice(NamedTuple):
    """How many clusters to ask for.

    Attributes:
        k (int): the advice.
        reason (str): why, in a sentence.
        table (list[dict[str, float]]): a row for each number that was tried, of
            :func:`.cluster_figures.measure_numbers`.
    """

    k: int
    reason: str
    table: list[dict[str, float]]


def suggest_k(
    cfg: Config,
    seeds: Sequence[int] = (0, 1, 2),
    smallest: int = 2,
    largest: int = 40,
    device: str | None = None,
    verbose: bool = True,
) -> Advice:
    """Try numbers of clusters on features before any training, and advise one.

    docs/clusters.md says what is measured and how far the advice can be trusted.

    Args:
        cfg (Config): of a PiCIE training, with a ``work_dir``; its number of clusters does not
            matter.
        seeds (Sequence[int]): of the clusterings; two or more tell how far they agree.
        smallest (int): number of clusters to begin with, at least 2.
        largest (int): number to end with; fewer if the images do not hold as many.
        device (str, optional): such as 'cuda:0'; mmengine's choice by default.
        verbose (bool): as of :func:`.runs.build_runner`.

    Returns:
        Advice: the same for the same config, seeds and machine.

    Raises:
        ValueError: If the range or the seeds make no sense, the config is of no PiCIE, or the
            images do not hold ``smallest`` clusters.
    """
    check_range(seeds, smallest, largest)
    sample = gather_features(build_untrained(cfg, device, verbose), NUM_IMAGES, NUM_POINTS)
    numbers = spaced_numbers(smallest, limit_number(sample, smallest, largest))
    return choose(measure_numbers(sample, numbers, seeds))


def check_range(seeds: Sequence[int], smallest: int, largest: int) -> None:
    """Refuse numbers that make no sense.

    Args:
        seeds (Sequence[int]): as of :func:`suggest_k`.
        smallest (int): likewise.
        largest (int): likewise.

    Raises:
        ValueError: If they make none.
    """
    if not 2 <= smallest <= largest:
        raise ValueError(
            'numbers of clusters must be at least 2, and the smallest at most the largest, but got '
            f'{smallest} to {largest}; give others.'
        )
    good = all(0 <= seed < 1 << 31 for seed in seeds) and len(set(seeds)) == len(seeds) > 0
    if not good:
        raise ValueError(
            'seeds must be different numbers from 0 to 2147483647, at least one, but got '
            f'{list(seeds)}; give others.'
        )


def choose(table: Sequence[dict[str, float]]) -> Advice:
    """Advise a number: as many clusters as other images confirm, and enough to tell things apart.

    Clusters can be merged by hand, but not split. So it is the largest number with a prediction
    strength of at least :data:`LEAST_STRENGTH`, or the first that was tried from :data:`ENOUGH` on
    if that is more. Where clusters lie apart, which those of photographs hardly do, it is the
    number with the highest silhouette. docs/clusters.md says what this is worth.

    Args:
        table (Sequence[dict]): of :func:`.cluster_figures.measure_numbers`.

    Returns:
        Advice: with this table.
    """
    by_number = {int(row['K']): row for row in table}
    apart = _highest(by_number, 'silhouette')
    if by_number[apart]['silhouette'] > CLEAR_SILHOUETTE:
        reason = (
            f'their clusters lie apart, as the silhouette is highest there, at '
            f'{by_number[apart]["silhouette"]:.2f}'
        )
        return Advice(apart, f'{apart} clusters: {reason}.', list(table))
    strength = {number: row['prediction strength'] for number, row in by_number.items()}
    held = [number for number, value in strength.items() if value >= LEAST_STRENGTH]
    k = held[-1] if held else _highest(by_number, 'prediction strength')
    rule = 'pixels of a cluster stay together more often than not when other images are clustered'
    if not held:
        reason = f'of no number that was tried do {rule}, and of this one they do so most'
    elif k == max(by_number):
        reason = f'even of the largest number that was tried, {rule}'
    else:
        reason = f'the most of which {rule}'
    figure = f'prediction strength {strength[k]:.2f}'
    enough = min((number for number in by_number if number >= ENOUGH), default=k)
    if k < enough:
        reason = (
            f'fewer than about {ENOUGH} may leave things together that differ, and those that '
            f'belong together can be merged; other images confirm {k}'
        )
        k = enough
    return Advice(k, f'{k} clusters: {reason} ({figure}).', list(table))


def _highest(by_number: dict[int, dict[str, float]], figure: str) -> int:
    """The number with the largest figure; the smallest one if none is known."""
    known = [n for n, row in by_number.items() if not np.isnan(row[figure])]
    return max(known, key=lambda n: by_number[n][figure], default=min(by_number))


def describe_table(table: Sequence[dict[str, float]]) -> str:
    """The figures as lines of text.

    Args:
        table (Sequence[dict]): of :class:`Advice`.
    """
    lines = PrettyTable([*table[0]])
    lines.set_style(TableStyle.MARKDOWN)
    lines.align = 'r'
    for row in table:
        number, *figures = row.values()
        lines.add_row([number, *(f'{figure:.3f}' for figure in figures)])
    return lines.get_string()


def write_advice(folder: Path, advice: Advice, images: str, seeds: Sequence[int]) -> list[Path]:
    """Write an advice as ``suggest_k.json`` and ``suggest_k.png``.

    Args:
        folder (Path): where to.
        advice (Advice): of :func:`suggest_k`.
        images (str): what was looked at, to be told.
        seeds (Sequence[int]): of the clusterings, likewise.

    Returns:
        list[Path]: the two files.
    """
    files = [folder / f'suggest_k.{suffix}' for suffix in ('json', 'png')]
    write_json(files[0], dict(images=images, seeds=list(seeds)) | advice._asdict())
    draw_cluster_numbers(files[1], advice.table, advice.k, images)
    return files
