"""What bfloat16 saves and changes in passes that nothing is trained through.

    python benchmarks/precision.py CONFIG CHECKPOINT

The encoder of a trained checkpoint makes the pseudo-labels of a batch of training images, as in an
epoch, in float32 and in bfloat16 in turn. `agreement` is the fraction of pixels that get the same
label; `milliseconds` is the median for one view of one image.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

if __name__ == '__main__':  # as a training does
    from start import restart_with_mimalloc

    restart_with_mimalloc()

import torch
from mmengine.dataset import pseudo_collate
from mmengine.runner import load_checkpoint
from mmseg.registry import DATASETS, MODELS
from report import add_output, in_turn, make_header, publish, seconds_of
from run_config import add_sizes, register, set_sizes, view_size

from mmseg_picie.datasets import EpochKeySampler
from mmseg_picie.engine import cli
from mmseg_picie.engine.host import keep_freed_memory
from mmseg_picie.models.precision import bfloat16_is_fast

DTYPES = ('float32', 'bfloat16')


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure as the command line says.

    Args:
        argv: Words of the command line; None takes those of this process.

    Returns:
        The content of the JSON file.
    """
    parser = argparse.ArgumentParser(description='Compare labels and times in two precisions.')
    parser.add_argument('config', help='config file of a PiCIE training')
    parser.add_argument('checkpoint', help='of a training with it, with centroids')
    parser.add_argument('--images', type=int, default=64, help='number (default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=5, help='rounds (default: %(default)s)')
    add_sizes(parser, several=True)
    parser.add_argument('--seed', type=int, default=0, help='(default: %(default)s)')
    add_output(parser, quick='few images, to try it out')
    cli.add_cfg_options(parser)
    args = cli.parse_args(parser, argv)
    config = cli.read_config(parser, args)
    cli.require_checkpoint(parser, 'checkpoint', args.checkpoint)
    for name in ('images', 'repeats'):
        if getattr(args, name) < 1:
            parser.error(f'argument --{name}: must be at least 1, but got {getattr(args, name)}')
    if args.quick:
        args.images, args.repeats = 4, 1
    register(config)
    header = make_header(args.seed)
    header['bfloat16 is fast'] = bfloat16_is_fast()
    keep_freed_memory()
    rows: list[dict[str, Any]] = []
    for sizes in args.sizes or [None]:
        sized = copy.deepcopy(config)
        set_sizes(sized, sizes)
        rows += measure(sized, args)
    return publish(header, rows, args.out)


@torch.no_grad()
def measure(config: Any, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each precision."""
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model).eval()
    load_checkpoint(model, args.checkpoint, map_location='cpu')
    dataset = DATASETS.build(config.train_dataloader.dataset)
    keys = list(EpochKeySampler(dataset, seed=args.seed, num_samples=args.images))
    size = config.train_dataloader.batch_size
    batches = [
        model.data_preprocessor(pseudo_collate([dataset[key] for key in keys[i : i + size]]))
        for i in range(0, len(keys), size)
    ]
    labels: dict[str, torch.Tensor] = {}

    def label(dtype: str) -> float:
        model.frozen_dtype = dtype
        maps: list = []
        seconds = seconds_of(
            lambda: maps.extend(
                model.extract_frozen_views(batch['inputs'], batch['data_samples'])
                for batch in batches
            )
        )
        head = model.decode_head
        labels[dtype] = torch.stack(
            [
                torch.cat([head.label(head.embed(views[view]), view) for views in maps])
                for view in range(model.num_views)
            ]
        )
        return seconds

    ways = {dtype: partial(label, dtype) for dtype in DTYPES}
    in_turn(ways, 1)  # warm-up
    found = {
        name: statistics.median(values) for name, values in in_turn(ways, args.repeats).items()
    }
    height, width = view_size(config)
    same = (labels['bfloat16'] == labels['float32']).double().mean().item()
    return [
        dict(
            view=f'{height}x{width}',
            dtype=dtype,
            milliseconds=1e3 * seconds / (len(keys) * model.num_views),
            times_faster=found['float32'] / seconds,
            agreement=1.0 if dtype == 'float32' else same,
        )
        for dtype, seconds in found.items()
    ]


if __name__ == '__main__':
    main()
