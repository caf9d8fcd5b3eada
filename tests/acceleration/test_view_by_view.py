"""Views are trained on one after the other: the same gradients, in the memory of one."""

import copy
import gc

import pytest
import torch
from mmengine.optim import OptimWrapper

from mmseg_picie.acceleration.view_by_view import train_view_by_view
from mmseg_picie.engine import CPUAmpOptimWrapper

K, D = 5, 12
MDC = dict(type='DeepClusterHead', num_clusters=K, in_channels=D)
OVER = dict(type='CentroidHead', num_clusters=9, in_channels=D)
OPTIONS = {
    'picie': {},
    'over-clustering': dict(auxiliary_head=OVER),
    'weighted': dict(head=dict(within_weight=0.2, cross_weight=0.9, class_weight='balanced')),
    'classifier': dict(auxiliary_head=MDC),  # learns from the first view alone
}


class Ready(torch.nn.Module):
    """Takes batches that are normalised already."""

    def forward(self, data, training):
        return data


def train(model, step, pair, wrapper=OptimWrapper):
    """Log, gradients, weights and buffers after a step."""
    model = copy.deepcopy(model)
    model.data_preprocessor = Ready()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    gradients = {}
    optimizer.register_step_pre_hook(
        lambda *_: gradients.update({n: p.grad.clone() for n, p in model.named_parameters()})
    )
    log = step(model, dict(inputs=pair[0], data_samples=pair[1]), wrapper(optimizer))
    return log, gradients, dict(model.named_parameters()) | dict(model.named_buffers())


def together(model, data, optim_wrapper):
    """What the toolbox does."""
    return type(model).train_step(model, data, optim_wrapper)


@pytest.mark.parametrize('mixed', [False, True])
@pytest.mark.parametrize('name', list(OPTIONS))
def test_a_step_is_that_of_all_views_together(make_picie, fit, pair, name, mixed):
    model = fit(make_picie(**OPTIONS[name])).train()
    wrapper = CPUAmpOptimWrapper if mixed else OptimWrapper
    found = train(model, train_view_by_view, pair, wrapper)
    expected = train(model, together, pair, wrapper)
    for ours, theirs in zip(found, expected, strict=True):
        assert set(ours) == set(theirs)
        for key, value in theirs.items():
            # Together, the views' gradients of a weight are added in bfloat16.
            near = dict(rtol=0, atol=0.01 * float(value.abs().max()))
            options = near if mixed else dict(rtol=1e-5, atol=1e-7)
            torch.testing.assert_close(ours[key], value, msg=key, **options)
    assert set(found[0]) >= {'loss', 'decode.loss_within', 'decode.loss_cross'}


class Scaled(OptimWrapper):
    """Scales each loss before its gradients, as mixed precision in float16 does."""

    def backward(self, loss, **kwargs):
        super().backward(1024 * loss, **kwargs)


def test_every_share_of_the_loss_is_scaled_by_the_optimiser_wrapper(make_picie, fit, pair):
    model = fit(make_picie()).train()
    _, found, _ = train(model, train_view_by_view, pair, Scaled)
    _, expected, _ = train(model, together, pair)
    for name, value in expected.items():
        near = 1e-4 * float(value.abs().max())
        torch.testing.assert_close(found[name] / 1024, value, rtol=0, atol=near)


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


def most_saved(model, step, pair):
    gc.collect()
    saved = Saved()
    with torch.autograd.graph.saved_tensors_hooks(saved.pack, saved.unpack):
        train(model, step, pair)
    return saved.most


def test_one_view_at_a_time_is_kept_for_the_backward_pass(make_picie, fit, pair):
    model = fit(make_picie()).train()
    assert most_saved(model, train_view_by_view, pair) < 0.55 * most_saved(model, together, pair)


def test_losses_are_a_sum_over_views_where_the_heads_say_so(make_picie, fit, pair):
    model = fit(make_picie()).train()
    assert model.is_separable
    iic = dict(type='IICHead', num_clusters=K, in_channels=D)
    assert not make_picie(auxiliary_head=iic).is_separable
