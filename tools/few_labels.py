r"""Compare starting weights at several numbers of labels: tools/few_labels.py CONFIG [options].

    python tools/few_labels.py configs/finetune/fcn_r18_camvid.py --out work_dirs/few_labels/fcn \
        --init random=none picie=work_dirs/picie_fpn_r18_camvid/epoch_3.pth \
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
import copy
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from mmseg_picie.engine import cli
from mmseg_picie.engine.backbone_weights import set_weights
from mmseg_picie.engine.json_files import write_json
from mmseg_picie.engine.label_study import (
    FRACTIONS,
    Run,
    choose_images,
    draw_curves,
    print_table,
    summarise,
)

TRAIN = Path(__file__).with_name('train.py')


def prepare(cfg: Config, run: Run, images: list[int]) -> tuple[Config, str]:
    """Make the config of one run.

    Args:
        cfg: Config that all runs share.
        run: The run.
        images: Indices of the images whose labels are used.

    Returns:
        The config, which keeps no checkpoint, as only the score is wanted; and what there is to
            say about its starting weights.
    """
    cfg = copy.deepcopy(cfg)
    remark = set_weights(cfg, run.source.format(seed=run.seed))
    cfg.train_dataloader.dataset.indices = images
    cfg.randomness = dict(cfg.get('randomness') or {}, seed=run.seed)
    cfg.default_hooks.checkpoint.update(interval=-1, save_last=False)
    cfg.load_from, cfg.resume = None, False
    return cfg, remark


def fingerprint(cfg: Config) -> str:
    """What a finished run is recognised by: a hash of its settings and of its starting weights."""
    settings = {name: value for name, value in cfg.to_dict().items() if name != 'work_dir'}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    source = (cfg.model.backbone.get('init_cfg') or {}).get('checkpoint', '')
    if source and Path(source).is_file():
        digest.update(Path(source).read_bytes())
    return digest.hexdigest()


def execute(cfg: Config, folder: Path) -> dict:
    """Train in a process of its own, or read what it left when it was done before.

    Args:
        cfg: Config of the run.
        folder: Of the run.

    Returns:
        `metrics` of the last validation and `seconds`.

    Raises:
        ValueError: If the folder holds a run with other settings.
        RuntimeError: If the training fails.
    """
    result_file, key = folder / 'result.json', fingerprint(cfg)
    if result_file.is_file():
        result = json.loads(result_file.read_text())
        if result['fingerprint'] != key:
            raise ValueError(
                f'{folder} holds a run with other settings or starting weights; give another '
                '--out, or remove that folder.'
            )
        return result
    folder.mkdir(parents=True, exist_ok=True)
    cfg.dump(folder / 'run.py')
    start = time.time()
    with open(folder / 'output.txt', 'w') as output:
        words = [sys.executable, TRAIN, folder / 'run.py', '--work-dir', folder / 'train']
        done = subprocess.run(list(map(str, words)), stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(f'the training failed; {folder / "output.txt"} says why.')
    logs = [p for p in folder.glob('train/*/vis_data/scalars.json') if p.stat().st_mtime >= start]
    records = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    scores = [record for record in records if 'mIoU' in record]
    if not scores:
        raise RuntimeError(f'{folder} has no mIoU; the config must validate with IoUMetric.')
    result = dict(fingerprint=key, metrics=scores[-1], seconds=round(time.time() - start, 1))
    write_json(result_file, result)
    return result


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(description='Compare starting weights at few labels.')
    parser.add_argument('config', help='config of a supervised training')
    parser.add_argument('--init', nargs='+', required=True, metavar='NAME=SOURCE')
    parser.add_argument('--fractions', nargs='+', type=float, default=FRACTIONS)
    parser.add_argument('--seeds', nargs='+', type=int, default=(1, 2, 3))
    parser.add_argument('--subset-seed', type=int, default=0, help='of the choice of images')
    parser.add_argument('--out', required=True, type=Path, help='folder for runs and summary')
    cli.add_cfg_options(parser)
    return parser


def list_runs(parser: argparse.ArgumentParser, args: argparse.Namespace) -> list[Run]:
    """List the runs that the command line asks for."""
    inits = dict(entry.split('=', 1) for entry in args.init if '=' in entry)
    if len(inits) != len(args.init) or not all(name.isidentifier() for name in inits):
        parser.error(
            'argument --init: each entry must be NAME=SOURCE with names of letters, digits and _, '
            f'all different, but got {" ".join(args.init)}'
        )
    if not all(0 < fraction <= 1 for fraction in args.fractions):
        parser.error(f'argument --fractions: must be in (0, 1], but got {args.fractions}')
    return [
        Run(name, source, fraction, seed)
        for fraction in sorted(set(args.fractions))
        for name, source in inits.items()
        for seed in dict.fromkeys(args.seeds)
    ]


def main(argv: Sequence[str] | None = None) -> list[dict]:
    """Run all trainings that are not done, and summarise.

    Args:
        argv: Words of the command line; None takes those of this process.

    Returns:
        The rows of the summary.
    """
    parser = build_parser()
    args = cli.parse_args(parser, argv)
    cfg = cli.read_config(parser, args)
    runs = list_runs(parser, args)
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    num_images = len(DATASETS.build(cfg.train_dataloader.dataset))
    results = []
    try:
        subsets = {f: choose_images(num_images, f, args.subset_seed) for f in args.fractions}
        # All of them first, as a mistake should not show after hours.
        prepared = [prepare(cfg, run, subsets[run.fraction]) for run in runs]
        print(*dict.fromkeys(remark for _, remark in prepared if remark), sep='\n')
        for i, (run, (run_cfg, _)) in enumerate(zip(runs, prepared, strict=True)):
            result = execute(run_cfg, args.out / run.name)
            result['num_images'] = len(subsets[run.fraction])
            results.append((run, result))
            print(
                f'[{i + 1}/{len(runs)}] {run.init}, {result["num_images"]} images, seed '
                f'{run.seed}: mIoU {result["metrics"]["mIoU"]:.2f} in {result["seconds"]:.0f} s',
                flush=True,
            )
    except (OSError, RuntimeError, ValueError) as error:
        parser.error(str(error))
    rows = summarise(results)
    write_json(args.out / 'summary.json', dict(config=str(args.config), rows=rows))
    draw_curves(rows, Path(args.config).stem, args.out / 'summary.png')
    print_table(rows, Path(args.config).stem)
    return rows


if __name__ == '__main__':
    main()
