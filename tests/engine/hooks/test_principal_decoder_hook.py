"""The decoder begins with principal components, once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from sklearn.decomposition import PCA

from mmseg_picie.engine import clustering_pass
from mmseg_picie.engine.hooks import PrincipalDecoderHook, principal_decoder_hook

HOOK = dict(type='PrincipalDecoderHook', num_images=8, batch_size=4)


@pytest.fixture
def make_config(tiny_config):
    """A tiny run whose decoder begins with principal components."""

    def make(name: str = 'principal', options: dict | None = None, **hook):
        config = tiny_config({'train_cfg.max_epochs': 2, **(options or {})}, name)
        config.default_hooks.decoder = HOOK | hook
        return config

    return make


def begin(config) -> Runner:
    """A runner after what comes before the first epoch."""
    runner = Runner.from_cfg(config)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner._init_model_weights()
    runner.load_or_resume()
    for hook in runner.hooks:
        if isinstance(hook, PrincipalDecoderHook):
            hook.before_train(runner)
    return runner


def neck_of(path: Path) -> dict:
    state = torch.load(path, weights_only=False)['state_dict']
    return {key: value for key, value in state.items() if key.startswith('neck.')}


def test_the_decoders_maps_are_uncorrelated_components_of_balanced_levels(make_config):
    """All images and pixels are looked at, so scikit-learn must find the same from the maps."""
    config = make_config(num_images=20, pixels_per_image=10_000)
    runner = begin(config)
    model = runner.model.eval()
    levels, outputs = [], []
    sampler = runner.train_dataloader.sampler
    sampler.set_epoch(0)
    with torch.no_grad():
        for batch in runner.train_dataloader:
            for images in model.data_preprocessor(batch, False)['inputs']:
                maps = model.backbone(model.fit_images(images))
                levels.append(model.neck.stack(maps).permute(0, 2, 3, 1).flatten(0, 2))
                outputs.append(model.neck(maps)[0].permute(0, 2, 3, 1).flatten(0, 2))
    stacked, found = torch.cat(levels).double().numpy(), torch.cat(outputs).double().numpy()
    edges = np.cumsum(model.neck.in_channels)[:-1]
    parts = np.split(stacked, edges, axis=1)
    balanced = np.concatenate([(p - p.mean(0)) / np.sqrt(p.var(0).sum()) for p in parts], axis=1)
    oracle = PCA(found.shape[1]).fit(balanced)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(found.var(0, ddof=1), oracle.explained_variance_, rtol=1e-3)
    off_diagonal = np.cov(found.T) - np.diag(found.var(0, ddof=1))
    np.testing.assert_allclose(off_diagonal, 0, atol=1e-3)


def test_pixels_are_a_function_of_the_seed(make_config):
    first, second, other = (
        begin(make_config(str(i), {'randomness.seed': seed})).model.neck.state_dict()
        for i, seed in enumerate((0, 0, 1))
    )
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first['laterals.0.weight'], other['laterals.0.weight'])


def test_a_resumed_run_ends_as_the_run_that_was_never_stopped(make_config):
    whole = make_config('whole')
    Runner.from_cfg(whole).train()
    resumed = make_config('resumed')
    resumed.load_from, resumed.resume = str(Path(whole.work_dir) / 'epoch_1.pth'), True
    Runner.from_cfg(resumed).train()
    first, second = (
        torch.load(Path(c.work_dir) / 'epoch_2.pth', weights_only=False)['state_dict']
        for c in (whole, resumed)
    )
    assert [key for key in first if not torch.equal(first[key], second[key])] == []


def test_weights_of_another_checkpoint_are_kept(make_config):
    whole = make_config('whole')
    Runner.from_cfg(whole).train()
    path = Path(whole.work_dir) / 'epoch_2.pth'
    child = make_config('child')
    child.load_from = str(path)
    found = begin(child).model.state_dict()
    assert all(torch.equal(found[key], value) for key, value in neck_of(path).items())


@pytest.mark.parametrize(('batch_size', 'ranks', 'share'), [(4, 3, 1), (16, 5, 3), (2, 4, 1)])
def test_any_number_of_ranks_shares_the_images(make_config, monkeypatch, batch_size, ranks, share):
    runner = Runner.from_cfg(make_config())
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    for module in (principal_decoder_hook, clustering_pass):
        monkeypatch.setattr(module, 'get_world_size', lambda: ranks)
    found = []

    def track(loader, *args):
        found.append(loader.batch_size)
        return loader

    monkeypatch.setattr(principal_decoder_hook, 'track', track)
    PrincipalDecoderHook(num_images=8, batch_size=batch_size).before_train(runner)
    assert found == [share]


def test_a_neck_that_is_no_sum_of_levels_is_refused(make_config):
    config = make_config()
    config.model.neck = None
    config.model.decode_head.in_channels = config.model.backbone.get('base_channels', 16)
    with pytest.raises(ValueError, match='weights of a SumFPN .* the neck is NoneType; set neck'):
        begin(config)


@pytest.mark.parametrize('name', ['num_images', 'pixels_per_image', 'batch_size'])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f'{name} of PrincipalDecoderHook must be at least 1'):
        PrincipalDecoderHook(**{name: 0})
