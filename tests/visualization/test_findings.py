"""Properties of the warnings of a report, on both sides of their thresholds."""

import numpy as np
import pytest

from mmseg_picie.visualization.report import findings


def told(found):
    """Facts, with clusters by their numbers."""
    return [finding.fact.format(*(f'<{k}>' for k in range(20))) for finding in found]


def test_a_cluster_far_below_an_equal_part_has_collapsed():
    counts = np.full(5, 100_000)
    equal = 3 * 100_000 / 5  # if the two hold next to nothing
    counts[2] = round(equal * findings.MIN_PART * 0.8)
    counts[3] = round(equal * findings.MIN_PART * 1.2)
    assert told(findings.find_collapsed(counts)) == ['<2> has 0.3 % of all pixels']
    assert findings.find_collapsed(np.full(5, 1000)) == []


def test_an_empty_cluster_has_collapsed_and_no_other_warning():
    counts = np.array([500, 0, 500])
    assert told(findings.find_collapsed(counts)) == ['<1> has 0 % of all pixels']
    assert findings.find_borders(np.array([400, 0, 400]), counts) == []
    assert findings.find_in_one_image(np.array([9, 0, 9]), counts, ['a', '', 'a'], 9) == []
    cosines = np.ones((3, 3))
    assert told(findings.find_alike(cosines, counts)) == ['<0> and <2> have a cosine of 1.000']


@pytest.mark.parametrize(('share', 'is_told'), [(0.91, True), (0.89, False)])
def test_a_cluster_that_takes_nearly_everything(share, is_told):
    counts = np.array([share * 1000, (1 - share) * 1000])
    assert bool(findings.find_dominant(counts)) == is_told


def test_pairs_that_look_the_same_are_told_once_most_similar_first():
    cosines = np.eye(4)
    for (i, j), cosine in {(0, 3): 0.99, (1, 2): 0.999, (0, 1): 0.97}.items():
        cosines[i, j] = cosines[j, i] = cosine
    found = told(findings.find_alike(cosines, np.ones(4)))
    assert found == ['<1> and <2> have a cosine of 0.999', '<0> and <3> have a cosine of 0.990']


def test_a_cluster_that_is_nowhere_wider_than_a_line():
    counts = np.array([1000, 1000])
    inner = np.array([1000 * findings.MIN_INNER - 1, 1000 * findings.MIN_INNER + 1])
    assert told(findings.find_borders(inner, counts)) == ['<0> is a line, but for 4.9 % of it']


def test_a_cluster_of_one_photograph_is_told_with_its_name():
    counts, largest = np.array([1000, 1000]), np.array([960, 940])
    names = ['a{0}b', 'c']
    found = findings.find_in_one_image(largest, counts, names, 3)
    assert told(found) == ['96 % of <0> lie in a{0}b']
    assert findings.find_in_one_image(largest, counts, names, 2) == []
