"""Convolutions that apply the activation behind them."""

import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg_picie.models import fused_conv
from mmseg_picie.models.frozen_copy import FrozenCopy
from mmseg_picie.models.fused_conv import FusedConv, fuse_activations

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason='this torch has no oneDNN'
)


def images(*shape, seed=1):
    return torch.randn(*(shape or (2, 3, 32, 32)), generator=torch.Generator().manual_seed(seed))


class Listed(nn.Sequential):
    """Gives a sequence, as backbones do."""

    def forward(self, inputs):
        return [super().forward(inputs)]


def conv(channels=4, **options):
    return nn.Conv2d(3, channels, 3, **options)


def freeze(network):
    return network.eval().requires_grad_(False)


def count(network, kind):
    return sum(isinstance(module, kind) for module in network.modules())


def assert_same(network, fused, inputs, rtol=1e-5):
    for found, expected in zip(fused(inputs), network(inputs), strict=True):
        near = rtol * float(expected.abs().max())
        torch.testing.assert_close(found, expected, rtol=0, atol=near)


@pytest.fixture(params=['resnet', 'efficientnet'])
def encoder(request, make_picie):
    options = request.getfixturevalue(request.param) if request.param == 'efficientnet' else {}
    return freeze(make_picie(**options)._encoder())


@torch.no_grad()
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_an_encoder_computes_the_same_for_images_of_any_size(encoder, layout):
    encoder.to(memory_format=layout)
    fused = fuse_activations(encoder, images(1, 3, 64, 64))
    assert count(fused, nn.Conv2d) == count(fused, FusedConv) > 10
    for shape in ((2, 3, 64, 64), (1, 3, 64, 64), (2, 3, 49, 70), (2, 3, 64, 64)):
        assert_same(encoder, fused, images(*shape).contiguous(memory_format=layout))


@torch.no_grad()
def test_all_activations_of_efficientnet_are_fused(make_picie, efficientnet):
    encoder = freeze(make_picie(**efficientnet)._encoder())
    frozen = FrozenCopy(encoder)
    frozen(images(1, 3, 64, 64))
    fused = [module for module in frozen.modules() if isinstance(module, FusedConv)]
    activated = [module for module in fused if isinstance(module.activation, nn.ReLU6)]
    assert len(activated) == count(encoder, nn.ReLU6) == count(frozen, nn.ReLU6) > 20


@torch.no_grad()
def test_autocast_convolves_in_its_precision(encoder):
    fused = fuse_activations(encoder, images(1, 3, 64, 64))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found, expected = fused(images(2, 3, 64, 64))[0], encoder(images(2, 3, 64, 64))[0]
    assert found.dtype == expected.dtype == torch.bfloat16
    near = 0.02 * float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0, atol=near)
    assert_same(encoder, fused, images(2, 3, 64, 64))  # and in float32 again


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_precisions_that_the_processor_lacks_are_left_to_the_layers(monkeypatch, encoder, dtype):
    fused = fuse_activations(encoder, images(1, 3, 64, 64))
    assert count(fused, FusedConv) > 10
    monkeypatch.setattr(fused_conv, '_is_known', lambda dtype: dtype == torch.float32)
    with torch.autocast('cpu', dtype=dtype):
        assert_same(encoder, fused, images(2, 3, 64, 64), rtol=0)


@torch.no_grad()
@pytest.mark.parametrize(
    'activation',
    [nn.ReLU, nn.ReLU6, lambda inplace: nn.Hardtanh(-0.3, 0.2, inplace), nn.SiLU, nn.Hardswish],
)
def test_an_activation_in_place_becomes_a_part_of_its_convolution(activation):
    network = freeze(Listed(conv(), activation(inplace=True), nn.Conv2d(4, 5, 1)))
    fused = fuse_activations(network, images())
    assert [type(layer) for layer in fused] == [FusedConv, nn.Identity, FusedConv]
    assert_same(network, fused, images(3, 3, 20, 30))
    assert count(network, nn.Conv2d) == 2  # it is a copy


