"""Properties of label files."""

import os
import stat

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_picie.evaluation.label_files import make_ids, write_image


def test_label_ids_are_classes_where_any_is_known():
    clusters = np.array([[0, 1], [2, 1]])
    np.testing.assert_array_equal(
        make_ids(np.array([4, -1, 0]), 3).apply(clusters), [[4, 255], [0, 255]]
    )
    for unknown in (None, np.array([-1, -1, -1])):
        ids = make_ids(unknown, 3).apply(clusters)
        np.testing.assert_array_equal(ids, clusters)
        assert ids.dtype == np.uint8


@pytest.mark.parametrize('num_clusters', [2, 256, 257, 4096])
def test_many_clusters_are_written_as_they_are(tmp_path, num_clusters):
    """In 16 bits where 8 do not suffice, whatever clusters an image happens to show."""
    for clusters in (np.arange(num_clusters)[None], np.zeros((2, 2), np.int64)):
        write_image(str(tmp_path / 'labels.png'), make_ids(None, num_clusters).apply(clusters))
        with Image.open(tmp_path / 'labels.png') as image:
            assert image.mode.startswith('I;16' if num_clusters > 256 else 'L')
            np.testing.assert_array_equal(np.asarray(image), clusters)


@pytest.mark.parametrize('num_classes', [254, 255, 256, 1000])
def test_many_classes_leave_an_id_for_none(num_classes):
    table = np.append(np.arange(num_classes), -1)
    made = make_ids(table, num_classes + 1)
    ids = made.apply(np.arange(num_classes + 1)[None])[0]
    assert ids[:-1].tolist() == list(range(num_classes))
    assert ids[-1] == made.no_class >= num_classes


def test_image_is_written_losslessly_and_nothing_else(tmp_path):
    rng = np.random.default_rng(0)
    for name, shape in (('labels.png', (7, 9)), ('overlay.png', (7, 9, 3))):
        image = rng.integers(0, 256, shape, np.uint8)
        write_image(str(tmp_path / name), image)
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / name), -1), image)
    assert sorted(os.listdir(tmp_path)) == ['labels.png', 'overlay.png']
    # Readable as any file, though a temporary one is private.
    (tmp_path / 'any').touch()
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ('labels.png', 'any')}
    assert modes['labels.png'] == modes['any']


def test_an_image_replaces_an_older_one(tmp_path):
    path = tmp_path / 'labels.png'
    path.write_text('old')
    write_image(str(path), np.zeros((2, 2), np.uint8))
    assert cv2.imread(str(path), -1).shape == (2, 2)


def test_an_image_may_be_written_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image('labels.png', np.zeros((2, 2), np.uint8))
    assert os.listdir(tmp_path) == ['labels.png']


@pytest.mark.parametrize('name', ['labels.nonsense', 'labels'])
def test_an_unknown_suffix_is_refused_by_name(tmp_path, name):
    path = str(tmp_path / name)
    with pytest.raises(OSError) as error:
        write_image(path, np.zeros((2, 2), np.uint8))
    assert path in str(error.value)
    assert os.listdir(tmp_path) == []


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    path = tmp_path / 'labels.png'
    path.mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(OSError):
        write_image(str(path), np.zeros((2, 2), np.uint8))
    assert os.listdir(tmp_path) == ['labels.png']
