"""The demo: the main job on the embedded scenes, by the commands that a user would call."""

import time
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.config import Config
from rich.table import Table

from ..datasets import SyntheticScenesDataset
from ..datasets.scenes.synthetic_scenes import draw_scene
from ..engine.progress import get_console
from ..evaluation.label_files import write_image
from ..visualization.legend_band import Entry, add_legend, add_titles
from ..visualization.segment_painting import paint_segments, write_names
from .child_commands import run_child
from .json_files import read_json
from .ready_configs import find_ready
from .score_logs import read_last_scores

CONFIG = 'configs/picie_fpn_efficientnet-lite0_scenes.py'
NUM_PICTURES = 8
OURS = 'PiCIE'
TITLES = ('scene', 'labels', 'prediction')


def run_demo(seed: int, work_dir: str | Path) -> None:
    """Score the baselines, train, segment a few scenes, and put them side by side.

    Args:
        seed (int): of everything.
        work_dir (str or Path): folder for all results.

    Raises:
        FileNotFoundError: If the config of the demo is not there.
        SystemExit: If a command fails.
    """
    start = time.monotonic()
    path, work_dir = find_ready(CONFIG), Path(work_dir)
    config = Config.fromfile(path)
    options = ('--cfg-options', f'randomness.seed={seed}')
    baselines, trained = work_dir / 'baselines.json', work_dir / 'train'
    words = ('--work-dir', work_dir / 'baselines', '--out', baselines)
    _call('baselines', path, *words, *options)
    _call('train', path, '--work-dir', trained, *options)
    checkpoint = trained / f'epoch_{config.train_cfg.max_epochs}.pth'
    scenes = write_scenes(work_dir / 'scenes', config)
    _call('predict', path, checkpoint, work_dir / 'scenes', '--out-dir', work_dir / 'predict')
    overlays = [work_dir / 'predict' / 'overlays' / scene.name for scene in scenes]
    picture = work_dir / 'demo.jpg'
    write_image(str(picture), compose_picture(overlays, config))
    scores = read_json(baselines) | {OURS: read_last_scores(trained)}
    print_scores(scores, config.model.decode_head.num_clusters)
    print(f'scene, labels, prediction side by side: {picture}')
    print(f'overlays, label maps and legend: {work_dir / "predict"}')
    print(f'{time.monotonic() - start:.0f} s')


def _call(*words: object) -> None:
    """Run a command and show its output; its failure ends the demo."""
    names = [str(word) for word in words]
    # As it would be typed: the ready configs by their path in the repository.
    print('\n$ picie', *[CONFIG if name.endswith(CONFIG) else name for name in names], flush=True)
    code = run_child(names)
    if code:
        raise SystemExit(code)


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
    """Put scenes, labels and predictions side by side, two scenes a row, with titles and a legend.

    Args:
        overlays: What `picie predict` painted over the scenes, in order; beside or below the scene
            there may be a legend, which is cut off.
        config: Config of the demo.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    meta: Any = SyntheticScenesDataset.METAINFO
    palette = [colour[::-1] for colour in meta['palette']]
    strips, seen = [], []
    for index, path in enumerate(overlays):
        image, labels = draw_scene(config.val_dataloader.dataset.scene_seed, index, 160, 240)
        painted = paint_segments(image, labels, palette, 0.6)
        write_names(painted, labels, meta['classes'])
        strips.append([image, painted, mmcv.imread(str(path))[:160, :240]])
        seen.append(labels)
    columns = [np.concatenate(column) for column in zip(*(_pair(strips)), strict=True)]
    body = add_titles(columns, TITLES * (len(columns) // len(TITLES)))
    present = np.unique(seen).tolist()
    return add_legend(body, [Entry(meta['classes'][i], palette[i]) for i in present])


def _pair(strips: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    """Two strips a row, if there are several."""
    return [sum(strips[i : i + 2], []) for i in range(0, len(strips), 2)]


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
    get_console().print(table)
