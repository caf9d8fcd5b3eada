"""Windows cover an image, and what is blended is what the whole image gives."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_picie.models.windows import blend_bands, hat, plan_intervals, share_weights


@pytest.mark.parametrize('length', [1, 2, 3, 7, 8, 9, 12, 13, 16, 31, 100])
@pytest.mark.parametrize(('side', 'step'), [(1, 1), (8, 8), (8, 5), (8, 1)])
def test_every_pixel_is_covered_and_no_window_leaves_the_axis(length, side, step):
    plan = plan_intervals(length, side, step)
    covered = torch.zeros(length)
    for start in plan.starts:
        assert start >= 0 and start + plan.side <= length
        covered[start : start + plan.side] += 1
    assert plan.length == length
    assert covered.min() >= 1
    assert list(plan.starts) == sorted(set(plan.starts))
    if length % 4 == side % 4 == step % 4 == 0:
        assert all(start % 4 == 0 for start in plan.starts)


@pytest.mark.parametrize(('length', 'side', 'step'), [(0, 4, 4), (9, 0, 1), (9, 4, 0), (9, 4, 5)])
def test_plans_with_gaps_or_without_pixels_are_refused(length, side, step):
    with pytest.raises(ValueError, match='windows need'):
        plan_intervals(length, side, step)


@pytest.mark.parametrize('make_profile', [hat, torch.ones])
@pytest.mark.parametrize('length', [4, 8, 12, 20, 36, 40, 100])
def test_weights_sum_to_one_at_each_place(length, make_profile):
    plan = plan_intervals(length, 16, 12)
    shares = share_weights(plan, 4, make_profile(plan.side // 4))
    total = torch.zeros(length // 4)
    for start, share in zip(plan.starts, shares, strict=True):
        assert (share > 0).all()
        total[start // 4 : start // 4 + len(share)] += share
    torch.testing.assert_close(total, torch.ones(length // 4))


def pool(images: torch.Tensor) -> torch.Tensor:
    """A network that sees nothing beyond its cell of 4 x 4 pixels."""
    return F.avg_pool2d(torch.cat([images, images.square()], dim=1), 4)


@pytest.mark.parametrize('size', [(4, 4), (4, 64), (64, 4), (16, 16), (20, 28), (44, 100)])
@pytest.mark.parametrize('batch_size', [1, 3, 100])
def test_bands_are_the_map_of_the_whole_image_each_row_once(size, batch_size):
    image = torch.randn(3, *size, generator=torch.Generator().manual_seed(0))
    rows, columns = (plan_intervals(length, 16, 12) for length in size)
    asked, tops, bands = [], [], []

    def read(top: int, bottom: int) -> torch.Tensor:
        asked.append((top, bottom))
        return image[:, top:bottom]

    for top, band in blend_bands(pool, read, rows, columns, batch_size):
        tops.append(top)
        bands.append(band.clone())
    heights = [band.shape[1] for band in bands]
    assert tops == [sum(heights[:i]) for i in range(len(heights))]
    assert asked == [(start, start + rows.side) for start in rows.starts]
    torch.testing.assert_close(torch.cat(bands, dim=1), pool(image[None])[0])


def test_no_more_than_the_rows_of_a_window_are_held():
    image = torch.randn(3, 400, 32)
    rows, columns = plan_intervals(400, 16, 12), plan_intervals(32, 16, 12)
    bands = blend_bands(pool, lambda a, b: image[:, a:b], rows, columns, 1)
    assert max(band.shape[1] for _, band in bands) <= 4
