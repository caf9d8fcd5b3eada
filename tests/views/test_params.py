"""Properties of the random draws."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from mmseg_picie.views import GeometricSpace, PhotometricDraw, PhotometricSpace

JITTER = ('brightness', 'contrast', 'saturation', 'hue')


def draw_many(space, count=400, seed=0):
    """The attributes of many draws from one generator, name -> list."""
    rng = np.random.default_rng(seed)
    draws = [dataclasses.asdict(space.draw(rng)) for _ in range(count)]
    return {name: [draw[name] for draw in draws] for name in draws[0]}


def drawn(values):
    """The values of those draws that apply the operation."""
    return np.array([value for value in values if value is not None])


def assert_uniform(values, low, high):
    assert values.min() >= low and values.max() <= high
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3


def assert_share(hits, count, probability):
    """The number of hits is one that the probability makes plausible."""
    assert stats.binomtest(hits, count, probability).pvalue > 1e-3


def test_photometric_values_are_uniform_in_their_ranges():
    space = PhotometricSpace(
        brightness=(0.5, 1.5),
        contrast=(0.9, 1.0),
        saturation=(0.0, 2.0),
        hue=(-0.5, 0.25),
        blur_sigma=(1.0, 3.0),
    )
    draws = draw_many(space, 2000)
    for name in (*JITTER, 'blur_sigma'):
        assert_uniform(drawn(draws[name]), *getattr(space, name))


def test_photometric_frequencies_are_near_their_probabilities():
    draws = draw_many(PhotometricSpace(jitter_prob=0.8, grayscale_prob=0.2, blur_prob=0.4), 2000)
    for name in JITTER:
        assert_share(len(drawn(draws[name])), 2000, 0.8)
    assert_share(sum(draws['grayscale']), 2000, 0.2)
    assert_share(len(drawn(draws['blur_sigma'])), 2000, 0.4)


def test_the_four_colour_operations_are_applied_independently():
    draws = draw_many(PhotometricSpace(jitter_prob=0.5), 2000)
    applied = np.array([[value is not None for value in draws[name]] for name in JITTER])
    combinations = (applied * [[1], [2], [4], [8]]).sum(0)
    counts = np.bincount(combinations, minlength=16)
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize('prob', [0.0, 1.0])
def test_probabilities_0_and_1_are_never_and_always(prob):
    space = PhotometricSpace(jitter_prob=prob, grayscale_prob=prob, blur_prob=prob)
    draws = draw_many(space, 50)
    assert draws['grayscale'] == [bool(prob)] * 50
    for name in (*JITTER, 'blur_sigma'):
        assert len(drawn(draws[name])) == 50 * prob
    flips = draw_many(GeometricSpace(hflip_prob=prob, vflip_prob=1 - prob), 50)
    assert flips['hflip'] == [bool(prob)] * 50
    assert flips['vflip'] == [not prob] * 50


def test_the_released_recipe_is_the_default():
    draws = draw_many(PhotometricSpace(), 2000)
    assert not any(draws['grayscale'])
    for name in ('brightness', 'contrast', 'saturation'):
        assert_uniform(drawn(draws[name]), 0.7, 1.3)
    assert_uniform(drawn(draws['hue']), -0.1, 0.1)
    assert_uniform(drawn(draws['blur_sigma']), 0.1, 2.0)
    assert_share(len(drawn(draws['hue'])), 2000, 0.8)
    assert_share(len(drawn(draws['blur_sigma'])), 2000, 0.5)
    draws = draw_many(GeometricSpace(), 2000)
    assert_uniform(np.array(draws['height']), 0.5, 1.0)
    assert_share(sum(draws['hflip']), 2000, 0.5)
    assert not any(draws['vflip'])


def test_crops_are_uniform_and_lie_inside_the_image():
    draws = {
        name: np.array(values)
        for name, values in draw_many(GeometricSpace(scale=(0.3, 0.9)), 2000).items()
    }
    np.testing.assert_array_equal(draws['height'], draws['width'])
    assert_uniform(draws['height'], 0.3, 0.9)
    for start, side in (('top', 'height'), ('left', 'width')):
        # The offset is uniform in the room that the crop leaves.
        assert_uniform(draws[start] / (1 - draws[side]), 0, 1)
        assert (draws[start] + draws[side] <= 1).all()
    # Rows and columns have offsets of their own.
    assert abs(np.corrcoef(draws['top'], draws['left'])[0, 1]) < 0.9


def test_a_whole_image_crop_is_allowed():
    draws = draw_many(GeometricSpace(scale=(1.0, 1.0)), 20)
    assert draws['height'] == [1] * 20
    assert draws['top'] == draws['left'] == [0] * 20


@pytest.mark.parametrize('space', [PhotometricSpace(), GeometricSpace(vflip_prob=0.5)])
def test_same_generator_gives_the_same_draws(space):
    assert draw_many(space, seed=3) == draw_many(space, seed=3)
    assert draw_many(space, seed=3) != draw_many(space, seed=4)


@pytest.mark.parametrize('grayscale_prob', [0.0, 0.3])
def test_changing_one_photometric_setting_leaves_the_other_values_untouched(grayscale_prob):
    base = draw_many(PhotometricSpace(grayscale_prob=grayscale_prob))
    changes = dict(
        brightness=(0.1, 0.2),
        contrast=(0.1, 0.2),
        saturation=(0.1, 0.2),
        hue=(0.2, 0.3),
        grayscale_prob=0.9,
        blur_prob=0.0,
        blur_sigma=(5.0, 6.0),
    )
    for setting, value in changes.items():
        settings = {'grayscale_prob': grayscale_prob, setting: value}
        changed = draw_many(PhotometricSpace(**settings))
        own = {'grayscale_prob': 'grayscale', 'blur_prob': 'blur_sigma'}.get(setting, setting)
        assert changed[own] != base[own]
        for name in set(base) - {own}:
            assert changed[name] == base[name], (setting, name)


def test_a_higher_jitter_probability_only_adds_operations():
    few, many = (draw_many(PhotometricSpace(jitter_prob=prob)) for prob in (0.3, 0.6))
    assert few['blur_sigma'] == many['blur_sigma']
    for name in JITTER:
        assert len(drawn(few[name])) < len(drawn(many[name]))
        both = [(f, m) for f, m in zip(few[name], many[name], strict=True) if f is not None]
        assert all(f == m for f, m in both)


def test_changing_one_geometric_setting_leaves_the_other_values_untouched():
    base = draw_many(GeometricSpace(vflip_prob=0.5))
    for prob in (0.0, 0.1):
        flips_less = draw_many(GeometricSpace(hflip_prob=prob, vflip_prob=0.5))
        assert flips_less['hflip'] != base['hflip']
        assert all(flips_less[name] == base[name] for name in set(base) - {'hflip'})
    no_vflip = draw_many(GeometricSpace())
    assert all(no_vflip[name] == base[name] for name in set(base) - {'vflip'})
    # A smaller crop leaves more room; it takes the same fraction of it.
    small = draw_many(GeometricSpace(scale=(0.2, 0.3), vflip_prob=0.5))
    assert small['hflip'] == base['hflip'] and small['vflip'] == base['vflip']
    for start, side in (('top', 'height'), ('left', 'width')):
        fractions = [
            np.array(draws[start]) / (1 - np.array(draws[side])) for draws in (small, base)
        ]
        np.testing.assert_allclose(*fractions, rtol=1e-9)


@pytest.mark.parametrize(
    ('space', 'name', 'value'),
    [
        (PhotometricSpace, 'brightness', (1.3, 0.7)),
        (PhotometricSpace, 'contrast', (-0.1, 1.0)),
        (PhotometricSpace, 'saturation', (1.0,)),
        (PhotometricSpace, 'saturation', (float('nan'), 1.0)),
        (PhotometricSpace, 'hue', (-0.6, 0.1)),
        (PhotometricSpace, 'hue', (0.0, 0.51)),
        (PhotometricSpace, 'blur_sigma', (-2.0, 1.0)),
        (PhotometricSpace, 'jitter_prob', 1.1),
        (PhotometricSpace, 'grayscale_prob', -0.1),
        (PhotometricSpace, 'blur_prob', 2),
        (GeometricSpace, 'scale', (0.5, 1.1)),
        (GeometricSpace, 'scale', (0.0, 1.0)),
        (GeometricSpace, 'scale', (0.9, 0.5)),
        (GeometricSpace, 'hflip_prob', 1.5),
        (GeometricSpace, 'vflip_prob', float('nan')),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(space, name, value):
    with pytest.raises(ValueError, match=rf'^{name} must be') as error:
        space(**{name: value})
    assert repr(value) in str(error.value)


@pytest.mark.parametrize('space', [PhotometricSpace, GeometricSpace])
def test_a_misspelt_setting_is_refused_by_name(space):
    with pytest.raises(TypeError, match='brigthness'):
        space(brigthness=(0.7, 1.3))


def test_draws_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PhotometricDraw().hue = 0.1
