"""Size, time and memory of a report of many images: python benchmarks/report.py CONFIG CHECKPOINT.

The images of the training stand in the report as often as is needed for each of ``--images``. Every
figure is that of a process of its own, to which the loading of the model does not count; `bare` is
its peak before the report.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import common
from mmengine.config import Config

from mmseg_picie.apis.prediction import load_model
from mmseg_picie.apis.report import write_report
from mmseg_picie.apis.report_labels import training_images


def main(argv: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = common.make_parser(__doc__, repeats=1)
    common.add_config(parser)
    parser.add_argument('checkpoint', help='of that training')
    parser.add_argument('--images', type=common.positive, nargs='+', default=[100, 1000])
    args = parser.parse_args(argv)
    if args.quick:
        args.images = [3]

    def make_ways(config: Config) -> dict[str, partial]:
        return {
            f'{number} images': partial(common.run_child, report, config, args.checkpoint, number)
            for number in args.images
        }

    common.compare(args, make_ways, make_rows)


def report(config: Config, checkpoint: str, number: int) -> dict[str, float]:
    """Write a report of so many images."""
    common.register(config)
    images = training_images(config)
    sources = [
        image._replace(name=f'{image.name} {index}')
        for index, image in ((i, images[i % len(images)]) for i in range(number))
    ]
    model = load_model(config, checkpoint, 'cpu')
    bare = common.peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'report.html')
        start = time.perf_counter()
        done = write_report(path, model, sources)
        seconds = time.perf_counter() - start
        size = path.stat().st_size / 1e6
    return dict(
        images=number,
        shown=done.num_shown,
        megabytes=size,
        seconds=seconds,
        bare_mib=bare,
        above_bare_mib=common.peak_mib() - bare,
    )


def make_rows(found: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """One row for each number of images."""
    return [dict(report=name, **common.medians(records)) for name, records in found.items()]


if __name__ == '__main__':
    main()
