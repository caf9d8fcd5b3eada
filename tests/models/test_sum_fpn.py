"""Properties of the decoder."""

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_picie.models import SumFPN


def maps(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, *shape, generator=generator) for shape in shapes]


def test_output_has_the_finest_size_whatever_the_sizes_are():
    neck = SumFPN((2, 3, 4), out_channels=6)
    (out,) = neck(maps((2, 13, 9), (3, 7, 5), (4, 1, 2)))
    assert out.shape == (1, 6, 13, 9)


def test_one_level_is_its_lateral_convolution():
    neck = SumFPN((3,), out_channels=4)
    (level,) = maps((3, 5, 6))
    torch.testing.assert_close(neck([level])[0], neck.laterals[0](level))


def test_two_levels_are_the_finer_one_plus_the_enlarged_coarser_one():
    """Pillow enlarges bilinearly, with the same convention of pixel centres."""
    neck = SumFPN((2, 3), out_channels=1)
    fine, coarse = maps((2, 10, 14), (3, 5, 7))
    lateral = neck.laterals[1](coarse)[0, 0].detach().numpy()
    enlarged = Image.fromarray(lateral).resize((14, 10), Image.Resampling.BILINEAR)
    expected = neck.laterals[0](fine)[0, 0] + torch.from_numpy(np.array(enlarged))
    torch.testing.assert_close(neck([fine, coarse])[0][0, 0], expected, rtol=0, atol=1e-5)


def test_a_projection_of_stacked_levels_is_the_decoder():
    neck = SumFPN((2, 3, 4), out_channels=5)
    levels = maps((2, 13, 9), (3, 7, 5), (4, 1, 2))
    generator = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(5, 9, generator=generator), torch.randn(5, generator=generator)
    stacked = neck.stack(levels)
    assert torch.equal(stacked[:, :2], levels[0])
    neck.project(weight, bias)
    expected = torch.einsum('dc,nchw->ndhw', weight, stacked) + bias[:, None, None]
    torch.testing.assert_close(neck(levels)[0], expected)


def test_every_weight_of_every_level_gets_a_gradient():
    neck = SumFPN((2, 3, 4), out_channels=5)
    neck(maps((2, 8, 8), (3, 4, 4), (4, 2, 2)))[0].square().sum().backward()
    assert len(list(neck.parameters())) == 6
    assert all(weight.grad.abs().sum() > 0 for weight in neck.parameters())


@pytest.mark.parametrize('channels', [(2, 3), (2, 3, 5), (2, 3, 4, 4)])
def test_levels_that_do_not_fit_are_refused_with_both_channels(channels):
    neck = SumFPN((2, 3, 4), out_channels=5)
    with pytest.raises(ValueError) as error:
        neck(maps(*[(c, 4, 4) for c in channels]))
    assert str((2, 3, 4)) in str(error.value) and str(channels) in str(error.value)


@pytest.mark.parametrize('shape', [(35, 2), (2,)])
def test_tokens_are_refused_with_their_shapes(shape):
    with pytest.raises(ValueError, match=r'takes levels of shape \(N, C, H, W\).*\[\(1, '):
        SumFPN((2,))(maps(shape))


def test_channels_last_levels_are_refused_with_their_shapes():
    with pytest.raises(ValueError, match=r'\(1, 8, 6, 2\), \(1, 4, 3, 5\).*channels last'):
        SumFPN((2, 5))(maps((8, 6, 2), (4, 3, 5)))


def test_levels_that_cannot_be_are_refused_when_built():
    with pytest.raises(TypeError, match=r'the number 384; for one level write \(384,\)'):
        SumFPN(384)
    with pytest.raises(ValueError, match='at least one level'):
        SumFPN(())
