"""Properties of names, colours and label files."""

import colorsys
import itertools
import os
import stat

import cv2
import numpy as np
import pytest

from mmseg_picie.evaluation import name_clusters
from mmseg_picie.evaluation.label_files import NO_CLASS, to_label_ids, write_image
from mmseg_picie.evaluation.naming import distinct_palette


def test_clusters_take_the_name_and_colour_of_their_class():
    names = name_clusters([1, -1, 0, 1], ('sky', 'road'), [[1, 2, 3], [4, 5, 6]])
    assert names.classes == ('road', 'cluster 1', 'sky', 'road')
    own = distinct_palette(4)[1]
    assert names.palette == [[4, 5, 6], own, [1, 2, 3], [4, 5, 6]]


def test_clusters_without_classes_have_names_and_colours_of_their_own():
    for names in (name_clusters([-1, -1, -1]), name_clusters([0, 1, 2])):
        assert names.classes == ('cluster 0', 'cluster 1', 'cluster 2')
        assert names.palette == distinct_palette(3)


def test_names_without_a_palette_and_classes_beyond_the_list():
    names = name_clusters([0, 5], ('sky',))
    assert names.classes == ('sky', 'cluster 1')
    assert names.palette == distinct_palette(2)


def test_names_may_come_from_an_array():
    assert name_clusters(np.array([0, -1]), ('sky',), [[9, 9, 9]]).palette[0] == [9, 9, 9]


def test_colours_can_be_told_apart():
    palette = distinct_palette(27)
    assert np.array(palette).shape == (27, 3)
    assert all(isinstance(value, int) and 0 <= value <= 255 for c in palette for value in c)
    for first, second in itertools.combinations(palette, 2):
        assert max(abs(a - b) for a, b in zip(first, second, strict=True)) >= 20
    hues = [colorsys.rgb_to_hsv(*colour)[0] for colour in palette]
    assert max(np.diff(sorted(hues))) < 0.1  # spread over the whole circle


def test_colours_stay_the_same_whatever_their_number():
    assert distinct_palette(40)[:9] == distinct_palette(9)
    assert distinct_palette(0) == []


def test_many_colours_all_differ():
    assert len({tuple(colour) for colour in distinct_palette(200)}) == 200


def test_label_ids_are_classes_where_any_is_known():
    clusters = np.array([[0, 1], [2, 1]])
    np.testing.assert_array_equal(
        to_label_ids(clusters, np.array([4, -1, 0])), [[4, NO_CLASS], [0, NO_CLASS]]
    )
    for unknown in (None, np.array([-1, -1, -1])):
        ids = to_label_ids(clusters, unknown)
        np.testing.assert_array_equal(ids, clusters)
        assert ids.dtype == np.uint8


def test_image_is_written_losslessly_and_nothing_else(tmp_path):
    rng = np.random.default_rng(0)
    for name, shape in (('labels.png', (7, 9)), ('overlay.png', (7, 9, 3))):
        image = rng.integers(0, 256, shape, np.uint8)
        write_image(str(tmp_path / name), image)
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / name), -1), image)
    assert sorted(os.listdir(tmp_path)) == ['labels.png', 'overlay.png']
    # Readable as any file, though a temporary one is private.
    assert stat.S_IMODE((tmp_path / 'labels.png').stat().st_mode) == 0o644


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


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(OSError):
        write_image(str(tmp_path / 'none' / 'labels.png'), np.zeros((2, 2), np.uint8))


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    path = tmp_path / 'labels.png'
    path.mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(OSError):
        write_image(str(path), np.zeros((2, 2), np.uint8))
    assert os.listdir(tmp_path) == ['labels.png']
