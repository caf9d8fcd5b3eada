"""Compare starting weights for a supervised training at several numbers of labels.

    picie few-labels configs/finetune/fcn_r18_camvid.py --out work_dirs/few_labels/fcn
        --init random=none picie=work_dirs/picie_fpn_r18_camvid/epoch_3.pth
        --fractions 0.1 1.0 --seeds 1 2 3

Each start is fine-tuned by CONFIG on each fraction of the labelled training images, once a seed,
with the budget of the config whatever the fraction. SOURCE of --init NAME=SOURCE is `none` (random
weights), `config` (what the config says), an address such as torchvision://resnet18 or
efficientnet-lite0://imagenet, or a file: a checkpoint of PiCIE or a plain backbone. `{seed}` in it
stands for the seed. The images of a fraction depend on --subset-seed alone, and those of a smaller
fraction are among those of a larger one.

OUT gets a folder a run, summary.json and summary.png. Finished runs are not repeated.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import common, outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('config', help='config of a supervised training')
    parser.add_argument('--init', nargs='+', required=True, metavar='NAME=SOURCE')
    parser.add_argument(
        '--fractions', nargs='+', type=float, default=(0.05, 0.1, 0.25, 0.5, 1.0), metavar='F'
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=(1, 2, 3))
    parser.add_argument('--subset-seed', type=int, default=0, help='of the choice of images')
    parser.add_argument('--out', required=True, type=Path, help='folder for runs and summary')
    common.add_cfg_options(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse a missing config, malformed starts and fractions out of range."""
    common.check_config(parser, args)
    inits = dict(entry.split('=', 1) for entry in args.init if '=' in entry)
    if len(inits) != len(args.init) or not all(name.isidentifier() for name in inits):
        parser.error(
            'argument --init: each entry must be NAME=SOURCE with names of letters, digits and _, '
            f'all different, but got {" ".join(args.init)}'
        )
    if min(args.seeds) < 0 or args.subset_seed < 0:
        parser.error('argument --seeds: a seed must be at least 0, and so must --subset-seed')
    outputs.check_folder(parser, '--out', args.out)
    if not all(0 < fraction <= 1 for fraction in args.fractions):
        parser.error(f'argument --fractions: must be in (0, 1], but got {args.fractions}')


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> list[dict]:
    """Run all trainings that are not done, and summarise.

    Returns:
        The rows of the summary.
    """
    from ..apis import label_study
    from ..apis.json_files import write_json
    from ..visualization.label_study_plot import draw_label_study

    cfg = common.read_config(parser, args)
    common.require(parser, args, cfg, 'model', 'train', 'val')
    inits = dict(entry.split('=', 1) for entry in args.init)
    runs = [
        label_study.Run(name, source, fraction, seed)
        for fraction in sorted(set(args.fractions))
        for name, source in inits.items()
        for seed in dict.fromkeys(args.seeds)
    ]
    results = []
    # All of them first, as a mistake should not show after hours.
    jobs = label_study.prepare(cfg, runs, args.subset_seed)
    print(*dict.fromkeys(job.remark for job in jobs if job.remark), sep='\n')
    for i, job in enumerate(jobs):
        what = f'[{i + 1}/{len(jobs)}] {job.run.init}, {job.num_images} images, seed '
        print(f'{what}{job.run.seed} ...', flush=True)
        result = label_study.execute(job, args.out / job.run.name)
        results.append((job.run, result))
        print(f'    mIoU {result["metrics"]["mIoU"]:.2f} in {result["seconds"]:.0f} s')
    rows = label_study.summarise(results)
    name = common.find_config(parser, args.config).stem
    write_json(args.out / 'summary.json', dict(config=str(args.config), rows=rows))
    draw_label_study(args.out / 'summary.png', rows, name)
    print(label_study.make_table(rows, name))
    return rows
