"""Properties of what a report counts and chooses, against plain loops over pixels."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_picie.apis.prediction import Source
from mmseg_picie.apis.report import patch_numbers
from mmseg_picie.apis.report_images import SeenImage
from mmseg_picie.apis.report_patches import PATCH_SIDE, PatchNumbers, PatchPicker
from mmseg_picie.apis.report_tally import PLACES, Tally, inner_pixels
from mmseg_picie.visualization.report.findings import LINE_WIDTH

K = 5


def make_image(number, size=(54, 72), area=None, block=1):
    """An image of random features, and random segments in blocks of so many cells."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, K, (9 // block, 12 // block)).repeat(block, 0).repeat(block, 1)
    clusters = small.repeat(size[0] // 9, 0).repeat(size[1] // 12, 1)
    features = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(7, 9, 12))), dim=0)
    return SeenImage(
        Source(f'{number}.png', f'image {number}'),
        area or clusters.size,
        rng.integers(0, 255, (*size, 3)).astype(np.uint8),
        clusters,
        small,
        features.float(),
        rng.normal(size=(9, 12)).astype(np.float32),
    )


def test_counts_are_those_of_plain_loops():
    images = [make_image(i, area=(i + 1) * 1000) for i in range(4)]
    tally = Tally(K, 3)
    shares = [tally.add(image) for image in images]
    for k in range(K):
        weights = [image.area / image.clusters.size for image in images]
        pixels = [(image.clusters == k).sum() * w for image, w in zip(images, weights, strict=True)]
        assert tally.pixels[k] == pytest.approx(sum(pixels))
        assert tally.images[k] == sum(p > 0 for p in pixels)
        assert tally.largest[k] == pytest.approx(max(pixels))
        assert tally.largest_names[k] == f'image {np.argmax(pixels)}'
        colours = [
            w * i.detail[i.clusters == k].sum(0) for i, w in zip(images, weights, strict=True)
        ]
        rgb = (sum(colours) / sum(pixels))[::-1]
        assert np.allclose(tally.mean_colour(k), rgb, atol=0.51)
        for number, image in enumerate(images):
            assert shares[number][k] == pytest.approx((image.clusters == k).mean())


def test_places_are_shares_of_the_image_at_each_place():
    image = make_image(0)
    tally = Tally(K)
    tally.add(image)
    expected = np.zeros((K, *PLACES))
    height, width = image.clusters.shape
    for y in range(height):
        for x in range(width):
            place = y * PLACES[0] // height, x * PLACES[1] // width
            expected[(image.clusters[y, x], *place)] += 1 / (height * width)
    assert np.allclose(tally.places, expected)


def test_cosines_are_those_of_mean_features():
    images = [make_image(i) for i in range(3)]
    tally = Tally(K)
    for image in images:
        tally.add(image)
    means = []
    for k in range(K):
        points = [i.features.numpy().transpose(1, 2, 0)[i.cells == k] for i in images]
        means.append(np.concatenate(points).mean(0))
    norms = np.linalg.norm(means, axis=1)
    expected = np.array(means) @ np.array(means).T / np.outer(norms, norms)
    assert np.allclose(tally.cosines(), expected, atol=1e-5)


@pytest.mark.parametrize('reach', [1, 2])
def test_inner_pixels_have_nothing_else_around_them(reach):
    clusters = make_image(3).clusters
    found = inner_pixels(clusters, reach)
    for (y, x), inner in np.ndenumerate(found):
        around = clusters[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        assert inner == (around == clusters[y, x]).all()


@pytest.mark.parametrize(
    ('width', 'is_line'), [(LINE_WIDTH * 0.9, True), (LINE_WIDTH * 1.5, False)]
)
def test_a_line_has_no_inner_pixels_and_what_is_wider_has(width, is_line):
    clusters = np.zeros((300, 400), np.int64)
    clusters[100 : 100 + round(width * 300)] = 1
    image = make_image(0)._replace(clusters=clusters, area=clusters.size)
    tally = Tally(K)
    tally.add(image)
    assert (tally.inner[1] == 0) == is_line


def test_labels_are_counted_at_the_pixels_of_the_segments():
    image = make_image(1)
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 255], (9, 12))
    tally = Tally(K, 3)
    tally.add_labels(image, labels.repeat(12, 0).repeat(12, 1))  # twice the size of the segments
    expected = np.zeros((3, K), np.int64)
    for cluster, label in zip(image.cells.ravel(), labels.ravel(), strict=True):
        if label != 255:
            expected[label, cluster] += 36
    assert np.array_equal(tally.confusion, expected)
    assert tally.num_labelled == 1


def test_patches_are_of_the_nearest_and_farthest_pixels_of_each_cluster():
    """One an image; pixels with other clusters around them only where there are no others."""
    images = [make_image(i, block=1 + 2 * (i % 2)) for i in range(30)]
    assert any(inner_pixels(image.cells).any() for image in images)
    picker = PatchPicker(K, len(images), PatchNumbers(4, 3))
    for image in images:
        picker.offer(image)
    for k in range(K):
        best, worst = [], []
        for image in images:
            own = image.cells == k
            inner = own & inner_pixels(image.cells)
            chosen = image.closeness[inner if inner.any() else own]
            if chosen.size:
                best.append((chosen.max(), image.source.name))
                worst.append((chosen.min(), image.source.name))
        nearest = [name for _, name in sorted(best, reverse=True)[:4]]
        rim = [name for _, name in sorted(worst)[:3]]
        assert [patch.image for patch in picker.nearest(k)] == nearest
        assert [patch.image for patch in picker.rim(k)] == rim


def test_few_images_give_several_patches_from_different_places():
    image = make_image(0)
    picker = PatchPicker(K, 1, PatchNumbers(3, 2))
    picker.offer(image)
    patches = [patch.picture for patch in picker.nearest(0)]
    assert 1 < len(patches) <= 3 and len(set(patches)) == len(patches)


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (9, 600)])
def test_a_patch_of_any_image_is_a_square(size):
    image = make_image(0)._replace(
        detail=np.zeros((*size, 3), np.uint8), clusters=np.zeros(size, np.int64)
    )
    picker = PatchPicker(K, 1, PatchNumbers())
    picker.offer(image)
    content = picker.nearest(0)[0].picture.partition(',')[2]
    with Image.open(io.BytesIO(base64.b64decode(content))) as patch:
        assert patch.size == (PATCH_SIDE, PATCH_SIDE)


@pytest.mark.parametrize('num_clusters', [2, 12, 40, 156, 157, 300, 1000])
def test_all_patches_together_stay_below_five_megabytes(num_clusters):
    numbers = patch_numbers(num_clusters)
    assert num_clusters * (numbers.nearest + numbers.rim) * numbers.max_bytes <= 5_000_000
    assert numbers.nearest >= 1 and numbers.rim >= 1
    if num_clusters <= 156:
        assert (numbers.nearest, numbers.rim) == (12, 6)
