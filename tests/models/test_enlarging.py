"""Labels are the argmax of what torch interpolates."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_picie.models import enlarging
from mmseg_picie.models.enlarging import label_bands, make_taps

#: K, size of the logits, size of the image.
SIZES = [
    (2, (1, 1), (1, 1)),
    (2, (1, 1), (7, 5)),
    (3, (1, 9), (1, 30)),
    (3, (5, 7), (40, 61)),
    (3, (5, 7), (3, 4)),
    (3, (5, 7), (5, 7)),
    (12, (20, 27), (90, 120)),
    (300, (9, 9), (50, 31)),
]


def draw(number: int, size: tuple[int, int]) -> torch.Tensor:
    return torch.randn(number, *size, generator=torch.Generator().manual_seed(1))


def expect(logits: torch.Tensor, size: tuple[int, int], align_corners: bool = False):
    """Labels, and whether two clusters are so near that rounding decides."""
    enlarged = F.interpolate(
        logits[None].double(), size, mode='bilinear', align_corners=align_corners
    )[0]
    best = enlarged.topk(2, dim=0)
    return best.indices[0], best.values[0] - best.values[1] < 1e-5


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(('number', 'grid', 'size'), SIZES)
def test_labels_are_the_argmax_of_the_interpolated_logits(number, grid, size, align_corners):
    logits = draw(number, grid)
    labels, is_open = expect(logits, size, align_corners)
    parts = list(label_bands([(0, logits)], grid, size, number, align_corners))
    found = torch.cat([rows[0] for _, rows in parts])
    assert found.dtype == (torch.uint8 if number <= 256 else torch.int32)
    assert ((found == labels) | is_open).all()


@pytest.mark.parametrize('height', [1, 2, 3, 5])
@pytest.mark.parametrize(('number', 'grid', 'size'), SIZES)
def test_however_logits_are_cut_into_bands_labels_are_the_same(number, grid, size, height):
    logits = draw(2 * number, grid)
    bands = [(top, logits[:, top : top + height]) for top in range(0, grid[0], height)]
    tops, parts = zip(*label_bands(bands, grid, size, number), strict=True)
    found = torch.cat(parts, dim=1)
    assert list(tops) == np.cumsum([0, *(part.shape[1] for part in parts[:-1])]).tolist()
    assert found.shape == (2, *size)
    for view, each in zip(found, logits.split(number), strict=True):
        labels, is_open = expect(each, size)
        assert ((view == labels) | is_open).all()


def test_labels_do_not_depend_on_how_much_is_done_at_once(monkeypatch):
    logits = draw(7, (11, 13))
    whole = [rows for _, rows in label_bands([(0, logits)], (11, 13), (200, 150), 7)]
    for name, value in (('_MOST_VALUES', 500), ('_MOST_PIXELS', 1000), ('_MOST_CELLS', 3)):
        monkeypatch.setattr(enlarging, name, value)
    parts = [rows for _, rows in label_bands([(0, logits)], (11, 13), (200, 150), 7)]
    assert len(parts) > len(whole)
    assert torch.equal(torch.cat(parts, dim=1), torch.cat(whole, dim=1))


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(('length', 'enlarged'), [(1, 5), (4, 4), (5, 17), (9, 3), (3, 1)])
def test_taps_are_those_of_torch(length, enlarged, align_corners):
    values = torch.randn(length)
    expected = F.interpolate(
        values[None, None, None], (1, enlarged), mode='bilinear', align_corners=align_corners
    )[0, 0, 0]
    taps = make_taps(length, enlarged, align_corners)
    found = values[taps.before] * (1 - taps.weight) + values[taps.after] * taps.weight
    torch.testing.assert_close(found, expected)
