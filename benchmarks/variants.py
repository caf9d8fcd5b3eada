"""What each part of PiCIE-M is worth: python benchmarks/variants.py CONFIG --seeds 1 2 3.

CONFIG is PiCIE's, such as configs/picie_fpn_efficientnet-lite0_camvid.py. Every row is a change of
it, trained under all seeds by `picie compare`, which goes on where it was interrupted. Scores are
those of the last epoch, of the first view that predicts; `first` is that after one epoch; `best` is
the epoch with the highest mean mIoU, which looks at labels, so it tells of decay alone.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import common

from mmseg_picie.apis.score_logs import read_curves
from mmseg_picie.cli import main as picie
from mmseg_picie.models.normalisation import IMAGENET

DECODER = {'default_hooks.decoder.type': 'PrincipalDecoderHook'}
MERGED = {'model.decode_head.centroids_per_cluster': 5}
WARM = {'default_hooks.clustering.warm_start': True}
KEPT = {'default_hooks.clustering.num_clusterings': 2}
# EfficientNet-Lite0's weights want 127.5 for both, which lowers contrast to less than a half.
MEAN = {'model.data_preprocessor.mean': IMAGENET[0]}
STD = {'model.data_preprocessor.std': IMAGENET[1]}
RECIPE = DECODER | MERGED | WARM | KEPT
#: Row -> what it changes of PiCIE.
VARIANTS = {
    'PiCIE': {},
    'principal decoder': DECODER,
    'merged centroids': MERGED,
    'warm start': WARM,
    'decoder, merged': DECODER | MERGED,
    'decoder, merged, warm': DECODER | MERGED | WARM,
    'PiCIE-M': RECIPE,
    'M, clusters of epoch 1 kept': RECIPE | {'default_hooks.clustering.num_clusterings': 1},
    'M, clusters of epoch 3 kept': RECIPE | {'default_hooks.clustering.num_clusterings': 3},
    'M, 10 centroids a cluster': RECIPE | {'model.decode_head.centroids_per_cluster': 10},
    'M, class weight none': RECIPE | {'model.decode_head.class_weight': 'none'},
    'M, class weight balanced': RECIPE | {'model.decode_head.class_weight': 'balanced'},
    'M, a third of the rate': RECIPE | {'rate': 1 / 3},
    'PiCIE, class weight none': {'model.decode_head.class_weight': 'none'},
    'PiCIE, mean of ImageNet': MEAN,
    'PiCIE, deviation of ImageNet': STD,
    'PiCIE, mean and deviation of ImageNet': MEAN | STD,
    'M, mean and deviation of ImageNet': RECIPE | MEAN | STD,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Train and score as the command line says."""
    parser = common.make_parser(__doc__)
    common.add_config(parser)
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    parser.add_argument(
        '--rows', nargs='+', choices=VARIANTS, metavar='ROW', default=list(VARIANTS)
    )
    parser.add_argument('--epochs', type=common.positive, help="(default: the config's own)")
    parser.add_argument('--work-dir', default='work_dirs/variants', help='(default: %(default)s)')
    args = parser.parse_args(argv)
    header = common.make_header(args.seed)
    folder = Path(args.work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(args.rows))[: 2 if args.quick else None]
    seeds = args.seeds[:1] if args.quick else args.seeds
    paths = [write_config(args, folder, name) for name in names]
    words = ['compare', *map(str, paths), '--work-dir', str(folder), '--seeds', *map(str, seeds)]
    with contextlib.redirect_stdout(sys.stderr):  # the table of this script is the only one
        report = picie(words)
    rows = []
    for name, path in zip(names, paths, strict=True):
        metrics = report['rows'][path.stem]['metrics']
        curves = [read_curves(folder / path.stem / f'seed_{seed}') for seed in seeds]
        means = {
            epoch: statistics.mean(curve[epoch]['mIoU'] for curve in curves) for epoch in curves[0]
        }
        row: dict[str, object] = dict(variant=name)
        for key in ('aAcc', 'mIoU', 'view1/mIoU'):
            if key in metrics:
                row[key] = metrics[key]['mean']
                row[f'{key} dev'] = metrics[key]['std'] or 0.0
        best = max(means, key=lambda epoch: means[epoch])
        first = means[min(means)]
        rows.append(row | {'first mIoU': first, 'best mIoU': means[best], 'best epoch': best})
    common.publish(header, args.out, rows)


def write_config(args: argparse.Namespace, folder: Path, name: str) -> Path:
    """Write the config of a row, with everything in it."""
    (config,) = common.read_configs(args)
    changes = dict(VARIANTS[name])
    rate = changes.pop('rate', 1)
    config.merge_from_dict(changes)
    config.optim_wrapper.optimizer.lr *= rate
    if args.epochs:
        config.train_cfg.max_epochs = args.epochs
    path = folder / f'{re.sub("[^a-z0-9]+", "-", name.lower())}.py'
    config.dump(path)
    return path


if __name__ == '__main__':
    main()
