"""Principal components of stacked levels, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from mmseg_picie.clustering import Moments, moments, principal_projection

CHANNELS = (3, 6, 4)


def points(number: int = 400, seed: int = 0) -> torch.Tensor:
    """Levels of very different sizes, far from zero, with correlated channels."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(13, 13, generator=generator)
    scale = torch.tensor([1.0] * 3 + [50.0] * 6 + [0.02] * 4)
    return (torch.randn(number, 13, generator=generator) @ mix + 5) * scale


def balanced(found: torch.Tensor) -> np.ndarray:
    """Centred levels, each of variance 1 in sum, by numpy."""
    parts = np.split(found.double().numpy(), np.cumsum(CHANNELS)[:-1], axis=1)
    return np.concatenate(
        [(p - p.mean(0)) / np.sqrt(p.var(0).sum()) for p in parts],
        axis=1,
    )


@pytest.mark.parametrize('size', [1, 5, 13])
def test_projected_points_are_the_components_of_balanced_levels(size):
    data = points()
    weight, bias = principal_projection(moments(data), CHANNELS, size)
    found = data.double() @ weight.double().T + bias.double()
    oracle = PCA(size).fit_transform(balanced(data))
    # Each component up to its sign.
    signs = np.sign((found.numpy() * oracle).sum(0))
    np.testing.assert_allclose(found.numpy(), oracle * signs, atol=1e-4)


def test_all_components_keep_every_distance():
    data = points(50)
    weight, bias = principal_projection(moments(data), CHANNELS, 13)
    found = data.double() @ weight.double().T + bias.double()
    expected = torch.cdist(*[torch.from_numpy(balanced(data))] * 2)
    torch.testing.assert_close(torch.cdist(found, found), expected, atol=1e-4, rtol=1e-3)


def test_moments_of_parts_add_up():
    data = points(90)
    parts = [moments(part) for part in data.split(40)]
    total = Moments(*(sum(entries) for entries in zip(*parts, strict=True)))
    for found, expected in zip(total, moments(data), strict=True):
        torch.testing.assert_close(found, expected)


def test_more_channels_than_the_backbone_has_are_refused():
    with pytest.raises(ValueError, match='14 channels .* 13 channels together; set out_channels'):
        principal_projection(moments(points()), CHANNELS, 14)


@pytest.mark.parametrize(('value', 'word'), [(2.0, 'constant'), (float('nan'), 'not finite')])
def test_a_level_that_tells_nothing_is_refused_by_its_number(value, word):
    data = points()
    data[:, 3:9] = value
    with pytest.raises(ValueError, match=f'level 1 of the backbone is {word}'):
        principal_projection(moments(data), CHANNELS, 2)
