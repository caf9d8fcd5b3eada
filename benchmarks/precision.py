"""What bfloat16 saves and changes in frozen passes: python benchmarks/precision.py CONFIG CKPT.

The encoder of a trained checkpoint is frozen as before an epoch, and makes the pseudo-labels of
training images in float32 and in bfloat16 in turn. `agreement` is the fraction of pixels that get
the same label; `milliseconds` is the median for one view of one image.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

import common
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import load_checkpoint
from mmseg.registry import DATASETS, MODELS

from mmseg_picie.acceleration.precision import FrozenCopyIn, bfloat16_is_fast
from mmseg_picie.datasets import EpochKeySampler

DTYPES = ('float32', 'bfloat16')


def main(argv: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = common.make_parser(__doc__, repeats=5)
    common.add_config(parser)
    parser.add_argument('checkpoint', help='of a training with it, with centroids')
    parser.add_argument('--images', type=common.positive, default=64, help='(default: %(default)s)')
    args = parser.parse_args(argv)
    if args.quick:
        args.images, args.repeats = 4, 1
    header = common.make_header(args.seed)
    header['bfloat16 is fast'] = bfloat16_is_fast()
    rows: list[dict[str, Any]] = []
    for config in common.read_configs(args):
        rows += measure(config, args)
    common.publish(header, args.out, rows)


@torch.no_grad()
def measure(config: Config, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each precision."""
    common.register(config)
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model).eval()
    load_checkpoint(model, args.checkpoint, map_location='cpu')
    dataset = DATASETS.build(config.train_dataloader.dataset)
    keys = list(EpochKeySampler(dataset, seed=args.seed or 0, num_samples=args.images))
    size = config.train_dataloader.batch_size
    batches = []
    for start in range(0, len(keys), size):
        items = pseudo_collate([dataset[key] for key in keys[start : start + size]])
        data = model.data_preprocessor(items)
        views = [view.contiguous(memory_format=torch.channels_last) for view in data['inputs']]
        batches.append((views, data['data_samples']))
    frozen = {dtype: FrozenCopyIn(dtype, model.encoder) for dtype in DTYPES}
    maps: dict[str, list] = {}

    def forward(dtype: str) -> None:
        maps[dtype] = [list(model.extract_views(*batch, frozen[dtype])) for batch in batches]

    ways = {dtype: partial(common.seconds_of, partial(forward, dtype)) for dtype in DTYPES}
    common.in_turn(ways, 1)  # warm-up
    found = common.in_turn(ways, args.repeats)
    labels = {
        dtype: torch.cat([torch.stack(model.decode_head.make_labels(views)) for views in of], dim=1)
        for dtype, of in maps.items()
    }
    return [
        dict(
            view=common.view_name(config),
            dtype=dtype,
            milliseconds=1e3 * statistics.median(seconds) / (len(keys) * model.num_views),
            times_faster=statistics.median(common.round_ratios(found['float32'], seconds)),
            agreement=(labels[dtype] == labels['float32']).double().mean().item(),
        )
        for dtype, seconds in found.items()
    ]


if __name__ == '__main__':
    main()
