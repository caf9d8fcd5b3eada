"""How long a training takes, by hand."""

import numpy as np
import pytest
from mmengine.config import ConfigDict
from PIL import Image

from mmseg_picie.apis.duration import (
    MAX_EPOCHS,
    StepTimes,
    plan_training,
    say_duration,
    time_steps,
)

TIMES = StepTimes(load=0.1, forward=0.2, train=0.5)


def make_config(num_clusterings=None):
    return ConfigDict(
        train_cfg=dict(max_epochs=3),
        train_dataloader=dict(batch_size=4, num_workers=2, sampler=dict(type='EpochKeySampler')),
        default_hooks=dict(clustering=dict(num_clusterings=num_clusterings)),
    )


def test_passes_add_up():
    """Two workers load; each epoch clusters (0.05 + 0.2) and trains (0.05 + 0.5), and 10 % more."""
    plan = plan_training(make_config(), TIMES, 100)
    assert plan == (3, 100, pytest.approx(1.1 * 100 * 3 * (0.25 + 0.55)))
    kept = plan_training(make_config(num_clusterings=2), TIMES, 100)
    assert kept.seconds == pytest.approx(1.1 * 100 * (2 * 0.25 + 3 * 0.55))


@pytest.mark.parametrize('number', [1, 4, 100, 10_000])
@pytest.mark.parametrize('minutes', [0.01, 0.5, 3, 60, 10_000])
def test_a_training_fits_the_minutes_that_it_has(number, minutes):
    plan = plan_training(make_config(), TIMES, number, minutes)
    assert 1 <= plan.epochs <= MAX_EPOCHS and min(4, number) <= plan.images <= number
    least = plan.epochs == 1 and plan.images == min(4, number)
    assert plan.seconds <= 60 * minutes or least
    more = plan_training(make_config(), TIMES, number, 2 * minutes)
    assert more.epochs * more.images >= plan.epochs * plan.images


def test_durations_are_said_in_words():
    assert [say_duration(s) for s in (0.2, 89, 100, 720, 12_600)] == [
        '1 s', '89 s', '2 min', '12 min', '3.5 h',
    ]  # fmt: skip


def test_steps_are_timed_on_the_images_that_can_be_read(tiny_config, tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    (folder / '0.png').write_bytes(b'no image')
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(folder / '1.png')
    config = tiny_config()
    config.train_dataloader.dataset = dict(
        type='ImageFolderDataset',
        data_root=str(folder),
        on_bad_image='skip',
        pipeline=config.train_dataloader.dataset.pipeline,
    )
    times = time_steps(config, 'cpu')
    assert all(0 < seconds < 60 for seconds in times)