class Same(nn.Conv2d):
    """Pads to ceil(size / stride) cells, more behind than before."""

    def forward(self, inputs):
        pads = []
        for axis in (1, 0):  # F.pad begins with the last
            size, stride = inputs.shape[2 + axis], self.stride[axis]
            reach = (self.kernel_size[axis] - 1) * self.dilation[axis] + 1
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            pads += [total // 2, total - total // 2]
        padded = F.pad(inputs, pads)
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


@torch.no_grad()
@pytest.mark.parametrize('groups', [1, 2, 6])
@pytest.mark.parametrize('kernel', [1, 2, 3, 5, (3, 5)])
@pytest.mark.parametrize(('stride', 'dilation'), [(1, 1), (2, 1), (3, 1), ((1, 2), 1), (1, 2)])
def test_padding_that_is_not_symmetric_is_kept(groups, kernel, stride, dilation):
    torch.manual_seed(0)
    layer = Same(6, 12, kernel, stride, dilation=dilation, groups=groups)
    network = freeze(Listed(layer, nn.ReLU6(inplace=True)))
    fused = fuse_activations(network, images(1, 6, 16, 16))
    assert isinstance(fused[0], FusedConv) and isinstance(fused[1], nn.Identity)
    for shape in ((2, 6, 16, 16), (2, 6, 15, 16), (2, 6, 16, 15), (1, 6, 13, 11)):
        assert_same(network, fused, images(*shape))


class Standardised(nn.Conv2d):
    """Uses its weight in another way."""

    def forward(self, inputs):
        return F.conv2d(inputs, self.weight / self.weight.std(), self.bias)


class Forked(nn.Module):
    """Uses what a convolution makes, with the activation and without."""

    def __init__(self):
        super().__init__()
        self.conv, self.activation = conv(), nn.ReLU(inplace=False)

    def forward(self, inputs):
        made = self.conv(inputs)
        return [self.activation(made), made]


class Twice(nn.Module):
    """Uses an activation behind two convolutions, and one of these again."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.activation = conv(3), conv(), nn.ReLU(inplace=True)

    def forward(self, inputs):
        return [
            self.activation(self.first(self.first(inputs))),
            self.activation(self.second(inputs)),
        ]


class Added(nn.Module):
    """Has something between convolution and activation, in place."""

    def __init__(self):
        super().__init__()
        self.conv, self.activation = conv(3, padding=1), nn.ReLU(inplace=True)

    def forward(self, inputs):
        return [self.activation(self.conv(inputs) + inputs)]


@torch.no_grad()
@pytest.mark.parametrize(
    ('network', 'convs'),
    [
        (Listed(Standardised(3, 4, 3), nn.ReLU(inplace=True)), 1),
        (Listed(conv(padding=1, padding_mode='reflect'), nn.ReLU(inplace=True)), 1),
        (Listed(conv(padding='same'), nn.ReLU(inplace=True)), 1),
        (Forked(), 0),
        (Twice(), 1),
        (Added(), 0),
        (Listed(conv(), nn.LeakyReLU(inplace=True)), 0),
    ],
    ids=['standardised', 'reflect', 'text', 'forked', 'twice', 'added', 'leaky'],
)
def test_what_cannot_be_fused_is_left(network, convs):
    fused = fuse_activations(freeze(network), images())
    assert count(fused, nn.Conv2d) - count(fused, FusedConv) == convs
    fused_ones = [module for module in fused.modules() if isinstance(module, FusedConv)]
    assert all(isinstance(module.activation, nn.Identity) for module in fused_ones)
    assert_same(network, fused, images(seed=3))


@torch.no_grad()
def test_the_rest_is_fused_beside_a_layer_that_computes_something_else():
    torch.manual_seed(0)
    network = freeze(Listed(Standardised(3, 3, 1), conv(), nn.ReLU(inplace=True)))
    fused = fuse_activations(network, images())
    assert [type(layer) for layer in fused] == [Standardised, FusedConv, nn.Identity]
    assert_same(network, fused, images(seed=3))


class Curious(Listed):
    """Looks at its layers."""

    def forward(self, inputs):
        assert self[0].out_channels == 4
        return super().forward(inputs)


@torch.no_grad()
def test_a_network_that_looks_at_its_layers_stays_as_it_is():
    network = freeze(Curious(conv(), nn.ReLU(inplace=True)))
    assert fuse_activations(network, images()) is network


@torch.no_grad()
@pytest.mark.parametrize('name', ['_convolution_pointwise', '_reorder_convolution_weight'])
def test_operations_that_are_missing_change_nothing(monkeypatch, name):
    operations = {
        other: getattr(torch.ops.mkldnn, other)
        for other in ('_convolution_pointwise', '_reorder_convolution_weight')
        if other != name
    }
    network = freeze(Listed(conv(), nn.ReLU(inplace=True)))
    monkeypatch.setattr(torch.ops, 'mkldnn', SimpleNamespace(**operations))
    fused = fuse_activations(network, images())
    assert count(fused, FusedConv) == 0 and count(fused, nn.Conv2d) == 1
    assert_same(network, fused, images(seed=3))


@torch.no_grad()
def test_precisions_that_one_dnn_does_not_know_change_nothing():
    network = freeze(Listed(conv(), nn.ReLU(inplace=True))).double()
    fused = fuse_activations(network, images().double())
    assert count(fused, FusedConv) == 0
    assert_same(network, fused, images().double())


def test_a_model_can_be_copied_while_it_is_trained(make_picie, fit, pair):
    """Hooks do that; the layout of weights in the labeler is known to oneDNN alone."""
    model = fit(make_picie())
    expected = model.loss(*pair)
    assert count(model._labeler[0], FusedConv) > 10
    found = copy.deepcopy(model).loss(*pair)
    for key, value in expected.items():
        assert torch.equal(found[key], value), key
