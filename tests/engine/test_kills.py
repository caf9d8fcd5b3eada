"""A run that is killed anywhere and resumed ends as the run that was never stopped."""

import copy
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseg_picie.apis.seed_runs import read_last_scores

ROOT = Path(__file__).parents[2]
#: Places between two writes, and random ones, at which each method's run is killed.
NUM_EXACT, NUM_RANDOM = 24, 10
METHODS = {
    'picie': {},
    'iic': dict(
        decode_head=dict(_delete_=True, type='IICHead', num_clusters=9, in_channels=16),
    ),
    'picie_h': dict(
        auxiliary_head=dict(
            type='CentroidHead', num_clusters=12, in_channels=16, predict_views=(0,)
        ),
    ),
}
SMALL = {
    'train_cfg.max_epochs': 2,
    'train_dataloader.dataset.num_images': 8,
    'val_dataloader.dataset.num_images': 4,
    'default_hooks.clustering.num_init_batches': 1,
    'default_hooks.checkpoint.max_keep_ckpts': 1,
    'default_hooks.checkpoint.save_best': 'mIoU',
    'default_hooks.visualization.draw': False,
}


def order(process: subprocess.Popen, **job: object) -> dict:
    """Have a job done, see `killed_runs.py`."""
    process.stdin.write(json.dumps(job) + '\n')
    process.stdin.flush()
    return json.loads(process.stdout.readline())


class Trainer:
    """Trains in processes of their own, see `killed_runs.py`."""

    def __init__(self, process: subprocess.Popen, config: Path) -> None:
        self.process = process
        self.config = config
        self.reference = config.parent / 'whole'
        self.counts = self.train(self.reference)['counts']

    def train(self, folder: Path, kill: dict | None = None) -> dict:
        """Train, or go on with a training."""
        found = order(self.process, config=str(self.config), work_dir=str(folder), kill=kill)
        log = folder.with_name(folder.name + '.log')
        assert found['code'] == (-9 if kill else 0), (found, log.read_text()[-2000:])
        return found

    def judge(self, *kills: dict) -> str:
        """Say in what a run that is killed several times differs from the one that is not."""
        name = '_'.join(f'{kill["at"]}{kill["number"]}' for kill in kills)
        folder = self.config.parent / name
        for number, kill in enumerate(kills):
            self.train(folder, kill)
            for start in folder.glob('2*'):  # as if the next start were in another second
                start.rename(folder / f'1_{number}')
        self.train(folder)
        return compare(folder, self.reference)


def compare(folder: Path, reference: Path) -> str:
    """What differs between two trainings: 'same' if nothing does."""
    names = [sorted(path.name for path in place.glob('*.pth')) for place in (folder, reference)]
    if names[0] != names[1]:
        return f'files {names[0]}'
    if list(folder.rglob('.*partial*')):
        return 'leftovers'
    for name in names[0]:
        found, expected = (
            torch.load(place / name, weights_only=False) for place in (folder, reference)
        )
        for part in ('state_dict', 'optimizer'):
            if not is_equal(found.get(part), expected.get(part)):
                return f'{part} of {name}'
        for part in ('dataset_meta', 'validated', 'superseded', 'epoch', 'iter', 'seed'):
            if found['meta'].get(part) != expected['meta'].get(part):
                return f'{part} of {name}'
        if best_of(found) != best_of(expected):
            return f'best of {name}'
    if (folder / 'last_checkpoint').read_text() != str(folder / 'epoch_2.pth'):
        return 'last_checkpoint'
    if read_last_scores(folder) != read_last_scores(reference):
        return 'last scores'
    return 'same' if scores_of(folder) == scores_of(reference) else 'scores'


def is_equal(first: object, second: object) -> bool:
    """Whether trees of tensors are the same, bit for bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(is_equal(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(is_equal, first, second))
    return first == second


def best_of(checkpoint: dict) -> tuple:
    info = checkpoint['message_hub']['runtime_info']
    return info['best_score'], os.path.basename(info['best_ckpt'])


def scores_of(folder: Path) -> dict[int, set]:
    """All scores of each epoch, of every start; an epoch that is scored twice must agree."""
    found: dict[int, set] = {}
    for path in folder.glob('*/vis_data/scalars.json'):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if 'mIoU' in record:
                scores = [(k, v) for k, v in record.items() if 'time' not in k and v == v]
                found.setdefault(record['step'], set()).add(tuple(sorted(scores)))
    return found


@pytest.fixture(scope='module')
def process() -> Iterator[subprocess.Popen]:
    """Where trainings are forked off."""
    words = [sys.executable, str(Path(__file__).with_name('killed_runs.py'))]
    environment = os.environ | {'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def trainer(process, tiny_config, tmp_path, request) -> Trainer:
    """Trains by a method."""
    config: Config = tiny_config(SMALL, request.param)
    config.merge_from_dict(dict(model=copy.deepcopy(METHODS[request.param])))
    path = tmp_path / f'{request.param}.py'
    config.dump(path)
    return Trainer(process, path)


def judge_all(trainer: Trainer, places: list[tuple[dict, ...]]) -> dict[str, int]:
    """Verdict -> number of places."""
    verdicts = Counter(trainer.judge(*place) for place in places)
    print(f'{trainer.config.stem}: {len(places)} places, {dict(verdicts)}')
    return dict(verdicts)


@pytest.mark.slow
@pytest.mark.parametrize('trainer', METHODS, indirect=True)
def test_killed_between_two_writes(trainer):
    """Together the methods are killed at every place, but for the first, where nothing is done."""
    number, first = trainer.counts['write'], list(METHODS).index(trainer.config.stem)
    places = range(first + 1, number + 1, len(METHODS))[-NUM_EXACT:]  # the last ones
    kills = [(dict(at='write', number=place),) for place in places]
    assert judge_all(trainer, kills) == {'same': NUM_EXACT}


@pytest.mark.slow
@pytest.mark.parametrize('trainer', METHODS, indirect=True)
def test_killed_at_random_places_once_or_twice(trainer):
    """In the midst of steps, clustering and validation, and sometimes again in the resumed run."""
    draw = random.Random(trainer.config.stem)
    chosen = draw.sample(range(1, trainer.counts['call'] + 1), NUM_RANDOM)
    kills = [
        (dict(at='call', number=place),)
        + (dict(at='call', number=draw.randint(1, 5)),) * (i % 4 == 0)
        for i, place in enumerate(chosen)
    ]
    assert judge_all(trainer, kills) == {'same': NUM_RANDOM}
