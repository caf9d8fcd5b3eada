"""Views are trained on one after the other: the same gradients, in the memory of one."""

import copy
import gc

import pytest
import torch
from torch import nn

from mmseg_picie.models.early_gradient import take_gradients

K, D = 5, 12
MDC = dict(type='DeepClusterHead', num_clusters=K, in_channels=D)
OVER = dict(type='CentroidHead', num_clusters=9, in_channels=D)


@pytest.fixture(params=['picie', 'over-clustering', 'weighted', 'classifier', 'bfloat16'])
def model(request, make_picie, fit):
    options = {
        'over-clustering': dict(auxiliary_head=OVER),
        'weighted': dict(head=dict(within_weight=0.2, cross_weight=0.9, class_weight='balanced')),
        'classifier': dict(auxiliary_head=MDC),  # learns from the first view alone
    }
    model = fit(make_picie(**options.get(request.param, {}))).train()
    model.mixed = request.param == 'bfloat16'
    return model


def train_together(model, inputs, samples):
    """Losses with the graphs of all views, by what the heads say of all views at once."""
    frozen = model.extract_frozen_views(inputs, samples, model._labeler[0])
    views = model.extract_views(inputs, samples)
    return {
        f'{name}.{key}': weight * value
        for (name, head), weight in zip(model.heads().items(), model._loss_weights(), strict=True)
        for key, value in head.loss_by_views(views, frozen).items()
    }


def backward(model, make_losses):
    """Losses, gradients and buffers after a backward pass of twice the loss."""
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=model.mixed):
        losses = make_losses(model)
    (2 * sum(losses.values())).backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    return losses, gradients, dict(model.named_buffers())


def test_losses_gradients_and_statistics_are_those_of_all_views_together(model, pair):
    other = copy.deepcopy(model)
    found = backward(model, lambda model: model.loss(*pair))
    expected = backward(other, lambda model: train_together(model, *pair))
    for ours, theirs in zip(found, expected, strict=True):
        assert list(ours) == list(theirs)
        for name, value in theirs.items():
            # Together, the views' gradients of a weight are added in bfloat16.
            near = dict(rtol=0, atol=0.01 * float(value.abs().max()))
            options = near if model.mixed else dict(rtol=1e-5, atol=1e-7)
            torch.testing.assert_close(ours[name], value, msg=name, **options)


class Saved:
    """Counts the bytes that are kept for backward passes, now and at most."""

    def __init__(self):
        self.now = self.most = 0

    def pack(self, tensor):
        return Held(self, tensor)

    @staticmethod
    def unpack(held):
        return held.tensor


class Held:
    def __init__(self, saved, tensor):
        self.saved, self.tensor = saved, tensor
        saved.now += tensor.nbytes
        saved.most = max(saved.most, saved.now)

    def __del__(self):
        self.saved.now -= self.tensor.nbytes


def most_saved(model, make_losses):
    gc.collect()
    saved = Saved()
    with torch.autograd.graph.saved_tensors_hooks(saved.pack, saved.unpack):
        backward(model, make_losses)
    return saved.most


def test_one_view_at_a_time_is_kept_for_the_backward_pass(make_picie, fit, pair):
    model = fit(make_picie(activation_budget=None)).train()  # it would see what is saved first
    model.mixed = False
    together = most_saved(model, lambda model: train_together(model, *pair))
    assert most_saved(model, lambda model: model.loss(*pair)) < 0.55 * together


def test_losses_in_float16_wait_for_their_scale(make_picie, fit, pair):
    """There a gradient that is taken before the loss is scaled may be nothing but zeros."""
    model = fit(make_picie(activation_budget=None)).train()  # it would see what is saved first
    model.mixed = False
    one_view = most_saved(model, lambda model: model.loss(*pair))

    def loss(model):
        with torch.autocast('cpu', dtype=torch.float16):
            return model.loss(*pair)

    # Half the bytes for each of two views.
    assert most_saved(model, loss) > 0.8 * one_view


def test_losses_that_are_weighted_apart_afterwards_are_refused():
    weight = nn.Parameter(torch.ones(3))
    losses = take_gradients({'a': weight.sum(), 'b': (weight**2).sum()}, [weight])
    with pytest.raises(ValueError, match=r'equal weights, but their weights are \[1.0, 3.0\]'):
        (losses['a'] + 3 * losses['b']).backward()
    assert weight.grad is None


def test_unused_and_frozen_weights_stay_without_gradient():
    used, unused = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
    frozen = nn.Parameter(torch.ones(3), requires_grad=False)
    losses = take_gradients({'a': (used * frozen).sum()}, [used, unused, frozen])
    assert losses['a'].item() == 3
    losses['a'].backward()
    assert used.grad.tolist() == [1, 1, 1]
    assert unused.grad is None and frozen.grad is None


def test_parts_that_mmseg_computes_again_train_the_same(make_picie, fit, pair):
    """Mmseg's with_cp refuses gradients that are taken before the backward pass."""
    backbone = dict(type='ResNet', depth=18, base_channels=8, stem_channels=8, norm_eval=True)
    gradients = []
    for with_cp in (False, True):
        model = fit(make_picie(backbone=dict(backbone, with_cp=with_cp))).train()
        sum(model.loss(*pair).values()).backward()
        gradients.append([weight.grad for weight in model.parameters()])
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected)
