"""Images that show the same picture are found as a comparison of each with each finds them."""

import numpy as np
import pytest

from mmseg_picie.datasets.near_duplicates import (
    MAX_BITS,
    MAX_LEVELS,
    fingerprint,
    group_alike,
    shrink_look,
)


def test_a_fingerprint_is_of_structure_and_not_of_brightness():
    rng = np.random.default_rng(0)
    image = rng.integers(60, 160, (32, 32)).astype(np.uint8)
    assert fingerprint(image + 40) == fingerprint(image)
    assert np.array_equal(shrink_look(image + 40), shrink_look(image))
    others = [fingerprint(rng.integers(0, 256, (32, 32)).astype(np.uint8)) for _ in range(50)]
    assert np.bitwise_count(np.array(others) ^ fingerprint(image)).min() > 2 * MAX_BITS
    # Half of the bits are ones: they are cut at the median.
    assert abs(int(np.bitwise_count(fingerprint(image))) - 32) <= 1


def by_all_pairs(fingerprints, looks):
    """The same groups by the rule alone: the first image of an earlier group that is near."""
    groups: dict[int, list[int]] = {}
    for index in range(len(fingerprints)):
        for first, group in groups.items():
            bits = bin(int(fingerprints[first]) ^ int(fingerprints[index])).count('1')
            levels = 2 * np.abs(looks[first].astype(float) - looks[index]).mean()
            if bits <= MAX_BITS and levels <= MAX_LEVELS:
                group.append(index)
                break
        else:
            groups[index] = [index]
    return [group for group in groups.values() if len(group) > 1]


@pytest.mark.parametrize('seed', range(3))
def test_groups_are_those_of_all_pairs(seed):
    """Bits are flipped in 0 to 8 places, and looks moved by 0 to 10 levels."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 1 << 63, 12).astype(np.uint64)
    views = rng.integers(-60, 60, (12, 256))
    chosen = rng.integers(12, size=150)
    fingerprints, looks = pictures[chosen], views[chosen]
    for index in range(150):
        for bit in rng.permutation(64)[: rng.integers(9)]:
            fingerprints[index] ^= np.uint64(1) << np.uint64(bit)
        looks[index] += rng.integers(6) * rng.choice([-1, 1], 256)
    looks = looks.astype(np.int8)
    found = [group.tolist() for group in group_alike(fingerprints, looks)]
    assert found == by_all_pairs(fingerprints, looks)
    assert 5 < len(found) < 60


def test_no_images_have_no_groups():
    assert group_alike(np.zeros(0, np.uint64), np.zeros((0, 256), np.int8)) == []
