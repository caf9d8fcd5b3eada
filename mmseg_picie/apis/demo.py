"""The demo: a folder of made-up photographs, by the commands that a user would call."""

import time
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from rich.table import Table

from ..clustering.naming import distinct_palette
from ..datasets import SyntheticScenesDataset
from ..datasets.scenes.synthetic_scenes import draw_scene
from ..engine.progress import get_console
from ..evaluation.label_files import write_image
from ..visualization.legend_band import Entry, add_legend, add_titles
from ..visualization.segment_painting import paint_segments, write_names
from ..whole_files import write_whole
from .child_commands import run_child
from .json_files import read_json
from .labelled_folder import CLASSES_FILE
from .segment import Request, show_config
from .segment_result import SegmentResult

RECIPE = 'picie-m'
OURS = 'PiCIE-M'
#: Scenes without labels and with labels, and their sides in pixels.
NUM_PLAIN, NUM_LABELLED, SIZE = 240, 80, (160, 240)
#: Scenes of the picture.
NUM_PICTURES = 8
TITLES = ('scene', 'labels', 'segments')
_META: Any = SyntheticScenesDataset.METAINFO
# Seeds of the scenes; the labelled ones are others.
_PLAIN, _LABELLED = 0, 1


def run_demo(seed: int, work_dir: str | Path) -> None:
    """Write scenes, segment them, score k-means beside it, and put some scenes side by side.

    Args:
        seed (int): of the clustering and the training; the scenes are always the same.
        work_dir (str or Path): folder for all results.

    Raises:
        SystemExit: If a command fails.
    """
    start = time.monotonic()
    work_dir = Path(work_dir)
    scenes, labels, out = (work_dir / name for name in ('scenes', 'labels', 'segments'))
    write_scenes(scenes, labels)
    number = len(_META['classes'])
    words: list[object] = ['segment', scenes, '--labels', labels, '--clusters', number]
    words += ['--recipe', RECIPE, '--seed', seed, '--out', out]
    _call(*words)
    config, baselines = work_dir / 'demo.py', work_dir / 'baselines.json'
    print('\n$ picie', *words, '--show-config >', config, flush=True)
    request = Request(str(scenes), str(out), number, RECIPE, seed=seed, labels=str(labels))
    write_whole(config, show_config(request))
    _call('baselines', config, '--work-dir', work_dir / 'baselines', '--out', baselines)
    result = SegmentResult(out)
    picture = work_dir / 'demo.jpg'
    write_image(str(picture), compose_picture(out / 'overlays'))
    print_scores(read_json(baselines) | {OURS: result.scores}, number)
    print(f'scene, labels, segments side by side: {picture}')
    print(f'report, to open in a browser: {result.report()}')
    print(f'{time.monotonic() - start:.0f} s')


def _call(*words: object) -> None:
    """Run a command and show its output; its failure ends the demo."""
    names = [str(word) for word in words]
    print('\n$ picie', *names, flush=True)
    code = run_child(names)
    if code:
        raise SystemExit(code)


def write_scenes(folder: Path, labels: Path) -> None:
    """Write scenes as image files, and label maps for some of them.

    Args:
        folder: For the images.
        labels: For the label maps and the names of the classes.
    """
    for index in range(NUM_PLAIN):
        image, _ = draw_scene(_PLAIN, index, *SIZE)
        _write(folder / f'plain_{index:03d}.png', image)
    for index in range(NUM_LABELLED):
        image, ids = draw_scene(_LABELLED, index, *SIZE)
        _write(folder / _name(index), image)
        _write(labels / _name(index), ids)
    write_whole(labels / CLASSES_FILE, '\n'.join(_META['classes']) + '\n')


def _name(index: int) -> str:
    return f'labelled_{index:02d}.png'


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(str(path), image)


def compose_picture(overlays: Path) -> np.ndarray:
    """Put scenes, labels and segments side by side, two scenes a row, with titles and a legend.

    Args:
        overlays: What `picie segment` painted over the labelled scenes; beside or below the scene
            there may be a legend, which is cut off.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    # The colours that classes of a folder of label maps have.
    palette = [colour[::-1] for colour in distinct_palette(len(_META['classes']))]
    strips, seen = [], []
    for index in range(NUM_PICTURES):
        image, labels = draw_scene(_LABELLED, index, *SIZE)
        painted = paint_segments(image, labels, palette, 0.6)
        write_names(painted, labels, _META['classes'])
        overlay = mmcv.imread(str(overlays / _name(index)))
        strips.append([image, painted, overlay[: SIZE[0], : SIZE[1]]])
        seen.append(labels)
    pairs = [sum(strips[i : i + 2], []) for i in range(0, len(strips), 2)]
    columns = [np.concatenate(column) for column in zip(*pairs, strict=True)]
    body = add_titles(columns, TITLES * (len(columns) // len(TITLES)))
    present = np.unique(seen).tolist()
    return add_legend(body, [Entry(_META['classes'][i], palette[i]) for i in present])


def print_scores(scores: dict[str, dict[str, float]], num_clusters: int) -> None:
    """Print a table of the scores.

    Args:
        scores: Metrics by method.
        num_clusters: K, for the title.
    """
    table = Table(title=f'{num_clusters} clusters, {NUM_LABELLED} scenes, Hungarian match')
    table.add_column('method')
    table.add_column('pixel accuracy %', justify='right')
    table.add_column('mIoU %', justify='right')
    for name, metrics in scores.items():
        table.add_row(name, f'{metrics["aAcc"]:.2f}', f'{metrics["mIoU"]:.2f}')
    get_console().print(table)
