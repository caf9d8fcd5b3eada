"""Copies of a network whose normalisation is a part of its convolutions."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_picie.models.frozen_copy import FrozenCopy, fold_norms


def with_statistics(network, seed=0):
    """A network whose norms are far from the identity, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for norm in network.modules():
        if isinstance(norm, _BatchNorm):
            for name in ('running_mean', 'bias'):
                getattr(norm, name).data.normal_(generator=generator)
            for name in ('running_var', 'weight'):
                getattr(norm, name).data.uniform_(0.5, 2, generator=generator)
    return network.eval()


def count_norms(network):
    return sum(isinstance(module, _BatchNorm) for module in network.modules())


def images(size=32, seed=1):
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(seed))


class Listed(nn.Sequential):
    """Gives a sequence, as backbones do."""

    def forward(self, inputs):
        return [super().forward(inputs)]


def small_network(norm=nn.BatchNorm2d):
    torch.manual_seed(0)
    return with_statistics(Listed(nn.Conv2d(3, 8, 3), norm(8), nn.ReLU(inplace=True)))


@pytest.fixture(params=['resnet', 'efficientnet'])
def encoder(request, make_picie):
    options = request.getfixturevalue(request.param) if request.param == 'efficientnet' else {}
    return with_statistics(make_picie(**options)._encoder())


@torch.no_grad()
def test_a_copy_of_an_encoder_computes_the_same_without_norms(encoder):
    frozen = FrozenCopy(encoder)
    assert count_norms(encoder) > 10
    for seed in (1, 2):  # folded at the first pass
        (found,), (expected,) = frozen(images(64, seed)), encoder(images(64, seed))
        near = 1e-4 * float(expected.abs().max())
        torch.testing.assert_close(found, expected, rtol=0, atol=near)
    assert count_norms(frozen) == 0
    assert not any(weight.requires_grad for weight in frozen.parameters())


@torch.no_grad()
def test_a_copy_is_independent_of_the_network():
    network = small_network()
    (expected,), frozen = network(images()), FrozenCopy(network)
    names = set(network.state_dict())
    for weight in network.parameters():
        weight.add_(1)
    (changed,) = network(images())
    torch.testing.assert_close(frozen(images())[0], expected)
    torch.testing.assert_close(network(images())[0], changed)  # nothing of it was folded
    assert set(network.state_dict()) == names


def test_a_copy_stays_in_eval_mode_and_gives_no_gradients():
    network = small_network().train()
    frozen = FrozenCopy(network).train()
    assert network.training and not any(module.training for module in frozen.modules())
    assert not frozen(images())[0].requires_grad


def test_networks_in_other_layouts_keep_theirs():
    network = small_network().to(memory_format=torch.channels_last)
    frozen = FrozenCopy(network)
    (found,) = frozen(images().contiguous(memory_format=torch.channels_last))
    assert found.is_contiguous(memory_format=torch.channels_last)
    weight = next(frozen.parameters())
    assert weight.is_contiguous(memory_format=torch.channels_last)


class Scaled(nn.BatchNorm2d):
    """Does more than normalise."""

    def forward(self, inputs):
        return 2 * super().forward(inputs)


class Standardised(nn.Conv2d):
    """Uses its weight in another way."""

    def forward(self, inputs):
        return F.conv2d(inputs, self.weight / self.weight.std(), self.bias)


class Twice(nn.Module):
    """Uses a convolution for two norms."""

    def __init__(self):
        super().__init__()
        self.conv, self.first, self.second = (
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.BatchNorm2d(4),
        )

    def forward(self, inputs):
        return [self.first(self.conv(inputs)), self.second(self.conv(inputs))]


class First(Listed):
    """Gives the first of what a module gives, not as a sequence."""

    def forward(self, inputs):
        return self[0](inputs)[0]


class Branched(nn.Module):
    """Uses what a convolution makes, with its norm and without."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, inputs):
        made = self.conv(inputs)
        return [self.norm(made) + made]


class Apart(Listed):
    """Has something between convolution and norm."""

    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))


@torch.no_grad()
@pytest.mark.parametrize(
    'network',
    [
        small_network(Scaled),
        with_statistics(Listed(Standardised(3, 4, 3), nn.BatchNorm2d(4))),
        with_statistics(Twice()),
        with_statistics(Branched()),
        with_statistics(Apart()),
        with_statistics(Listed(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4))),
        Listed(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)).eval(),
        with_statistics(Listed(nn.Flatten(), nn.Linear(3072, 4), nn.BatchNorm1d(4))),
    ],
    ids=lambda network: type(network).__name__ + type(list(network.children())[-1]).__name__,
)
def test_what_cannot_be_folded_is_left(network):
    expected = network(images(seed=3))
    folded = fold_norms(network, images())
    assert count_norms(folded) == count_norms(network)
    for found, value in zip(folded(images(seed=3)), expected, strict=True):
        torch.testing.assert_close(found, value)


@torch.no_grad()
def test_the_rest_is_folded_beside_a_layer_that_is_used_twice():
    torch.manual_seed(0)
    inner = Twice()
    network = with_statistics(Listed(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), First(inner)))
    expected = network(images(seed=3))
    folded = fold_norms(network, images())
    assert count_norms(folded) == 2
    torch.testing.assert_close(folded(images(seed=3)), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_norm_without_weights_and_one_for_several_ranks_are_folded():
    for norm in (nn.SyncBatchNorm(4), nn.BatchNorm2d(4, affine=False)):
        network = Listed(nn.Conv2d(3, 4, 3, bias=False), norm).eval()
        norm.running_mean.fill_(3)
        folded = fold_norms(network, images())
        assert count_norms(folded) == 0
        torch.testing.assert_close(folded(images(seed=3)), network(images(seed=3)))
