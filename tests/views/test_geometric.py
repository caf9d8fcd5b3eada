"""Properties of crop, flip and resize."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import map_coordinates

from mmseg_picie.views import (
    GeometricDraw,
    GeometricSpace,
    cover,
    cover_size,
    crop_flip_features,
    crop_flip_image,
    resize,
)

FLIPS = [(False, False), (True, False), (False, True), (True, True)]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def ramp(height, width):
    """A float image whose three channels are linear in the position, (height, width, 3)."""
    y = (np.arange(height, dtype=np.float32)[:, None, None] + 0.5) / height
    x = (np.arange(width, dtype=np.float32)[None, :, None] + 0.5) / width
    return y * np.float32([1, 0, 2]) + x * np.float32([0, 1, -3])


def pool(image, stride):
    """Stand-in for a network: means of blocks, as an (1, 3, H / stride, W / stride) map."""
    return F.avg_pool2d(torch.from_numpy(image).permute(2, 0, 1)[None], stride)


@pytest.mark.parametrize(('hflip', 'vflip'), FLIPS)
@pytest.mark.parametrize(
    ('image_size', 'view_size', 'stride'),
    [((96, 96), (48, 48), 4), ((96, 160), (64, 80), 4), ((120, 72), (60, 96), 6)],
)
def test_feature_crop_flip_commutes_with_image_crop_flip(
    image_size, view_size, stride, hflip, vflip
):
    """Crop the image, then the network: the same as the network, then crop the map.

    Exact (1e-5) for a linear image and an averaging network, away from the image's border.
    """
    draw = GeometricDraw(top=0.11, left=0.23, height=0.61, width=0.47, hflip=hflip, vflip=vflip)
    image = ramp(*image_size)
    first = pool(crop_flip_image(image, draw, view_size), stride)
    second = crop_flip_features(pool(image, stride), [draw], tuple(first.shape[2:]))
    assert first.shape[2:] == (view_size[0] // stride, view_size[1] // stride)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)


@pytest.mark.parametrize(('hflip', 'vflip'), FLIPS)
def test_image_crop_flip_shows_the_part_of_the_scene_that_the_draw_says(hflip, vflip):
    draw = GeometricDraw(0.125, 0.25, 0.5, 0.375, hflip, vflip)
    ours = crop_flip_image(ramp(64, 128), draw, (16, 24))
    y = 0.125 + 0.5 * (np.arange(16)[:, None, None] + 0.5) / 16
    x = 0.25 + 0.375 * (np.arange(24)[None, :, None] + 0.5) / 24
    if vflip:
        y = y[::-1]
    if hflip:
        x = x[:, ::-1]
    expected = y * [1, 0, 2] + x * [0, 1, -3]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


def test_image_and_map_of_one_resolution_are_cropped_alike():
    rng = np.random.default_rng(5)
    image = rng.normal(size=(20, 30, 3)).astype(np.float32)
    space = GeometricSpace(scale=(0.3, 1.0), vflip_prob=0.5)
    draws = [space.draw(rng) for _ in range(8)]
    maps = torch.from_numpy(image).permute(2, 0, 1).expand(8, -1, -1, -1)
    ours = crop_flip_features(maps, draws, (14, 11))
    for draw, result in zip(draws, ours, strict=True):
        expected = crop_flip_image(image, draw, (14, 11)).transpose(2, 0, 1)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_image_crop_flip_equals_bilinear_sampling_by_scipy(dtype):
    image = noise(33, 47, 3).astype(dtype)
    rng = np.random.default_rng(1)
    space = GeometricSpace(scale=(0.2, 1.0), vflip_prob=0.5)
    for _ in range(5):
        draw = space.draw(rng)
        ours = crop_flip_image(image, draw, (24, 40))
        rows = (draw.top + draw.height * (np.arange(24) + 0.5) / 24) * 33 - 0.5
        columns = (draw.left + draw.width * (np.arange(40) + 0.5) / 40) * 47 - 0.5
        rows, columns = rows[:: -1 if draw.vflip else 1], columns[:: -1 if draw.hflip else 1]
        grid = np.meshgrid(rows, columns, indexing='ij')
        expected = np.stack(
            [
                map_coordinates(image[..., c].astype(float), grid, order=1, mode='nearest')
                for c in range(3)
            ],
            axis=-1,
        )
        assert ours.dtype == dtype
        # Bytes are rounded to the nearest.
        atol = 0.5 + 1e-3 if dtype == np.uint8 else 1e-3
        np.testing.assert_allclose(ours, expected, rtol=0, atol=atol)


def test_the_whole_image_not_flipped_is_the_image():
    image = noise(12, 17, 3)
    np.testing.assert_array_equal(crop_flip_image(image, GeometricDraw(), (12, 17)), image)
    maps = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    torch.testing.assert_close(crop_flip_features(maps, [GeometricDraw()], (12, 17)), maps)


@pytest.mark.parametrize(('hflip', 'vflip'), FLIPS)
def test_flips_mirror_the_whole_image(hflip, vflip):
    image = noise(6, 9, 3)
    ours = crop_flip_image(image, GeometricDraw(hflip=hflip, vflip=vflip), (6, 9))
    expected = image[:: -1 if vflip else 1, :: -1 if hflip else 1]
    np.testing.assert_array_equal(ours, expected)


def test_image_crop_flip_leaves_its_input_unchanged():
    image = noise(6, 9, 3)
    before = image.copy()
    crop_flip_image(image, GeometricDraw(0.1, 0.1, 0.5, 0.5, True, True), (4, 4))
    np.testing.assert_array_equal(image, before)


def test_each_map_of_a_batch_is_cropped_by_its_own_draw():
    maps = torch.randn(3, 2, 8, 10, generator=torch.Generator().manual_seed(0))
    draws = [
        GeometricDraw(0.1, 0.2, 0.5, 0.6),
        GeometricDraw(hflip=True),
        GeometricDraw(0.3, 0.0, 0.7, 0.7, vflip=True),
    ]
    together = crop_flip_features(maps, draws, (5, 7))
    alone = [crop_flip_features(maps[i : i + 1], draws[i : i + 1], (5, 7)) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_a_number_of_draws_other_than_of_maps_is_refused():
    with pytest.raises(ValueError, match='3 feature maps need as many draws, but got 2'):
        crop_flip_features(torch.zeros(3, 1, 4, 4), [GeometricDraw()] * 2, (4, 4))


def test_gradient_of_feature_crop_flip_is_right():
    """Against finite differences, in float64."""
    maps = torch.randn(2, 2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    draws = [GeometricDraw(0.13, 0.2, 0.7, 0.6, hflip=True), GeometricDraw(0.3, 0, 0.5, 0.9)]
    assert torch.autograd.gradcheck(
        lambda x: crop_flip_features(x, draws, (3, 6)), maps.requires_grad_()
    )


# The size after the resize and the top left corner of the crop, computed by hand: the image is
# scaled until it covers the target, rounded down; the crop is centred, half a pixel to the even.
@pytest.mark.parametrize(
    ('shape', 'size', 'resized', 'corner'),
    [
        ((100, 200), (50, 50), (50, 100), (0, 25)),
        ((200, 100), (50, 50), (100, 50), (25, 0)),
        ((30, 50), (40, 40), (40, 66), (0, 13)),  # enlarged
        ((10, 10), (64, 64), (64, 64), (0, 0)),  # enlarged
        ((60, 100), (32, 96), (57, 96), (12, 0)),  # 25 / 2 rounded to the even 12
        ((360, 480), (160, 160), (160, 213), (0, 26)),  # 53 / 2 = 26.5, even 26
        ((37, 53), (40, 20), (40, 57), (0, 18)),
        ((40, 60), (20, 30), (20, 30), (0, 0)),  # the same aspect
        ((48, 64), (48, 64), (48, 64), (0, 0)),
    ],
)
def test_cover_is_resize_and_centre_crop(shape, size, resized, corner):
    image, labels = noise(*shape, 3), noise(*shape, seed=1)
    assert cover_size(shape, size) == resized
    top, left = corner
    box = (left, top, left + size[1], top + size[0])
    for array, nearest, method in (
        (image, False, Image.Resampling.BILINEAR),
        (labels, True, Image.Resampling.NEAREST),
    ):
        expected = Image.fromarray(array).resize(resized[::-1], method).crop(box)
        found = cover(array, size, nearest=nearest, exact=True)
        np.testing.assert_array_equal(found, np.asarray(expected))
        difference = cover(array, size, nearest=nearest).astype(int) - np.asarray(expected)
        assert abs(difference).max() <= 1 - nearest
        assert (difference != 0).mean() < 0.1  # of noise; of photographs less


def test_cover_always_gives_the_size_and_the_largest_centred_part():
    rng = np.random.default_rng(2)
    for _ in range(50):
        shape, size = rng.integers(1, 40, 2), rng.integers(1, 40, 2)
        result = cover(noise(*shape, 3), tuple(size.tolist()))
        assert result.shape == (*size, 3)
        height, width = cover_size(tuple(shape.tolist()), tuple(size.tolist()))
        assert height == size[0] or width == size[1]
        assert height >= size[0] and width >= size[1]


def test_cover_of_labels_makes_no_new_values():
    labels = np.where(noise(61, 43) > 127, 255, 3).astype(np.uint8)
    assert set(np.unique(cover(labels, (32, 32), nearest=True))) == {3, 255}


def test_resize_to_the_same_size_changes_nothing():
    image = noise(9, 14, 3)
    np.testing.assert_array_equal(resize(image, (9, 14)), image)
