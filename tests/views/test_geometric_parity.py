"""Geometry against values measured on the released implementation (tests/data/golden)."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_picie.views import GeometricDraw, cover, crop_flip_features, crop_flip_image, resize


def to_draws(boxes, size, hflip, vflip):
    """Draws of the measured boxes, (row, column, side) in pixels of a square of that size."""
    return [
        GeometricDraw(row / size, column / size, side / size, side / size, bool(h), bool(v))
        for (row, column, side), h, v in zip(boxes.tolist(), hflip, vflip, strict=True)
    ]


def sees_only_the_crop(start, side, size, out_size):
    """Which of the outputs along an axis are mixed from the crop's own cells.

    The released code cuts the crop out first, so it repeats the crop's border outwards, where this
    package sees the true neighbours. Where the crop ends at the map's end, both repeat the border.
    """
    positions = (np.arange(out_size) + 0.5) * side / out_size - 0.5
    below, above = positions < 0, positions > side - 1
    return ~(below & (start > 0)) & ~(above & (start + side < size))


@pytest.mark.parametrize(
    ('name', 'flips'), [('image_crop_hflip', 'h'), ('image_crop_hflip_vflip', 'hv')]
)
def test_image_crop_flip_equals_the_released_one(golden, name, flips):
    """Tolerance 1e-6 on unit-variance values: the same bilinear sampling, in float32."""
    data = golden('crop_flip')
    vflip = data['vflip'] & ('v' in flips)
    draws = to_draws(data['image_boxes'], 64, data['hflip'][:2], vflip[:2])
    for image, draw, expected in zip(data['image'], draws, data[name], strict=True):
        # The crops (36 and 35 pixels) are shrunk to 32, so no output reaches beyond its crop.
        ours = crop_flip_image(image.transpose(1, 2, 0), draw, (32, 32))
        np.testing.assert_allclose(ours.transpose(2, 0, 1), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('size', [40, 8])
def test_feature_crop_flip_equals_the_released_one_inside_the_crop(golden, size):
    """Tolerance 1e-5 on unit-variance values, but for cells that sample beyond the crop's border.

    The released code holds sampling positions of up to 40 in float32, hence no less. The cells left
    out are the outermost ones of enlarged crops: there this package sees the true neighbours, so
    that the map stays aligned with the other view's.
    """
    data = golden('crop_flip')
    maps, boxes = data[f'map{size}'], data[f'map{size}_boxes']
    expected = data[f'map{size}_crop_hflip']
    draws = to_draws(boxes, size, data['hflip'], np.zeros(4, bool))
    ours = crop_flip_features(torch.from_numpy(maps), draws, (size, size)).numpy()
    for i, (row, column, side) in enumerate(boxes.tolist()):
        rows = sees_only_the_crop(row, side, size, size)
        columns = sees_only_the_crop(column, side, size, size)
        assert rows[1:-1].all() and columns[1:-1].all()  # at most the outermost cells differ
        if data['hflip'][i]:
            columns = columns[::-1]
        inside = rows[:, None] & columns
        np.testing.assert_allclose(
            ours[i, 0][inside], expected[i, 0][inside], rtol=0, atol=1e-5, err_msg=f'sample {i}'
        )


@pytest.mark.parametrize('size', [40, 8])
def test_feature_crop_flip_sees_the_true_neighbours_at_the_border_of_the_crop(golden, size):
    """Tolerance 2e-6 against torch's grid_sample on the whole map, at every cell."""
    data = golden('crop_flip')
    maps, boxes = torch.from_numpy(data[f'map{size}']), data[f'map{size}_boxes']
    draws = to_draws(boxes, size, data['hflip'], data['vflip'])
    ours = crop_flip_features(maps, draws, (size, size))
    grids = []
    for row, column, side in boxes.tolist():
        # grid_sample's coordinates: -1 and 1 are the borders of the map.
        steps = (torch.arange(size, dtype=torch.float64) + 0.5) / size * side
        y, x = ((start + steps) / size * 2 - 1 for start in (row, column))
        grids.append(torch.stack(torch.meshgrid(y, x, indexing='ij')[::-1], dim=-1))
    sampled = F.grid_sample(
        maps.double(), torch.stack(grids), padding_mode='border', align_corners=False
    )
    for i in range(len(maps)):
        dims = [2] * bool(data['hflip'][i]) + [1] * bool(data['vflip'][i])
        expected = sampled[i].flip(dims)
        torch.testing.assert_close(ours[i].double(), expected, rtol=0, atol=2e-6)


def test_base_image_and_view_2_equal_the_released_ones(golden):
    """Exact by Pillow; the faster filter differs by a grey level in few values."""
    data = golden('photometric')
    for exact in (True, False):
        base = cover(data['photo'], (64, 64), exact=exact)
        small = resize(base, (32, 32), exact=exact)
        # Larger than the image: it is enlarged.
        large = cover(data['photo'], (128, 128), exact=exact)
        for ours, released in (
            (base[::4], data['photo_base64']),
            (small, data['photo_base64_to_32']),
            (large[::8], data['photo_base128']),
        ):
            difference = ours.astype(int) - released
            assert abs(difference).max() <= 1 - exact
            assert (difference != 0).mean() < 0.01


def test_evaluated_labels_equal_the_released_ones(golden):
    """Exact. The released code turns the ignored value, 11 there, into -1."""
    data = golden('photometric')
    labels = cover(data['label'], (64, 64), nearest=True).astype(np.int64)
    np.testing.assert_array_equal(np.where(labels == 11, -1, labels), data['label_eval64'])
