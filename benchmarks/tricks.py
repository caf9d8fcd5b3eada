"""What each measure for speed is worth: python benchmarks/tricks.py CONFIG.

Every row is a training of some epochs in a process of its own: with all of `AccelerationHook` and
mimalloc, with one of these left out, and with none. `compile trained` and `compile frozen` try
`torch.compile` on the trained backbone, and on the frozen copy of the encoder; they run only where
`--rows` names them, the former without `recomputing`, which the compiler does not take. Rows take
turns, and a ratio is the median of those to `everything on` in the same round. `seconds` is
clustering and training of the last epoch, `first_epoch` that of the first, in which things are
compiled. Nothing is evaluated.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

import common
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmseg_picie.acceleration import precision
from mmseg_picie.acceleration.hook import MEASURES

ON, OFF = 'everything on', 'everything off'
NO_MIMALLOC = 'mimalloc off'
ROWS = (ON, *(f'{name} off' for name in MEASURES), NO_MIMALLOC, OFF)
OPTIONAL = ('compile trained', 'compile frozen')


def main(argv: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = common.make_parser(__doc__)
    common.add_config(parser)
    parser.add_argument('--epochs', type=common.positive, default=2)
    parser.add_argument(
        '--rows', nargs='+', choices=(*ROWS, *OPTIONAL), metavar='ROW', help=', '.join(ROWS[1:])
    )
    args = parser.parse_args(argv)
    names = dict.fromkeys([ON, *(args.rows or ([OFF] if args.quick else ROWS))])  # each once

    def make_ways(config: Config) -> dict[str, partial]:
        return {
            name: partial(
                common.run_child,
                measure,
                config,
                name,
                args.epochs,
                mimalloc=name not in (NO_MIMALLOC, OFF),
            )
            for name in names
        }

    common.compare(args, make_ways, make_rows)


def measure(config: Config, row: str, epochs: int) -> dict[str, float]:
    """Train in the way of a row."""
    config = copy.deepcopy(config)
    config.train_cfg.val_begin = epochs + 1
    if row == OFF:
        config.default_hooks.acceleration.enabled = False
    elif row == 'compile frozen':
        plain = precision.FrozenCopyIn.forward
        precision.FrozenCopyIn.forward = torch.compile(plain)
    elif row == 'compile trained':
        MEASURES.pop('recomputing', None)
    elif row.endswith(' off') and row != NO_MIMALLOC:
        del MEASURES[row.removesuffix(' off')]
    seconds = [
        parts['clustering'] + parts['training']
        for parts in common.train(config, epochs, _compile if row == 'compile trained' else None)
    ]
    return dict(seconds=seconds[-1], first_epoch=seconds[0], peak_mib=common.peak_mib())


def _compile(runner: Runner) -> None:
    runner.model.backbone.compile()


def make_rows(found: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """One row for each way: medians, and medians of the ratios of each round."""
    rows = []
    for name, records in found.items():
        ratios = {
            key: common.round_ratios(
                *([record[key] for record in way] for way in (records, found[ON]))
            )
            for key in records[0]
        }
        row = dict(row=name, **common.medians(records))
        row['ratio'] = statistics.median(ratios['seconds'])
        row['peak_ratio'] = statistics.median(ratios['peak_mib'])
        rows.append(row)
    return rows


if __name__ == '__main__':
    main()
