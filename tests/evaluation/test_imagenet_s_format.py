"""Files for ImageNet-S: ids, places, sizes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_picie.evaluation import ImageNetSSubmission, to_rg_image


def make_sample(path: str, clusters: list, cluster_to_class: list | None) -> dict:
    """A prediction as the model gives it, for a model of one view."""
    sample = dict(img_path=path, pred_sem_seg=dict(data=torch.tensor(clusters)[None]))
    if cluster_to_class is not None:
        sample['cluster_to_class'] = np.array([cluster_to_class])
    return sample


def read_ids(path: Path) -> list:
    pixels = np.asarray(Image.open(path)).astype(int)
    assert not pixels[..., 2].any()
    return (pixels[..., 0] + 256 * pixels[..., 1]).tolist()


def test_every_id_of_two_channels_is_spread_by_division():
    ids = np.arange(65536).reshape(256, 256)
    image = to_rg_image(ids)
    assert image.dtype == np.uint8 and image.shape == (256, 256, 3)
    assert [divmod(int(i), 256) for i in ids.ravel()] == [
        (int(green), int(red)) for red, green, _ in image.reshape(-1, 3)
    ]
    assert not image[..., 2].any()
    assert to_rg_image(np.array([[1000]]))[0, 0].tolist() == [232, 3, 0]


@pytest.mark.parametrize('dtype', [np.uint8, np.int8, np.int64])
def test_ids_of_any_integer_type_are_kept(dtype):
    assert to_rg_image(np.array([[0, 50, 127]], dtype))[0, :, 0].tolist() == [0, 50, 127]


@pytest.mark.parametrize(
    ('ids', 'words'),
    [
        (np.array([[-1]]), 'from 0 to 65535, but got -1'),
        (np.array([[65536]]), 'to 65536'),
        (np.array([[0.5]]), 'integers, but got float64'),
        (np.array([0]), r'of shape \(1,\)'),
    ],
)
def test_what_two_channels_cannot_hold_is_refused(ids, words):
    with pytest.raises(ValueError, match=words):
        to_rg_image(ids)


def test_written_files_lie_as_the_images_do_and_read_back_as_the_classes(tmp_path):
    metric = ImageNetSSubmission(root='data/s50', output_dir=str(tmp_path / 'out'))
    mapping = [300, -1, 50]  # the middle cluster is unmatched, so it becomes background
    samples = [
        make_sample('data/s50/test/a.JPEG', [[0, 1, 2], [2, 2, 0]], mapping),
        make_sample('data/s50/validation/n01443537/b.c.JPEG', [[1], [0]], mapping),
    ]
    for sample in samples:
        metric.process({}, [sample])
    written = {p.relative_to(tmp_path / 'out').as_posix() for p in tmp_path.rglob('*.*')}
    assert written == {'test/a.png', 'validation/n01443537/b.c.png'}
    assert read_ids(tmp_path / 'out/test/a.png') == [[300, 0, 50], [50, 50, 300]]
    assert read_ids(tmp_path / 'out/validation/n01443537/b.c.png') == [[0], [300]]
    assert metric.evaluate(2) == dict(images_written=2)


@pytest.mark.parametrize('mapping', [None, [-1, -1, -1]])
def test_model_that_knows_no_classes_is_refused_before_anything_is_written(tmp_path, mapping):
    metric = ImageNetSSubmission(root='data', output_dir=str(tmp_path / 'out'))
    with pytest.raises(ValueError, match='never validated on labels'):
        metric.process({}, [make_sample('data/test/a.JPEG', [[0]], mapping)])
    assert list(tmp_path.iterdir()) == []


def test_a_name_may_begin_with_dots(tmp_path):
    metric = ImageNetSSubmission(root='data', output_dir=str(tmp_path / 'out'))
    metric.process({}, [make_sample('data/..a.JPEG', [[0]], [1])])
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['..a.png']


def test_image_outside_the_root_is_refused_by_name(tmp_path):
    metric = ImageNetSSubmission(root='elsewhere', output_dir=str(tmp_path / 'out'))
    with pytest.raises(ValueError, match=r"data/test/a\.JPEG does not lie below root='elsewhere'"):
        metric.process({}, [make_sample('data/test/a.JPEG', [[0]], [1])])
    assert list(tmp_path.iterdir()) == []
