"""Properties of names, colours, and of maps between lists of classes."""

import colorsys
import itertools

import numpy as np
import pytest

from mmseg_picie.clustering import name_clusters, translate_map
from mmseg_picie.clustering.naming import distinct_palette


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
