"""Photometric operations against values measured on the released implementation.

The bound asked for is 2 grey levels on average (mean absolute difference). Each test states the
tighter one that holds. Images there are RGB, here BGR.
"""

import numpy as np
import pytest
import torch

from mmseg_picie.models import PairedViewDataPreProcessor
from mmseg_picie.views import PhotometricDraw, apply_photometric, cover


def to_bgr(image):
    return np.ascontiguousarray(image[..., ::-1])


def differences(ours, expected):
    """Absolute differences in grey levels, of a BGR image and every 4th row of an RGB one."""
    return np.abs(ours[::4, :, ::-1].astype(int) - expected.astype(int))


# Bounds are on the mean and the largest difference. Brightness and contrast are the same table of
# values. Saturation rounds where Pillow cuts off. Hue: OpenCV and Pillow round H and S differently.
@pytest.mark.parametrize(
    ('name', 'value', 'mean', 'largest'),
    [
        ('brightness', '0.7', 0, 0),
        ('brightness', '1.3', 0, 0),
        ('contrast', '0.7', 0, 0),
        ('contrast', '1.3', 0, 0),
        ('saturation', '0.7', 0.5, 1),
        ('saturation', '1.3', 0.5, 1),
        ('hue', '-0.1', 1.2, 12),
        ('hue', '0.1', 1.2, 12),
        ('hue', '0.0039', 1.2, 12),
    ],
)
def test_single_operation_is_near_the_released_one(golden, name, value, mean, largest):
    data = golden('photometric')
    ours = apply_photometric(to_bgr(data['image']), PhotometricDraw(**{name: float(value)}))
    found = differences(ours, data[f'op_{name}_{value}'])
    assert found.mean() <= mean
    assert found.max() <= largest


# A and D blur (sigma 1.04 and 1.8), B is made grey, C leaves out brightness and saturation.
@pytest.mark.parametrize(('name', 'mean'), [('A', 1.7), ('B', 0.9), ('C', 1.2), ('D', 1.7)])
def test_chain_of_operations_is_near_the_released_one(golden, name, mean):
    data = golden('photometric')
    chances = data[f'chain_{name}_plist']
    jitter = [
        float(factor) if chance < 0.8 else None
        for factor, chance in zip(data[f'chain_{name}_factors'], chances[:4], strict=True)
    ]
    draw = PhotometricDraw(
        *jitter,
        grayscale=bool(data[f'chain_{name}_gray'] and chances[4] < 0.2),
        blur_sigma=float(data[f'chain_{name}_blur']) if chances[5] < 0.5 else None,
    )
    ours = apply_photometric(to_bgr(data['image']), draw)
    assert differences(ours, data[f'chain_{name}']).mean() <= mean


def normalise(image):
    """Take a BGR image through the preprocessor, as one of two views."""
    views = [[torch.from_numpy(image).permute(2, 0, 1)] for _ in range(2)]
    batch = PairedViewDataPreProcessor()(dict(inputs=views, data_samples=[]), training=True)
    return batch['inputs'][0][0].numpy()


def test_normalised_view_equals_the_released_one(golden):
    """Tolerance 1e-6 on the measured image, so that the order of the channels must be right."""
    data = golden('photometric')
    ours = normalise(to_bgr(data['chain_A']))
    np.testing.assert_allclose(ours, data['chain_A_normalised'], rtol=0, atol=1e-6)


def test_normalised_evaluation_image_equals_the_released_one(golden):
    """Tolerance 1e-6, from the photo on."""
    data = golden('photometric')
    ours = normalise(cover(to_bgr(data['photo']), (64, 64), exact=True))
    np.testing.assert_allclose(ours[:, ::4], data['photo_eval64'], rtol=0, atol=1e-6)
