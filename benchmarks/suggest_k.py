"""How near `picie suggest-k` comes to the best number of clusters, where there are labels.

python benchmarks/suggest_k.py CONFIG. Images, encoder and clusterings are those of the command,
before any training; labels of validation images then score the same clusters. mIoU is over all
classes of the data set, under a one-to-one match: pixels of a cluster without a class are errors,
and a class without a cluster has an IoU of 0, so neither too few clusters nor too many are
rewarded. The adjusted Rand index of clusters and classes, which needs no match, stands beside it.
The last table weighs rules by what they lose on the best number.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import common
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.runner import Runner
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch.utils.data import DataLoader, Subset

from mmseg_picie.apis import suggest_k as product
from mmseg_picie.apis.cluster_figures import NUM_ITERS, limit_number, measure_numbers
from mmseg_picie.apis.feature_sample import build_untrained, embed, gather_features
from mmseg_picie.clustering import (
    class_scores,
    confusion_matrix,
    match_clusters,
    merge_scores,
    to_class_confusion,
)
from mmseg_picie.clustering.cluster_numbers import FittedClusters, fit_clusters, spaced_numbers
from mmseg_picie.engine.distributed import unwrap_model

Table = list[dict[str, float]]
#: Rules that the advice is compared with: of the table of figures, the index of a row.
RULES: dict[str, Callable[[Table], int]] = {
    'knee of the inertia': lambda table: int(knee_heights(table).argmax()),
    'highest silhouette': lambda table: argmax(table, 'silhouette'),
    'highest seed agreement': lambda table: argmax(table, 'seed agreement'),
    'highest prediction strength': lambda table: argmax(table, 'prediction strength'),
    'highest size entropy': lambda table: argmax(table, 'size entropy'),
    'always 12': lambda table: nearest(table, 12),
    'always 16': lambda table: nearest(table, 16),
    'always 20': lambda table: nearest(table, 20),
    'always 24': lambda table: nearest(table, 24),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = common.make_parser(__doc__)
    common.add_config(parser)
    parser.add_argument('--min', type=common.positive, default=2)
    parser.add_argument('--max', type=common.positive, default=40)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument(
        '--images', type=common.positive, default=60, help='labelled images, spread evenly'
    )
    parser.add_argument('--work-dir', default='work_dirs/suggest-k', help='for the log')
    args = parser.parse_args(argv)
    if args.quick:
        args.max, args.seeds, args.images = args.min + 2, args.seeds[:1], 3
    (config,) = common.read_configs(args)
    common.register(config)
    config.work_dir = args.work_dir
    header = common.make_header(args.seed)
    runner = build_untrained(config)
    sample = gather_features(runner, product.NUM_IMAGES, product.NUM_POINTS)
    limit = limit_number(sample, args.min, args.max)
    numbers = spaced_numbers(args.min, limit)
    points, ratio = sample.points.flatten(0, 1), sample.centroids_per_cluster
    fits = {
        (number, seed): fit_clusters(points, number, ratio, NUM_ITERS, seed)
        for number in numbers
        for seed in args.seeds
    }
    confusions = count(runner, fits, args.images)
    table = measure_numbers(sample, numbers, args.seeds)
    rows = [dict(row) | score([confusions[row['K'], seed] for seed in args.seeds]) for row in table]
    classes = len(next(iter(confusions.values())))
    common.publish(header, args.out, rows, correlate(rows), weigh(table, rows, classes))


@torch.no_grad()
def count(
    runner: Runner, fits: dict[tuple[int, int], FittedClusters], images: int
) -> dict[tuple[int, int], NDArray]:
    """Confusion matrices (C, K) of each clustering on labelled validation images."""
    model, dataset = unwrap_model(runner), runner.val_dataloader.dataset
    classes = len(dataset.metainfo['classes'])
    chosen = np.linspace(0, len(dataset) - 1, min(images, len(dataset))).round().astype(int)
    loader = DataLoader(
        Subset(dataset, chosen.tolist()), 8, collate_fn=runner.val_dataloader.collate_fn
    )
    found = {key: np.zeros((classes, key[0]), np.int64) for key in fits}
    for batch in loader:
        maps = embed(model, batch)
        labels = torch.cat([s.gt_sem_seg.data for s in batch['data_samples']]).numpy()
        for (number, seed), fitted in fits.items():
            scores = F.conv2d(maps, fitted.centroids[:, :, None, None])
            scores = merge_scores(scores, fitted.merged, number)
            scores = F.interpolate(scores, labels.shape[1:], mode='bilinear', align_corners=False)
            clusters = scores.argmax(1).cpu().numpy()
            found[number, seed] += confusion_matrix(
                labels, clusters, classes, number, dataset.ignore_index
            )
    return found


def score(confusions: Sequence[NDArray]) -> dict[str, float]:
    """Scores of one number of clusters, over seeds."""
    found = [
        class_scores(to_class_confusion(counts, match_clusters(counts))).mean_iou * 100
        for counts in confusions
    ]
    return {
        'mIoU': statistics.mean(found),
        'mIoU dev': statistics.stdev(found) if len(found) > 1 else 0.0,
        'Rand': statistics.mean(rand_of_counts(counts) for counts in confusions),
    }


def rand_of_counts(counts: NDArray) -> float:
    """Adjusted Rand index of clusters and classes from their confusion matrix."""
    together, by_class, by_cluster, everything = (
        float((part * (part - 1.0) / 2).sum())
        for part in (counts, counts.sum(1), counts.sum(0), counts.sum())
    )
    chance = by_class * by_cluster / everything
    return (together - chance) / ((by_class + by_cluster) / 2 - chance)


def correlate(rows: Table) -> list[dict]:
    """Spearman's rank correlation of each figure with the scores, over numbers of clusters."""
    figures = [name for name in rows[0] if name not in ('K', 'mIoU', 'mIoU dev', 'Rand')]
    return [
        {'figure': figure}
        | {
            f'rank correlation with {name}': float(
                spearmanr([row[figure] for row in rows], [row[name] for row in rows]).statistic
            )
            for name in ('mIoU', 'Rand')
        }
        for figure in figures
    ]


