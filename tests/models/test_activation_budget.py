"""A budget for activations: the same training from less memory."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef

from mmseg_picie.models.activation_budget import keep_within
from mmseg_picie.models.recompute import recompute_activations

EVERYTHING = 1 << 40


def convolution(inside: int, outside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, padding=1, bias=False)


class Residual(nn.Module):
    """What makes trouble: an activation used twice, sums in place, a result that two parts use."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.side = (convolution(8, 8) for _ in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(2))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, inputs):
        hidden = self.relu(self.norms[0](self.first(inputs)))
        total = self.norms[1](self.second(hidden))
        total += inputs
        return self.relu(total) + self.side(hidden)


class Parts(nn.Module):
    """Results that are used in another shape, and perhaps changed by part in place before."""

    def __init__(self, changed: bool) -> None:
        super().__init__()
        self.changed = changed
        self.norm, self.later = nn.BatchNorm2d(8), nn.LayerNorm(8)
        self.relu, self.linear = nn.ReLU(inplace=True), nn.Linear(8, 8)

    def forward(self, inputs):
        result = self.norm(inputs * 1)
        if self.changed:
            self.relu(result[:, :4])
        tokens = self.later(result.flatten(2).transpose(1, 2))
        return self.linear(tokens * self.linear(tokens))


class Ordered(nn.LayerNorm):
    """A norm that is told by an option where the channels are; it also computes without."""

    def forward(self, inputs, order='last'):
        if order == 'last':
            return super().forward(inputs)
        return super().forward(inputs.transpose(1, -1)).transpose(1, -1)


class Options(nn.Module):
    """Layers that are given more than a tensor, or that by its name."""

    def __init__(self, positional: bool) -> None:
        super().__init__()
        self.positional = positional
        self.norms = nn.ModuleList(Ordered(10) for _ in range(2))
        self.relu, self.linear = nn.ReLU(), nn.Linear(10, 10)

    def forward(self, inputs):
        tokens = inputs.repeat(1, 2, 1, 1)[:, :10]
        if self.positional:
            tokens = self.norms[0](tokens, 'first')
        else:
            tokens = self.norms[0](tokens, order='first')
        return self.linear(self.relu(input=self.norms[1](self.linear(tokens))))


NETWORKS = {
    'in place': nn.Sequential(convolution(8, 8), nn.BatchNorm2d(8), nn.ReLU6(True)),
    'out of place': nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), convolution(8, 8), nn.ReLU()),
    'smooth': nn.Sequential(nn.BatchNorm2d(8), nn.SiLU(True), convolution(8, 8), nn.GELU()),
    'tokens': nn.Sequential(nn.LayerNorm(10), nn.Linear(10, 40), nn.GELU(), nn.Linear(40, 10)),
    'residual': nn.Sequential(convolution(8, 8), nn.BatchNorm2d(8), Residual(), Residual()),
    'in another shape': Parts(changed=False),
    'changed by part': Parts(changed=True),
    'an option': Options(positional=True),
    'an option by name': Options(positional=False),
    'by count': nn.Sequential(nn.BatchNorm2d(8, momentum=None), nn.ReLU(), convolution(8, 8)),
}


def make(name):
    """A network, deep enough that something is left to be kept behind it."""
    torch.manual_seed(0)
    return nn.Sequential(convolution(8, 8), copy.deepcopy(NETWORKS[name])).train()


def images(memory_format=torch.channels_last):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 8, 10, 10, generator=generator).to(memory_format=memory_format)


def train(network, context, inputs):
    """Output, gradients and buffers of a step."""
    network, inputs = copy.deepcopy(network), inputs.clone().requires_grad_()
    with context(network):
        output = network(inputs)
    (output.float() ** 2).mean().backward()
    gradients = [weight.grad for weight in network.parameters()]
    return [output.detach(), inputs.grad, *gradients, *network.buffers()]


def assert_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize('budget', [0, 10_000, 40_000, EVERYTHING])
@pytest.mark.parametrize('name', NETWORKS)
def test_a_step_is_the_same_to_the_last_bit(name, budget):
    network = make(name)
    expected = train(network, lambda _: nullcontext(), images())
    assert_equal(train(network, lambda net: keep_within(net, budget), images()), expected)


@pytest.mark.parametrize('name', NETWORKS)
def test_a_step_in_half_precision_is_the_same(name):
    def mixed(budget):
        return lambda net: _Both(torch.autocast('cpu', torch.bfloat16), keep_within(net, budget))

    expected = train(make(name), lambda _: torch.autocast('cpu', torch.bfloat16), images())
    assert_equal(train(make(name), mixed(0), images()), expected)


class _Both:
    """Two contexts as one."""

    def __init__(self, *contexts) -> None:
        self.contexts = contexts

    def __enter__(self) -> None:
        for context in self.contexts:
            context.__enter__()

    def __exit__(self, *error) -> None:
        for context in reversed(self.contexts):
            context.__exit__(*error)


def test_a_frozen_norm_is_the_same():
    network = make('residual')
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval().requires_grad_(False)
    expected = train(network, lambda _: nullcontext(), images())
    found = train(network, lambda net: keep_within(net, 0), images())
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.equal(a, b)


def chain(length):
    """Convolution, normalisation, activation, over and over."""
    torch.manual_seed(0)
    layers = [[convolution(8, 8), nn.BatchNorm2d(8), nn.ReLU(True)] for _ in range(length)]
    return nn.Sequential(*(layer for group in layers for layer in group), convolution(8, 8))


def watch(network, kind):
    """Weak references to the memory of the outputs of a kind of layer, in their order."""
    found = []

    class Watched(kind):
        def forward(self, inputs):
            output = super().forward(inputs)
            found.append(StorageWeakRef(output.untyped_storage()))
            return output

    for layer in network.modules():
        if type(layer) is kind:
            layer.__class__ = Watched
    return found


