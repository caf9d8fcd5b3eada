"""The synthetic scenes: reproducible, well-formed, balanced, and not told apart by raw colour."""

import cv2
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans

from mmseg_picie.datasets.scenes.content import CLASSES, PALETTE, STUFF, THINGS
from mmseg_picie.datasets.scenes.renderer import render_scene


def _scene(seed: int, height: int = 160, width: int = 240) -> tuple[np.ndarray, np.ndarray]:
    return render_scene(np.random.default_rng((11, seed)), height, width)


@pytest.fixture(scope='module')
def scenes() -> list[tuple[np.ndarray, np.ndarray]]:
    return [_scene(seed) for seed in range(40)]


def test_classes_palette_and_groups_agree():
    assert len(set(CLASSES)) == len(CLASSES) == len(PALETTE)
    assert all(len(colour) == 3 and 0 <= min(colour) <= max(colour) <= 255 for colour in PALETTE)
    assert sorted(STUFF + THINGS) == list(range(len(CLASSES)))
    # Distinct at a glance: no two colours nearer than a third of one channel's range.
    colours = np.array(PALETTE, float)
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    assert apart[~np.eye(len(colours), dtype=bool)].min() > 85


def test_same_seed_gives_identical_scene():
    for first, second in zip(_scene(3), _scene(3), strict=True):
        np.testing.assert_array_equal(first, second)


def test_different_seeds_give_different_scenes(scenes):
    digests = {image.tobytes() for image, _ in scenes}
    assert len(digests) == len(scenes)
    assert len({label.tobytes() for _, label in scenes}) == len(scenes)


def test_scene_depends_on_generator_only():
    # Data loader workers run OpenCV single-threaded, the main process does not; the legacy global
    # generator must play no part either.
    threads = cv2.getNumThreads()
    np.random.seed(0)
    expected = _scene(5)
    try:
        cv2.setNumThreads(1)
        np.random.seed(1)
        found = _scene(5)
    finally:
        cv2.setNumThreads(threads)
    for first, second in zip(expected, found, strict=True):
        np.testing.assert_array_equal(first, second)


def test_generator_advances_so_consecutive_scenes_differ():
    rng = np.random.default_rng(0)
    assert not np.array_equal(render_scene(rng, 64, 64)[0], render_scene(rng, 64, 64)[0])


@pytest.mark.parametrize(
    ('height', 'width'), [(32, 32), (128, 128), (96, 200), (200, 96), (32, 320), (320, 32)]
)
def test_shape_dtype_and_label_range_for_any_size(height, width):
    for seed in range(12):
        image, label = _scene(seed, height, width)
        assert image.shape == (height, width, 3) and image.dtype == np.uint8
        assert label.shape == (height, width) and label.dtype == np.uint8
        assert label.max() < len(CLASSES)
        # As packing for torch needs it.
        assert image.flags.c_contiguous and label.flags.c_contiguous
        assert image.std() > 2


def test_image_is_bgr():
    # Over many scenes the sky is bluer than the sand: OpenCV's order has blue first.
    sky, sand = [], []
    for seed in range(40):
        image, label = _scene(seed, 64, 96)
        for name, means in (('sky', sky), ('sand', sand)):
            inside = label == CLASSES.index(name)
            if inside.any():
                means.append(image[inside].mean(0))
    sky, sand = np.mean(sky, axis=0), np.mean(sand, axis=0)
    assert sky[0] - sky[2] > sand[0] - sand[2] + 10


def test_every_class_is_frequent(scenes):
    counts = sum(np.bincount(label.ravel(), minlength=len(CLASSES)) for _, label in scenes)
    share = counts / counts.sum()
    for class_id in STUFF:
        assert share[class_id] >= 0.06, (CLASSES[class_id], share[class_id])
    for class_id in THINGS:
        assert share[class_id] >= 0.015, (CLASSES[class_id], share[class_id])


def test_labels_follow_image_edges(scenes):
    # Independent of the painting: where the label changes, so does the image, more than elsewhere.
    at_border, elsewhere = [], []
    for image, label in scenes:
        grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (0, 0), 1).astype(float)
        step = np.abs(grey[:, 2:] - grey[:, :-2])[:, 1:-1]
        changes = label[:, 1:] != label[:, :-1]
        border = changes[:, 1:-2] | changes[:, 2:-1]
        at_border.append(step[border])
        elsewhere.append(step[~border])
    assert np.concatenate(at_border).mean() > 2 * np.concatenate(elsewhere).mean()


def test_raw_colour_does_not_tell_the_class(scenes):
    pixels = np.concatenate([image[3::6, 3::6].reshape(-1, 3) for image, _ in scenes])
    labels = np.concatenate([label[3::6, 3::6].ravel() for _, label in scenes])
    kmeans = KMeans(len(CLASSES), n_init=2, random_state=0).fit(pixels.astype(np.float32))
    confusion = np.zeros((len(CLASSES), len(CLASSES)))
    np.add.at(confusion, (labels, kmeans.labels_), 1)
    union = confusion.sum(1, keepdims=True) + confusion.sum(0, keepdims=True) - confusion
    iou = confusion / union
    miou = iou[linear_sum_assignment(iou, maximize=True)].mean()
    assert miou < 0.2


@pytest.mark.parametrize(('height', 'width', 'named'), [(31, 64, '31'), (64, 8, '8'), (0, 64, '0')])
def test_too_small_a_scene_is_refused_and_the_value_named(height, width, named):
    with pytest.raises(ValueError, match=rf'at least 32 pixels.*\b{named}\b'):
        render_scene(np.random.default_rng(0), height, width)
