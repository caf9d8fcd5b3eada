"""How scores depend on the number of labels: which images, what to run, and a table."""

import copy
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from prettytable import PrettyTable

from ..models import ViewHead
from ..models.parts import list_pretrained
from ..printing import printable
from ..whole_files import write_whole
from .backbone_weights import set_weights
from .child_commands import MISTAKE, read_mistake, run_child
from .file_hashes import read_pieces
from .json_files import read_json, write_json
from .score_logs import list_logs, read_records
from .seed_runs import find_head


class Run(NamedTuple):
    """One training.

    Attributes:
        init: Name of the initialisation.
        source: Where its weights come from.
        fraction: Of the labelled images, in (0, 1].
        seed: Of everything but the choice of images.
    """

    init: str
    source: str
    fraction: float
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f'{self.init}_{100 * self.fraction:g}percent_seed{self.seed}'


class Job(NamedTuple):
    """A training that is ready to be started.

    Attributes:
        run: What it is.
        cfg: Its config, which keeps no checkpoint, as only the score is wanted.
        num_images: Images whose labels are used.
        remark: What there is to say about its starting weights.
    """

    run: Run
    cfg: Config
    num_images: int
    remark: str


def prepare(cfg: Config, runs: Sequence[Run], subset_seed: int) -> list[Job]:
    """Make the configs of all runs.

    Args:
        cfg: Config that they share.
        runs: The runs.
        subset_seed: Of the choice of images.

    Returns:
        A job a run.

    Raises:
        ValueError: If the training is not supervised, or starting weights do not fit.
    """
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    head = find_head(cfg)
    if head is not None and issubclass(head, ViewHead):
        raise ValueError(
            f'argument config: {cfg.filename} must be of a supervised training, but its '
            f'decode_head is a {head.__name__}, which learns clusters without labels; give a '
            'config such as those in configs/finetune.'
        )
    num_images = len(DATASETS.build(cfg.train_dataloader.dataset))
    jobs = []
    for run in runs:
        own, images = copy.deepcopy(cfg), choose_images(num_images, run.fraction, subset_seed)
        remark = set_weights(own, run.source.replace('{seed}', str(run.seed)))
        own.train_dataloader.dataset.indices = images
        own.randomness = dict(own.get('randomness') or {}, seed=run.seed)
        own.default_hooks.checkpoint.update(interval=-1, save_last=False)
        own.load_from, own.resume = None, False
        jobs.append(Job(run, own, len(images), remark))
    return jobs


def execute(job: Job, folder: Path) -> dict:
    """Train in a process of its own, or read what it left when it was done before.

    Args:
        job: Of :func:`prepare`.
        folder: Of the run.

    Returns:
        `metrics` of the last validation, `seconds` and `num_images`.

    Raises:
        ValueError: If the folder holds a run with other settings.
        RuntimeError: If the training fails.
    """
    result_file, key = folder / 'result.json', _fingerprint(job.cfg)
    if result_file.is_file():
        result = read_json(result_file)
        if result.get('fingerprint') != key:
            raise ValueError(
                f'{folder} holds a run with other settings or starting weights; give another '
                '--out, or remove that folder.'
            )
        return _checked(result, result_file) | dict(num_images=job.num_images)
    write_whole(folder / 'run.py', job.cfg.pretty_text)
    start = time.time()
    output = folder / 'output.txt'
    output.unlink(missing_ok=True)
    words = ['train', folder / 'run.py', '--work-dir', folder / 'train', '--verbose']
    code = run_child([*map(str, words)], output)
    if code:
        mistake = read_mistake(output) if code == MISTAKE else ''
        raise RuntimeError(
            f'the training failed; {output} says why' + f': {mistake}' * bool(mistake)
        )
    logs = [path for path in list_logs(folder / 'train') if path.stat().st_mtime >= start]
    records = [record for log in logs for record in read_records(log)]
    scores = [record for record in records if 'mIoU' in record]
    if not scores:
        raise RuntimeError(f'{folder} has no mIoU; the config must validate with IoUMetric.')
    result = dict(fingerprint=key, metrics=scores[-1], seconds=round(time.time() - start, 1))
    write_json(result_file, result)
    return result | dict(num_images=job.num_images)


def _checked(result: dict, path: Path) -> dict:
    """An earlier result, if it has the score and the time."""
    metrics = result.get('metrics')
    score = metrics.get('mIoU') if isinstance(metrics, dict) else None
    if not all(isinstance(value, int | float) for value in (score, result.get('seconds'))):
        raise ValueError(
            f'{path} must hold metrics.mIoU and seconds, but does not; remove it, and it is made '
            'again.'
        )
    return result


def _fingerprint(cfg: Config) -> str:
    """What a finished run is recognised by: a hash of its settings and of its starting weights."""
    settings = {name: value for name, value in cfg.to_dict().items() if name != 'work_dir'}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for source in list_pretrained(cfg.model.backbone.get('init_cfg')):
        if Path(source['checkpoint']).is_file():
            for piece in read_pieces(Path(source['checkpoint'])):
                digest.update(piece)
    return digest.hexdigest()


def choose_images(num_images: int, fraction: float, seed: int) -> list[int]:
    """Choose the images whose labels are used.

    Args:
        num_images: Images that have labels.
        fraction: How many of them, in (0, 1]; at least one.
        seed: Of the choice. With one seed, smaller fractions are parts of larger ones.

    Returns:
        Their indices, ascending.
    """
    order = np.random.default_rng(seed).permutation(num_images)
    return sorted(order[: max(1, round(fraction * num_images))].tolist())


def summarise(results: list[tuple[Run, dict]]) -> list[dict]:
    """Mean and sample standard deviation of mIoU over seeds.

    Args:
        results: Runs and their scores.

    Returns:
        A row an initialisation and fraction, with `miou` by seed, `mean` and `std` (None of one
        seed).
    """
    rows: dict[tuple[str, float], dict] = {}
    for run, result in results:
        row = rows.setdefault(
            (run.init, run.fraction), dict(init=run.init, fraction=run.fraction, miou={})
        )
        row['num_images'] = result['num_images']
        row['miou'][run.seed] = result['metrics']['mIoU']
    for row in rows.values():
        values = list(row['miou'].values())
        row['mean'] = float(np.mean(values))
        row['std'] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return list(rows.values())


def make_table(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """A table of a line an initialisation and a column a fraction.

    Args:
        rows (Sequence[Mapping]): of :func:`summarise`.
        title (str): above it.
    """
    cells = {(row['init'], row['fraction']): row for row in rows}
    counts = {row['fraction']: row['num_images'] for row in rows}
    heads = [f'{100 * fraction:g} % ({counts[fraction]})' for fraction in sorted(counts)]
    table = PrettyTable(['start', *heads], title=printable(title), align='r')
    table.align['start'] = 'l'
    for init in dict.fromkeys(init for init, _ in cells):
        words = [printable(init)]
        for fraction in sorted(counts):
            row = cells[init, fraction]
            words.append(f'{row["mean"]:.2f}' + (f' ± {row["std"]:.2f}' if row['std'] else ''))
        table.add_row(words)
    return str(table)
