"""Activations in place that save their result: the same numbers from less memory."""

import copy
import math
import pickle

import pytest
import torch
from torch import nn

from mmseg_picie.acceleration.in_place import save_results

BOUNDED = [nn.ReLU6(inplace=True), nn.Hardtanh(-2.0, 0.5, inplace=True)]


def saving(layer):
    """A copy of a layer that saves its result."""
    layer = copy.deepcopy(layer)
    save_results(layer)
    return layer


def values(layer):
    """Below, at, between, at and above the bounds, and NaN."""
    low, high = layer.min_val, layer.max_val
    return torch.tensor([low - 1, low, (low + high) / 2, high, high + 1, math.nan])


def run(layer, inputs, make=lambda leaf: leaf * 1):
    """Output and gradient of a layer for what an operation makes of the inputs."""
    leaf = inputs.clone().requires_grad_()
    output = layer(make(leaf))
    output.backward(torch.arange(1.0, 1 + output.numel()).view_as(output))
    return output.detach(), leaf.grad


def saved_bytes(function):
    """Memory that a function's graph keeps, without parameters."""
    found = {}

    def pack(tensor):
        if not (tensor.is_leaf and tensor.requires_grad):
            storage = tensor.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = function()
    assert output.requires_grad
    return sum(found.values())


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize('layer', BOUNDED, ids=['ReLU6', 'Hardtanh'])
@pytest.mark.parametrize(
    'make',
    [lambda leaf: leaf * 1, lambda leaf: (leaf * 1)[::2], lambda leaf: (leaf * 1).view(2, 3).T],
    ids=['result', 'slice', 'transposed'],
)
def test_numbers_are_those_of_torch(layer, make):
    inputs = values(layer)
    assert_same(run(saving(layer), inputs, make), run(layer, inputs, make))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_numbers_are_those_of_torch_channels_last(dtype):
    layer = nn.ReLU6(inplace=True)
    inputs = 4 * torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    inputs = inputs.to(dtype, memory_format=torch.channels_last)
    found = run(saving(layer), inputs)
    assert_same(found, run(layer, inputs))
    assert found[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('layer', BOUNDED, ids=['ReLU6', 'Hardtanh'])
def test_the_result_alone_is_saved_and_takes_the_place_of_the_input(layer):
    leaf = torch.zeros(1000, requires_grad=True)
    inputs = leaf + 1
    changed = saving(layer)
    assert saved_bytes(lambda: changed(inputs)) == 4000
    assert changed(inputs).data_ptr() == inputs.data_ptr()
    assert saved_bytes(lambda: changed(leaf + 1).square()) == 4000
    # torch's own keeps a copy of the input beside it; else there would be nothing to win.
    assert saved_bytes(lambda: layer(leaf + 1).square()) == 8000


def test_what_torch_refuses_is_refused():
    layer = saving(nn.ReLU6(inplace=True))
    with pytest.raises(RuntimeError, match='leaf Variable that requires grad'):
        layer(torch.ones(3, requires_grad=True))
    # One of several views of a result may not change by itself.
    halves = (torch.ones(4, requires_grad=True) * 1).chunk(2)
    for refusing in (nn.ReLU6(inplace=True), layer):
        with pytest.raises(RuntimeError, match='view|creation_meta'):  # as torch 2.4 says
            refusing(halves[0]).sum().backward()
    # A result that is changed behind it is noticed by the backward pass.
    output = layer(torch.ones(3, requires_grad=True) * 1)
    output.mul_(2)
    with pytest.raises(RuntimeError, match='modified by an inplace operation'):
        output.sum().backward()


@pytest.mark.parametrize('requires_grad', [False, True])
def test_nothing_changes_without_gradients(requires_grad):
    layer = saving(nn.ReLU6(inplace=True))
    inputs = torch.tensor([-1.0, 3.0, 9.0], requires_grad=requires_grad)
    with torch.no_grad():
        output = layer(inputs * 1)
    assert output.tolist() == [0, 3, 6] and not output.requires_grad
    plain = torch.tensor([-1.0, 3.0, 9.0])
    assert layer(plain).tolist() == plain.tolist() == [0, 3, 6] and not plain.requires_grad


def test_a_layer_that_is_not_in_place_leaves_its_input():
    result = torch.tensor([-1.0, 3.0, 9.0], requires_grad=True) * 1
    assert saving(nn.ReLU6())(result).tolist() == [0, 3, 6]
    assert result.tolist() == [-1, 3, 9]


def test_layers_stay_what_they_are():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU6(inplace=True), nn.ReLU(inplace=True))
    before = str(network), list(network.state_dict())
    save_results(network)
    save_results(network)
    assert (str(network), list(network.state_dict())) == before
    assert isinstance(network[1], nn.ReLU6) and type(network[2]) is nn.ReLU
    images = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        torch.testing.assert_close(twin(images), network(images), rtol=0, atol=0)


def test_picie_trains_efficientnet_with_less_memory(make_picie, efficientnet):
    model = make_picie(**efficientnet)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    theirs = copy.deepcopy(model)
    save_results(model)
    kept, gradients = [], []
    for network in (model, theirs):
        encoder = network.encoder
        kept.append(saved_bytes(lambda encoder=encoder: encoder(images)[0]))
        encoder(images)[0].square().sum().backward()
        gradients.append([parameter.grad for parameter in encoder.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert kept[0] < 0.82 * kept[1]
