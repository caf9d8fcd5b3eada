"""Maps of a frozen backbone are made once an epoch, and are the same."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import Runner

from mmseg_picie.acceleration.feature_cache import FeatureCache, _shrink
from mmseg_picie.acceleration.hook import AccelerationHook


def train(tiny_config, name, options=None, **hook):
    """A run of two epochs on a frozen backbone, and the images that it has forwarded."""
    config = tiny_config({'train_cfg.max_epochs': 2, **(options or {})}, name)
    config.model.frozen = ['backbone']
    config.default_hooks.acceleration.update(hook)
    runner = Runner.from_cfg(config)
    forwarded = []
    runner.model.backbone.register_forward_hook(
        lambda module, inputs, output: forwarded.append(len(inputs[0]))
    )
    runner.train()
    return runner, sum(forwarded)


def other_images(runner):
    """Those of two validations."""
    return 2 * len(runner.val_dataloader.dataset)


def test_each_view_of_each_image_is_forwarded_once_an_epoch(tiny_config):
    """The bound: 20 images, 2 views, 2 epochs; without the cache twice as many."""
    kept, number = train(tiny_config, 'kept')
    assert number - other_images(kept) == 20 * 2 * 2
    plain, number = train(tiny_config, 'plain', feature_cache=0)
    assert number - other_images(plain) == 2 * 20 * 2 * 2
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(kept.model.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_forwarded_again(tiny_config, monkeypatch):
    """Room for half of the images of an epoch."""
    monkeypatch.setattr('mmseg_picie.acceleration.feature_cache.MEBIBYTE', 1)
    sizes = []
    original = FeatureCache.clear

    def clear(cache):
        sizes.append(cache.num_bytes)
        original(cache)

    monkeypatch.setattr(FeatureCache, 'clear', clear)
    train(tiny_config, 'whole', feature_cache=1 << 40)
    half, number = train(tiny_config, 'half', feature_cache=sizes[0] // 2)
    assert max(sizes[2:]) <= sizes[0] // 2
    # Clusters: 20 images twice; training: 10 of them twice, in batches of 4 of which 2.5 fit.
    assert number - other_images(half) == 2 * 2 * (20 + 12)


def test_a_backbone_that_is_trained_is_left_alone(tiny_config):
    config = tiny_config({'train_cfg.max_epochs': 1})
    runner = Runner.from_cfg(config)
    runner.train()
    assert 'forward_frozen' not in vars(runner.model)


def test_maps_of_an_epoch_do_not_serve_the_next(tiny_config):
    runner, _ = train(tiny_config, 'cleared')
    (hook,) = [h for h in runner.hooks if isinstance(h, AccelerationHook)]
    assert hook._cache._maps == {} and hook._cache.num_bytes == 0


@pytest.mark.parametrize('is_half', [True, False])
def test_maps_come_back_to_the_last_bit(is_half):
    cache = FeatureCache(1 << 20)
    samples = [SimpleNamespace(metainfo=dict(sample_idx=number)) for number in (7, 3)]
    maps = [[torch.randn(2, 3, 4, 5)], [torch.randn(2, 3, 4, 5)]]
    if is_half:
        maps = [[level.bfloat16().float() for level in levels] for levels in maps]
    model = SimpleNamespace(training=False, has_frozen_backbone=True)
    images = [torch.zeros(2, 3, 8, 8)] * 2
    cache.forward(model, lambda *_: maps, images, samples)
    assert cache.num_bytes == 2 * maps[0][0].numel() * (2 if is_half else 4)
    model.training = True
    swapped = cache.forward(model, pytest.fail, images, samples[::-1])
    for found, levels in zip(swapped, maps, strict=True):
        assert torch.equal(found[0], levels[0].flip(0))


def test_only_numbers_that_bfloat16_holds_are_halved():
    assert _shrink(torch.tensor([1.0, 0.5])).dtype == torch.bfloat16
    assert _shrink(torch.tensor([1.0, 0.1])).dtype == torch.float32


def test_a_negative_size_is_refused():
    with pytest.raises(ValueError, match='feature_cache of AccelerationHook must be at least 0'):
        AccelerationHook(feature_cache=-1)
