"""Properties of names, colours, and of maps between lists of classes."""

import cv2
import numpy as np
import pytest

from mmseg_picie.clustering import name_clusters, translate_map
from mmseg_picie.clustering.naming import distinct_palette


def test_clusters_take_the_name_and_colour_of_their_class():
    names = name_clusters([1, -1, 0, 1], ('sky', 'road'), [[1, 2, 3], [4, 5, 6]])
    assert names.classes == ('road', 'cluster 1', 'sky', 'road')
    own = distinct_palette(4)[1]
    assert names.palette == [[4, 5, 6], own, [1, 2, 3], [4, 5, 6]]


def test_a_cluster_without_a_class_has_the_colour_of_no_class():
    palette = distinct_palette(3)
    names = name_clusters([2, -1, 0, -1], ['a', 'b', 'c'], palette)
    assert names.palette[0] == palette[2] and names.palette[2] == palette[0]
    assert names.palette[3] == distinct_palette(4)[3]  # its own is free
    colours = {tuple(colour) for colour in names.palette} | {tuple(colour) for colour in palette}
    assert len(colours) == 5


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


#: What dichromats see of linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
DICHROMACY = dict(
    none=np.eye(3),
    deuteranopia=[
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    protanopia=[
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    tritanopia=[
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
)


def as_seen(palette, vision):
    """CIELAB of colours as somebody sees them, by OpenCV, which linearises RGB itself."""
    rgb = np.array(palette) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(DICHROMACY[vision]).T, 0, 1)
    return cv2.cvtColor(seen[None].astype(np.float32), cv2.COLOR_LRGB2LAB)[0]


@pytest.mark.parametrize('vision', DICHROMACY)
@pytest.mark.parametrize(('size', 'least'), [(7, 16), (12, 16), (20, 15), (40, 11)])
def test_colours_can_be_told_apart_whatever_colours_one_sees(vision, size, least):
    """A distance of 2.3 is just noticeable side by side."""
    lab = as_seen(distinct_palette(size), vision)
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=2)[np.triu_indices(size, 1)]
    assert distances.min() > least


def test_no_colour_is_nearly_white_black_or_grey():
    lab = as_seen(distinct_palette(40), 'none')
    assert lab[:, 0].min() > 25 and lab[:, 0].max() < 95
    assert np.hypot(lab[:, 1], lab[:, 2]).min() > 15


def test_colours_are_whole_numbers_in_range():
    palette = distinct_palette(60)
    assert np.array(palette).shape == (60, 3)
    assert all(isinstance(value, int) and 0 <= value <= 255 for c in palette for value in c)


def test_colours_stay_the_same_whatever_their_number():
    assert distinct_palette(60)[:9] == distinct_palette(9)
    assert distinct_palette(0) == []


def test_many_colours_all_differ():
    assert len({tuple(colour) for colour in distinct_palette(200)}) == 200


@pytest.mark.parametrize('seed', range(5))
def test_a_translated_map_says_the_same_names(seed):
    rng = np.random.default_rng(seed)
    names = [f'class {i}' for i in range(7)]
    classes = list(rng.permutation(names)[:5]) + ['another']
    given = rng.integers(-1, 7, (2, 9))
    told = translate_map(given, names, classes)
    for before, after in zip(given.ravel(), told.ravel(), strict=True):
        known = before >= 0 and names[before] in classes
        assert (classes[after] == names[before]) if known else after == -1


def test_the_same_list_leaves_a_map_as_it_is_even_with_repeated_names():
    names = ('void', 'sky', 'void')
    assert translate_map(np.array([2, 0, -1]), names, names).tolist() == [2, 0, -1]


def test_a_map_without_names_is_taken_as_it_is_if_it_fits():
    assert translate_map(np.array([1, -1]), None, ('a', 'b')).tolist() == [1, -1]
    assert translate_map(np.array([2, -1]), None, ('a', 'b')).tolist() == [-1, -1]
