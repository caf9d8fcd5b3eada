"""The parts of the losses that are functions of tensors alone."""

import torch
import torch.nn.functional as F

from mmseg_picie.models.losses import unit_length


def make_features(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 5, 3, 4, generator=generator, dtype=dtype)


def test_unit_length_and_its_gradient_are_torchs_own():
    features = make_features()
    features[0, :, 1, 1] = 0
    weight = make_features().flip(1)
    results = []
    for function in (unit_length, F.normalize):
        leaf = features.clone().requires_grad_()
        made = function(leaf)
        (made * weight).sum().backward()
        results.append((made, leaf.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert not results[0][0][0, :, 1, 1].any()


def test_the_gradient_of_unit_length_is_that_of_differences():
    torch.autograd.gradcheck(unit_length, make_features(torch.float64).requires_grad_())


def test_unit_length_keeps_the_layout():
    features = make_features().to(memory_format=torch.channels_last)
    assert unit_length(features).is_contiguous(memory_format=torch.channels_last)
