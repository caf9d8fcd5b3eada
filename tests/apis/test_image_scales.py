"""The size at which the network sees an image."""

import pytest
from mmengine.config import Config

from mmseg_picie.apis.image_scales import (
    Scale,
    TrainedSize,
    choose_size,
    parse_scale,
    read_trained_size,
)

SQUARE = TrainedSize((160, 160), True)
STEPS = [dict(type='LoadImageFromFile'), dict(type='ResizeCenterCrop', size=160)]
EARTH = object()  # any place


@pytest.mark.parametrize(
    ('text', 'scale'),
    [
        ('auto', Scale('auto')),
        ('train', Scale('train')),
        ('full', Scale('factor', 1.0)),
        ('0.5', Scale('factor', 0.5)),
        (2, Scale('factor', 2.0)),
        ('640px', Scale('side', 640)),
    ],
)
def test_rules_are_read(text, scale):
    assert parse_scale(text) == scale


@pytest.mark.parametrize(
    'text', ['', 'half', '0', '-1', '4.01', 'nan', 'inf', '0px', '1.5px', 'px', '9999999px']
)
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(ValueError, match='scale must be auto, train, full') as caught:
        parse_scale(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ('scale', 'shape', 'size'),
    [
        ('auto', (360, 480), (160, 213)),
        ('auto', (639, 900), (160, 225)),
        ('auto', (640, 640), (240, 240)),
        ('auto', (3000, 4000), (240, 320)),
        ('train', (3000, 4000), (160, 213)),
        ('full', (3000, 4000), (3000, 4000)),
        ('0.25', (3000, 4000), (750, 1000)),
        ('600px', (3000, 4000), (600, 800)),
        ('600px', (4000, 3000), (800, 600)),
        ('0.1', (3, 4), (1, 1)),
    ],
)
def test_sizes_follow_the_rule(scale, shape, size):
    assert choose_size(parse_scale(scale), shape, None, SQUARE) == size


def test_all_pixels_of_an_image_on_the_earth_are_seen():
    assert choose_size(Scale('auto'), (3000, 4000), EARTH, SQUARE) == (3000, 4000)
    assert choose_size(Scale('train'), (3000, 4000), EARTH, SQUARE) == (160, 213)


def test_a_training_that_stretched_its_images_is_followed():
    trained = TrainedSize((128, 192), False)
    assert choose_size(Scale('train'), (3000, 3000), None, trained) == (128, 192)
    assert choose_size(Scale('auto'), (3000, 3000), None, trained) == (192, 288)


def test_the_size_of_the_training_is_read_from_the_test_pipeline():
    read = read_trained_size(Config(dict(test_pipeline=STEPS)))
    assert read == SQUARE
    stretched = [STEPS[0], dict(type='ResizeCenterCrop', size=(8, 9), keep_ratio=False)]
    read = read_trained_size(Config(dict(test_pipeline=stretched)))
    assert read == TrainedSize((8, 9), False)


@pytest.mark.parametrize(
    'steps', [STEPS[:1], [*STEPS, dict(type='Pad', size=(9, 9))], [*STEPS, STEPS[1]]]
)
def test_of_a_pipeline_with_other_steps_no_size_is_known(steps):
    assert read_trained_size(Config(dict(test_pipeline=steps))) is None