def weigh(table: Table, rows: Table, classes: int) -> list[dict]:
    """What each rule chooses and loses."""
    best = {name: max(row[name] for row in rows) for name in ('mIoU', 'Rand')}
    chosen = {
        'best mIoU': argmax(rows, 'mIoU'),
        'best Rand': argmax(rows, 'Rand'),
        'picie suggest-k': nearest(table, product.choose(table).k),
        **{name: rule(table) for name, rule in RULES.items()},
        'number of classes': nearest(table, classes),
    }
    return [
        {'rule': name, 'K': rows[index]['K'], 'mIoU': rows[index]['mIoU']}
        | {f'loss of {key}': best[key] - rows[index][key] for key in best}
        for name, index in chosen.items()
    ]


def knee_heights(table: Table) -> NDArray:
    """How far the inertia lies below the line between its ends; most so at its knee.

    The "kneedle" rule (Satopaa et al. 2011), on axes from 0 to 1. It depends on the largest number
    that was tried.
    """
    x, y = (np.array([row[name] for row in table], float) for name in ('K', 'inertia'))
    return (y[0] - y) / (y[0] - y[-1]) - (x - x[0]) / (x[-1] - x[0])


def argmax(table: Table, name: str) -> int:
    """The row with the largest figure; the first one if none is known."""
    values = np.array([row[name] for row in table])
    return 0 if np.isnan(values).all() else int(np.nanargmax(values))


def nearest(table: Table, number: int) -> int:
    """The row whose number of clusters is nearest."""
    return int(np.argmin([abs(row['K'] - number) for row in table]))


if __name__ == '__main__':
    main()