@pytest.mark.parametrize('num_kept', [0, 2, 3, 4])
def test_the_oldest_results_are_let_go(num_kept):
    network, inputs = chain(4), images()
    results = watch(network, nn.ReLU)
    weights = sum(weight.nbytes for weight in network.parameters())
    # The images, what goes into each normalisation, and then some of what comes out of them.
    budget = weights + (1 + 4 + num_kept) * inputs.nbytes + 4 * 1000
    with keep_within(network, budget):
        output = network(inputs)
    alive = [not result.expired() for result in results]
    assert alive == [False] * (4 - num_kept) + [True] * num_kept
    output.sum().backward()
    assert all(result.expired() for result in results)


def test_the_backward_pass_frees_what_it_has_used():
    network = chain(3)
    before = watch(network, nn.Conv2d)
    with keep_within(network, 0):
        output = network(images())
    alive = []
    network[0].weight.register_hook(lambda _: alive.append([not ref.expired() for ref in before]))
    output.sum().backward()
    assert alive == [[False, False, False, True]]  # the output of all


def test_a_result_is_made_again_once_for_all_that_saved_it():
    network = make('residual')
    made = []
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            original = layer.forward
            layer.forward = lambda x, original=original: made.append(1) or original(x)
    with keep_within(network, 0):
        output = network(images())
    made.clear()
    output.sum().backward()
    # The first of all is used three times; of each part, only the first norm is let go.
    assert len(made) == 3


def test_a_graph_can_be_used_again():
    network = chain(2)
    with keep_within(network, 0):
        output = network(images())
    weight = network[0].weight
    first, second = (torch.autograd.grad(output.sum(), weight, retain_graph=True) for _ in range(2))
    assert torch.equal(first[0], second[0])


def test_layers_are_left_as_they_were():
    network = chain(1)
    with keep_within(network, 0):
        network(images())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in network.modules())


def test_a_result_that_a_hook_changes_is_kept():
    network = make('residual')
    network[1][1].register_forward_hook(lambda layer, inputs, output: 2 * output)
    expected = train(network, lambda _: nullcontext(), images())
    assert_equal(train(network, lambda net: keep_within(net, 0), images()), expected)


@pytest.mark.parametrize('how', ['made again as a whole', 'not trained'])
def test_nothing_is_held_of_parts_that_keep_nothing(how):
    network = chain(3)
    if how == 'not trained':
        network.requires_grad_(False)
    else:
        recompute_activations(network)
    before = watch(network, nn.Conv2d)
    alive = []

    class Last(nn.Conv2d):
        def forward(self, inputs):
            alive.append(sum(not ref.expired() for ref in before))
            return super().forward(inputs)

    last = Last(8, 8, 1)
    with keep_within(both := nn.Sequential(network, last), 0):
        output = both(images())
    assert alive == [1]  # what the last layer is given
    output.sum().backward()


@pytest.mark.parametrize('changed', ['saved', 'source'])
def test_what_was_changed_in_place_is_refused(changed):
    network, inputs = chain(1), images()
    inputs = inputs.requires_grad_() * 1
    between = []
    network[0].register_forward_hook(lambda layer, inputs, output: between.append(output))
    with keep_within(network, 0):
        output = network(inputs)
    with torch.no_grad():
        (inputs if changed == 'saved' else between[0]).add_(1)
    with pytest.raises(RuntimeError, match=r'changed in place: one of shape \(4, 8, 10, 10\)'):
        output.sum().backward()


def test_nothing_is_done_without_gradients():
    network = chain(1)
    with torch.no_grad(), keep_within(network, 0):
        assert not network[1]._forward_hooks
        network(images())


@pytest.mark.parametrize('budget', [0, 'auto', None])
def test_picie_trains_the_same(make_picie, efficientnet, fit, pair, budget):
    def losses_and_gradients(**options):
        model = fit(make_picie(**efficientnet, **options)).train()
        losses = model.loss(*pair)
        sum(losses.values()).backward()
        return [*losses.values(), *(weight.grad for weight in model.parameters())]

    assert_equal(
        losses_and_gradients(activation_budget=budget), losses_and_gradients(activation_budget=None)
    )


def test_picie_keeps_less(make_picie, efficientnet, fit, pair):
    kept = []
    for budget in (None, 0):
        model = fit(make_picie(**efficientnet, activation_budget=budget)).train()
        results = watch(model.backbone, type(model.backbone.timm_model.bn1))
        maps = model.extract_views(*pair)[0]
        kept.append(sum(not result.expired() for result in results))
        del maps
    assert kept[1] < 0.4 * kept[0]


def test_a_size_that_has_fitted_is_not_watched_again(make_picie, efficientnet, fit, pair):
    model = fit(make_picie(**efficientnet, activation_budget=64)).train()
    views, samples = pair
    larger = [torch.cat([view] * 50) for view in views]
    watched = []
    layer = model.neck.laterals[0]
    layer.register_forward_hook(
        lambda *_: watched.append(bool(model.backbone.timm_model.bn1._forward_hooks))
    )
    with torch.no_grad():
        model.extract_views(views, samples)
    for size in (views, views, larger, larger):
        model.extract_views(size, samples * (len(size[0]) // 2))
    assert watched == [False] * 2 + [True, False] + [False] * 2 + [True] * 4


@pytest.mark.parametrize('budget', [-1, 'much', 1.5])
def test_a_budget_that_is_none_is_refused(make_picie, budget):
    with pytest.raises(ValueError, match='activation_budget must be a number of MiB, at least 0'):
        make_picie(activation_budget=budget)
