"""The main job on the embedded scenes: python tools/demo.py [--seed 0] [--work-dir DIR].

Scores k-means on raw colours and on the untrained encoder's features, trains PiCIE, evaluates it
with the same number of clusters and the same evaluator, segments a few scenes from image files, and
puts them side by side into one picture. It runs the tools as a user would.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from rich.console import Console
from rich.table import Table

from mmseg_picie.datasets import SyntheticScenesDataset
from mmseg_picie.datasets.synthetic_scenes import draw_scene
from mmseg_picie.evaluation.label_files import write_image

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs' / 'picie_fpn_efficientnet-lite0_scenes.py'
NUM_PICTURES = 8
OURS = 'PiCIE'


def run_tool(name: str, *args: object) -> None:
    """Run one of the tools and show its output; its failure ends the demo.

    Args:
        name: File name in this folder.
        args: Words of its command line.
    """
    words = [str(ROOT / 'tools' / name), *map(str, args)]
    print('$ python', *[word.replace(f'{ROOT}/', '') for word in words], flush=True)
    result = subprocess.run([sys.executable, *words], cwd=ROOT)
    if result.returncode:
        raise SystemExit(result.returncode)


def read_last_scores(work_dir: Path) -> dict[str, float]:
    """Read the last validation of the newest run in a work folder.

    Args:
        work_dir: Folder of the run.

    Returns:
        Its metrics.
    """
    log = max(work_dir.glob('*/vis_data/scalars.json'), key=lambda path: path.stat().st_mtime)
    records = [json.loads(line) for line in log.read_text().splitlines()]
    return [record for record in records if 'mIoU' in record][-1]


def write_scenes(folder: Path, config: Config) -> list[Path]:
    """Write scenes of the validation set as image files.

    Args:
        folder: Where to.
        config: Config of the demo.

    Returns:
        The files.
    """
    dataset = config.val_dataloader.dataset
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(NUM_PICTURES):
        image, _ = draw_scene(dataset.scene_seed, index, 160, 240)
        paths.append(folder / f'scene_{index:02d}.png')
        write_image(str(paths[-1]), image)
    return paths


def compose_picture(overlays: list[Path], config: Config) -> np.ndarray:
    """Put scenes, labels and predictions side by side, two scenes a row.

    Args:
        overlays: What tools/predict.py painted over the scenes, in order.
        config: Config of the demo.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    palette = np.array(SyntheticScenesDataset.METAINFO['palette'], dtype=np.uint8)[:, ::-1]
    strips = []
    for index, path in enumerate(overlays):
        image, labels = draw_scene(config.val_dataloader.dataset.scene_seed, index, 160, 240)
        painted = cv2.addWeighted(image, 0.4, palette[labels], 0.6, 0)
        strips.append(cv2.hconcat([image, painted, cv2.imread(str(path))]))
    rows = [cv2.hconcat(strips[i : i + 2]) for i in range(0, len(strips), 2)]
    return cv2.vconcat(rows)


def print_scores(scores: dict[str, dict[str, float]], num_clusters: int) -> None:
    """Print a table of the scores.

    Args:
        scores: Metrics by method.
        num_clusters: K, for the title.
    """
    table = Table(title=f'{num_clusters} clusters, 80 held-out scenes, Hungarian match')
    table.add_column('method')
    table.add_column('pixel accuracy %', justify='right')
    table.add_column('mIoU %', justify='right')
    for name, metrics in scores.items():
        table.add_row(name, f'{metrics["aAcc"]:.2f}', f'{metrics["mIoU"]:.2f}')
    Console().print(table)


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description='Run the main job on the embedded scenes.')
    parser.add_argument('--seed', type=int, default=0, help='seed of everything (default: 0)')
    parser.add_argument('--work-dir', default='work_dirs/demo', help='folder for all results')
    args = parser.parse_args()
    start = time.monotonic()
    config, work_dir = Config.fromfile(CONFIG), Path(args.work_dir).resolve()
    seed = ('--cfg-options', f'randomness.seed={args.seed}')
    baselines = work_dir / 'baselines.json'
    run_tool(
        'baselines.py', CONFIG, '--work-dir', work_dir / 'baselines', '--out', baselines, *seed
    )
    run_tool('train.py', CONFIG, '--work-dir', work_dir / 'train', *seed)
    checkpoint = work_dir / 'train' / f'epoch_{config.train_cfg.max_epochs}.pth'
    scenes = write_scenes(work_dir / 'scenes', config)
    run_tool('predict.py', CONFIG, checkpoint, scenes[0].parent, '--out-dir', work_dir / 'predict')
    overlays = [work_dir / 'predict' / 'overlays' / path.name for path in scenes]
    picture = work_dir / 'demo.jpg'
    write_image(str(picture), compose_picture(overlays, config))
    scores = json.loads(baselines.read_text()) | {OURS: read_last_scores(work_dir / 'train')}
    print_scores(scores, config.model.decode_head.num_clusters)
    print(f'scene, labels, prediction side by side: {picture}')
    print(f'overlays, label maps and legend: {work_dir / "predict"}')
    print(f'{time.monotonic() - start:.0f} s')


if __name__ == '__main__':
    main()
