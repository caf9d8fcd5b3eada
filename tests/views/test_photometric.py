"""Properties of the photometric operations, and Pillow as their oracle."""

import colorsys

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from scipy.ndimage import gaussian_filter

from mmseg_picie.views import PhotometricDraw, apply_photometric
from mmseg_picie.views.photometric import gaussian_blur, shift_hue, to_grayscale

OPERATIONS = [
    dict(brightness=1.2),
    dict(contrast=0.8),
    dict(saturation=1.3),
    dict(hue=0.1),
    dict(grayscale=True),
    dict(blur_sigma=1.0),
]


@pytest.fixture
def image():
    """A smooth colourful BGR image of a size that is not square."""
    y, x = np.mgrid[:40, :56]
    rng = np.random.default_rng(0)
    waves = [127 + 90 * np.sin(x / a + y / b) for a, b in ((5, 9), (11, 4), (7, -6))]
    return (np.stack(waves, axis=-1) + rng.normal(0, 10, (40, 56, 3))).clip(0, 255).astype(np.uint8)


def to_pillow(image):
    return Image.fromarray(np.ascontiguousarray(image[..., ::-1]))


def from_pillow(image):
    return np.asarray(image)[..., ::-1].astype(int)


@pytest.mark.parametrize('operation', OPERATIONS)
def test_operation_changes_a_copy(image, operation):
    before = image.copy()
    result = apply_photometric(image, PhotometricDraw(**operation))
    np.testing.assert_array_equal(image, before)
    assert result.shape == image.shape and result.dtype == np.uint8
    assert (result != image).any()


def test_no_operation_changes_nothing(image):
    np.testing.assert_array_equal(apply_photometric(image, PhotometricDraw()), image)
    neutral = PhotometricDraw(brightness=1.0, contrast=1.0, saturation=1.0)
    np.testing.assert_array_equal(apply_photometric(image, neutral), image)


@pytest.mark.parametrize(
    ('name', 'enhancer'),
    [
        ('brightness', ImageEnhance.Brightness),
        ('contrast', ImageEnhance.Contrast),
        ('saturation', ImageEnhance.Color),
    ],
)
@pytest.mark.parametrize('factor', [0.0, 0.7, 1.3, 1.9])
def test_brightness_contrast_and_saturation_are_pillows(image, name, enhancer, factor):
    """Within one grey level: Pillow cuts decimals off."""
    ours = apply_photometric(image, PhotometricDraw(**{name: factor}))
    expected = from_pillow(enhancer(to_pillow(image)).enhance(factor))
    assert np.abs(ours - expected).max() <= 1


@pytest.mark.parametrize('turns', [-0.5, -0.1, 0.05, 1 / 3])
def test_hue_is_turned_as_colorsys_does(image, turns):
    """Within 2 grey levels on average and 11 at most: H has 256 steps."""
    small = image[::4, ::4]
    expected = []
    for blue, green, red in small.reshape(-1, 3) / 255:
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        turned = colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value)
        expected.append([255 * channel for channel in turned[::-1]])
    found = np.abs(shift_hue(small, turns) - np.array(expected).reshape(small.shape))
    assert found.mean() <= 2
    assert found.max() <= 11


def test_hue_of_grey_is_not_seen(image):
    grey = to_grayscale(image)
    np.testing.assert_array_equal(shift_hue(grey, 0.3), grey)


def test_grayscale_is_pillows_luma(image):
    """Within one grey level, in three equal channels."""
    ours = apply_photometric(image, PhotometricDraw(grayscale=True)).astype(int)
    assert np.abs(ours - np.asarray(to_pillow(image).convert('L'))[..., None]).max() <= 1
    assert (ours == ours[..., :1]).all()


@pytest.mark.parametrize('sigma', [0.1, 0.7, 1.3, 2.0])
def test_blur_is_near_pillows_away_from_the_border(image, sigma):
    """Within 1 grey level on average and 4 at most: Pillow approximates the Gaussian."""
    expected = from_pillow(to_pillow(image).filter(ImageFilter.GaussianBlur(sigma)))
    found = np.abs(gaussian_blur(image, sigma) - expected)[8:-8, 8:-8]
    assert found.mean() <= 1
    assert found.max() <= 4


@pytest.mark.parametrize('sigma', [0.5, 1.0, 2.0])
def test_blur_is_a_gaussian_of_the_standard_deviation_asked_for(image, sigma):
    """Within 2 grey levels of scipy's, away from the border."""
    expected = gaussian_filter(image.astype(float), (sigma, sigma, 0))
    assert np.abs(gaussian_blur(image, sigma) - expected)[8:-8, 8:-8].max() <= 2


def test_operations_are_applied_in_the_recipes_order(image):
    draw = PhotometricDraw(1.3, 0.7, 1.3, 0.1, grayscale=True, blur_sigma=1.5)
    result = image
    for operation in (
        dict(brightness=1.3),
        dict(contrast=0.7),
        dict(saturation=1.3),
        dict(hue=0.1),
        dict(grayscale=True),
        dict(blur_sigma=1.5),
    ):
        result = apply_photometric(result, PhotometricDraw(**operation))
    np.testing.assert_array_equal(apply_photometric(image, draw), result)
