"""Properties of the buffer that the initial fit's points are held in."""

import pytest
import torch

from mmseg_picie.clustering.point_buffer import PointBuffer


@pytest.mark.parametrize('num_expected', [0, 5, 17, 30])
def test_points_come_out_in_the_order_in_which_they_came(num_expected):
    parts = [torch.randn(size, 3) for size in (4, 0, 1, 10, 2)]
    buffer = PointBuffer(num_expected)
    for part in parts:
        buffer.append(part)
    assert len(buffer) == 17
    assert torch.equal(buffer.take(), torch.cat(parts))
    assert len(buffer) == 0


def test_memory_for_expected_points_is_taken_once_and_handed_over():
    buffer = PointBuffer(10)
    buffer.append(torch.randn(4, 3))
    before = buffer._held
    buffer.append(torch.randn(6, 3))
    points = buffer.take()
    assert points.data_ptr() == before.data_ptr()
    assert points.is_contiguous()
    assert buffer._held is None


def test_memory_is_doubled_not_grown_part_by_part():
    buffer, places = PointBuffer(), set()
    for _ in range(100):
        buffer.append(torch.randn(1, 3))
        places.add(len(buffer._held))
    assert sorted(places) == [1, 2, 4, 8, 16, 32, 64, 128]
