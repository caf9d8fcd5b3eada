"""The hook that applies all measures: what it changes, and that its switch changes nothing."""

import pytest
import torch
from mmengine.runner import Runner

from mmseg_picie.acceleration.hook import MEASURES
from mmseg_picie.acceleration.precision import FrozenCopyIn
from mmseg_picie.models.frozen_copy import FrozenCopy


def train(config):
    """A run of one epoch, and the strides of what its backbone was given."""
    runner = Runner.from_cfg(config)
    strides = []
    runner.model.backbone.register_forward_hook(
        lambda module, inputs, output: strides.append(inputs[0].stride()[1])
    )
    runner.train()
    return runner, set(strides)


def weights(runner):
    return runner.model.state_dict()


def test_the_switch_leaves_a_run_as_the_toolbox_makes_it(tiny_config):
    options = {'default_hooks.acceleration.enabled': False, 'train_cfg.max_epochs': 1}
    runner, strides = train(tiny_config(options))
    model = runner.model
    assert 1 not in strides
    assert 'train_step' not in vars(model)
    assert type(model._frozen_encoder[0]) is FrozenCopy
    assert not hasattr(runner.train_dataloader.dataset, '__getitems__')


def test_a_run_without_the_hook_is_the_same_run(tiny_config):
    """As if the folder was deleted, and the line of the schedule with it."""
    config = tiny_config({'train_cfg.max_epochs': 1}, name='without')
    del config.default_hooks['acceleration']
    off = {'default_hooks.acceleration.enabled': False, 'train_cfg.max_epochs': 1}
    expected, _ = train(tiny_config(off, name='off'))
    found, _ = train(config)
    for name, value in weights(expected).items():
        assert torch.equal(weights(found)[name], value), name


def test_an_accelerated_run_ends_like_a_plain_one(tiny_config):
    """In float32: centroids and weights differ by rounding alone, over an epoch."""
    runs = []
    for enabled in (True, False):
        options = {'default_hooks.acceleration.enabled': enabled, 'train_cfg.max_epochs': 1}
        runs.append(train(tiny_config(options, name=f'run_{enabled}')))
    (fast, strides), (plain, _) = runs
    assert strides == {1}  # channels last
    assert 'train_step' in vars(fast.model)
    assert type(fast.model._frozen_encoder[0]) is FrozenCopyIn
    for name, value in weights(plain).items():
        if value.is_floating_point():
            near = 1e-3 * float(value.abs().max())
            torch.testing.assert_close(weights(fast)[name], value, rtol=0, atol=near, msg=name)


def test_a_wrapped_segmentor_is_reached(tiny_config):
    """By mmseg's model for test-time augmentation, or mmengine's for several ranks."""
    runner = Runner.from_cfg(tiny_config())
    segmentor = runner.model
    runner.model = torch.nn.Module()
    runner.model.module = segmentor
    for measure in MEASURES.values():
        measure(runner, 'bfloat16')
    frozen = segmentor.freeze_encoder()
    assert isinstance(frozen, FrozenCopyIn) and frozen.dtype == 'bfloat16'
    assert 'train_step' not in vars(segmentor)  # the wrapper has its own


def test_gradients_that_are_accumulated_are_left_to_the_toolbox(tiny_config):
    """Its counter of iterations would count views."""
    options = {'train_cfg.max_epochs': 1, 'optim_wrapper.accumulative_counts': 5}
    runner, _ = train(tiny_config(options))
    assert 'train_step' not in vars(runner.model)


@pytest.mark.parametrize('name', MEASURES)
def test_each_measure_can_be_left_out_alone(tiny_config, monkeypatch, name):
    monkeypatch.delitem(MEASURES, name)
    runner, _ = train(tiny_config({'train_cfg.max_epochs': 1}))
    assert all(value.isfinite().all() for value in weights(runner).values())
