"""PiCIE's baselines and its over-clustering, trained through the runner on tiny data."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseg_picie.apis import runs
from mmseg_picie.apis.fresh_centroids import fit_fresh_centroids, without_augmentation
from mmseg_picie.apis.score_logs import read_curves, read_last_scores
from mmseg_picie.cli import main
from mmseg_picie.engine import WholeCheckpointHook
from mmseg_picie.engine.hooks.cluster_to_class_hook import COUNTS_FILE

HEADS = {
    'mdc': dict(type='DeepClusterHead', num_clusters=9, in_channels=16),
    'iic': dict(type='IICHead', num_clusters=9, in_channels=16),
    'kept': dict(type='CentroidHead', num_clusters=9, in_channels=16),
    'merged': dict(type='CentroidHead', num_clusters=9, in_channels=16, centroids_per_cluster=2),
}


@pytest.fixture
def method_config(tiny_config):
    """Make the config of a baseline."""

    def make(method: str, name: str, options: dict | None = None) -> Config:
        config = tiny_config({'train_cfg.max_epochs': 2, **(options or {})}, name)
        config.model.decode_head = HEADS[method]
        if method == 'kept':
            config.default_hooks.clustering.num_clusterings = 1
        if method == 'merged':
            config.default_hooks.clustering.warm_start = True
        if method == 'mdc':
            config.train_dataloader.dataset.pipeline[1].num_views = 1
        return config

    return make


def state_of(config: Config, epoch: int) -> dict:
    return torch.load(Path(config.work_dir) / f'epoch_{epoch}.pth', weights_only=False)


@pytest.mark.parametrize('method', HEADS)
def test_a_resumed_baseline_ends_as_the_run_that_was_never_stopped(method_config, method):
    """Also MDC's classifier, new every epoch, clusters that are kept, and warm starts."""
    whole = method_config(method, 'whole')
    Runner.from_cfg(whole).train()
    resumed = method_config(method, 'resumed')
    resumed.load_from, resumed.resume = str(Path(whole.work_dir) / 'epoch_1.pth'), True
    Runner.from_cfg(resumed).train()
    first, second = state_of(whole, 2), state_of(resumed, 2)
    assert first['state_dict'].keys() == second['state_dict'].keys()
    for key, value in first['state_dict'].items():
        assert torch.equal(value, second['state_dict'][key]), key
    assert len(first['optimizer']['state']) == len(second['optimizer']['state'])


def test_the_classifier_of_mdc_and_its_moments_start_anew_every_epoch(method_config):
    config = method_config('mdc', 'mdc')
    Runner.from_cfg(config).train()
    optimiser = state_of(config, 2)['optimizer']['state']
    steps = {int(state['step']) for state in optimiser.values()}
    # 20 images in batches of 4: the encoder has made ten steps, the classifier the last five.
    assert steps == {5, 10}
    assert sum(int(state['step']) == 5 for state in optimiser.values()) == 2


def test_iic_is_scored_and_stores_its_map(method_config):
    config = method_config('iic', 'iic')
    runner = Runner.from_cfg(config)
    runner.train()
    cluster_to_class = state_of(config, 2)['state_dict']['decode_head.cluster_to_class']
    assert sorted(cluster_to_class[0].tolist()) == list(range(9))
    scores = runner.test()
    assert scores['stored/mIoU'] == scores['mIoU']


def test_fresh_centroids_predict_in_place_of_mdcs_classifier(method_config):
    config = without_augmentation(method_config('mdc', 'mdc'))
    runner = Runner.from_cfg(config)
    fit_fresh_centroids(runner)
    head = runner.model.decode_head
    inputs = [torch.randn(1, 16, 3, 4)]
    expected = torch.einsum('ndhw,kd->nkhw', head.embed(inputs), head.centroids[0])
    torch.testing.assert_close(head(inputs), expected)
    # Also from a checkpoint, which does not tell that they are fresh.
    config.experiment_name = config.visualizer.name = f'{config.experiment_name}_loaded'
    loaded = Runner.from_cfg(config).model
    loaded.load_state_dict(runner.model.state_dict())
    torch.testing.assert_close(loaded.decode_head(inputs), expected)


def test_kept_clusters_and_pseudo_labels_are_those_of_the_first_epoch(method_config):
    """The encoder is trained on, and what makes the labels is not."""
    config = method_config('kept', 'kept')
    runner = Runner.from_cfg(config)
    runner.train()
    first, second = state_of(config, 1), state_of(config, 2)
    for key in ('decode_head.centroids', 'decode_head.cluster_counts'):
        assert torch.equal(first['state_dict'][key], second['state_dict'][key])
    lateral = 'neck.laterals.0.weight'
    assert not torch.equal(first['state_dict'][lateral], second['state_dict'][lateral])
    assert first['labeler'].keys() == second['labeler'].keys()
    assert all(
        torch.equal(first['labeler'][key], second['labeler'][key]) for key in first['labeler']
    )
    # As it was before the first step, which the optimiser has moved the first checkpoint from.
    assert not torch.equal(first['labeler']['1.laterals.0.weight'], first['state_dict'][lateral])


def test_a_checkpoint_without_what_makes_the_labels_is_refused(method_config):
    whole = method_config('kept', 'whole')
    whole.default_hooks.clustering.num_clusterings = None
    Runner.from_cfg(whole).train()
    assert 'labeler' not in state_of(whole, 1)
    resumed = method_config('kept', 'resumed')
    resumed.load_from, resumed.resume = str(Path(whole.work_dir) / 'epoch_1.pth'), True
    with pytest.raises(ValueError, match='num_clusterings of KMeansCentroidHook is 1, so epoch 2 '):
        Runner.from_cfg(resumed).train()


@pytest.mark.parametrize('method', ['kept', 'merged'])
def test_the_room_for_a_checkpoint_is_estimated_with_what_makes_the_labels(method_config, method):
    config = method_config(method, method)
    runner = Runner.from_cfg(config)
    runner.train()
    (hook,) = [each for each in runner.hooks if isinstance(each, WholeCheckpointHook)]
    size = (Path(config.work_dir) / 'epoch_2.pth').stat().st_size
    # Of so small a network, the other entries are a part of it.
    assert 0.8 * size < hook._estimate(runner)[0] <= size


def test_what_makes_the_labels_is_not_lost_in_a_run_that_is_killed_twice(method_config):
    """A resumed run writes its checkpoint again behind the validation, before any epoch."""
    config = method_config('kept', 'kept')
    Runner.from_cfg(config).train()
    path = Path(config.work_dir) / 'epoch_2.pth'
    stored = torch.load(path, weights_only=False)
    labeler = stored['labeler']
    stored['meta']['validated'] = False  # as if it was killed in the validation
    torch.save(stored, path)
    resumed = method_config('kept', 'kept')
    resumed.resume, resumed.train_cfg.max_epochs = True, 3
    runner = Runner.from_cfg(resumed)

    def killed(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    runner.register_hook(type('Killed', (Hook,), dict(before_train_epoch=killed))())
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    again = state_of(config, 2)
    assert again['meta']['validated']
    assert again['labeler'].keys() == labeler.keys()
    assert all(torch.equal(again['labeler'][key], labeler[key]) for key in labeler)


def test_a_moving_average_is_scored_and_stored_with_its_map(method_config):
    config = method_config('kept', 'averaged', {'custom_hooks': [dict(type='EMAHook')]})
    Runner.from_cfg(config).train()
    stored = state_of(config, 2)
    for weights, prefix in ((stored['state_dict'], ''), (stored['ema_state_dict'], 'module.')):
        cluster_to_class = weights[f'{prefix}decode_head.cluster_to_class']
        assert sorted(cluster_to_class[0].tolist()) == list(range(9))
        assert len(weights[f'{prefix}decode_head.map_classes']) > 2
    resumed = method_config('kept', 'averaged', {'custom_hooks': [dict(type='EMAHook')]})
    resumed.resume, resumed.train_cfg.max_epochs = True, 3
    Runner.from_cfg(resumed).train()
    assert state_of(config, 3)['meta']['validated']


def test_a_training_that_diverges_ends_before_it_is_saved(method_config):
    config = method_config('kept', 'diverged', {'optim_wrapper.optimizer.lr': 1e30})
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    with pytest.raises(ValueError, match=r'has diverged: .* is not finite after epoch 1; lower'):
        Runner.from_cfg(config).train()
    assert not list(Path(config.work_dir).glob('*.pth'))


def test_an_epoch_without_a_batch_is_refused(method_config):
    options = {'train_dataloader.batch_size': 64, 'train_dataloader.drop_last': True}
    with pytest.raises(ValueError, match='20 images make none of 64; lower train_dataloader.batch'):
        Runner.from_cfg(method_config('iic', 'none', options)).train()


def test_a_resumed_run_says_nothing_of_its_own_entries(method_config, capfd):
    config = method_config('kept', 'said')
    config.train_cfg.max_epochs = 1
    Runner.from_cfg(config).train()
    for last in (2, 3):
        resumed = method_config('kept', 'said')
        resumed.resume, resumed.train_cfg.max_epochs = True, last
        capfd.readouterr()
        Runner.from_cfg(resumed).train()
        assert 'resumed key' not in ''.join(capfd.readouterr())


def test_a_command_that_trains_nothing_leaves_the_records_of_a_training(method_config):
    config = method_config('kept', 'records')
    Runner.from_cfg(config).train()
    work = Path(config.work_dir)
    counts, curve = (work / COUNTS_FILE).read_bytes(), read_curves(work)
    assert list(curve) == [1, 2]
    config.dump(work / 'again.py')
    checkpoint = str(work / 'epoch_2.pth')
    main(['fit-centroids', str(work / 'again.py'), checkpoint, '--work-dir', str(work)])
    assert (work / COUNTS_FILE).read_bytes() == counts
    assert read_curves(work) == curve
    assert read_last_scores(work) == curve[2]


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        ({'val_evaluator.groups': dict(x=[9])}, "group 'x' must list class ids from 0 to 8"),
        ({'model.decode_head.num_clusters': 6, 'val_evaluator.legacy_groups': True}, 'as many clu'),
        ({'val_evaluator.matching': 'image-level', 'val_evaluator.background_cluster': 77}, '77'),
    ],
)
def test_what_would_end_the_first_validation_ends_the_training_at_once(
    tiny_config, options, sentence
):
    config = tiny_config(options)
    with pytest.raises(ValueError, match=sentence):
        Runner.from_cfg(config).train()
    assert not list(Path(config.work_dir).glob('*.pth'))


def test_a_resumed_run_tells_of_settings_that_it_does_not_take_up(method_config, capfd):
    Runner.from_cfg(method_config('iic', 'changed', {'train_cfg.max_epochs': 1})).train()
    for optimizer, sentence in (
        (dict(type='Adam', lr=0.5), 'optim_wrapper.optimizer.lr is 0.5, but a resumed training'),
        (dict(type='SGD', lr=0.1, momentum=0.9), 'optim_wrapper.optimizer is SGD, but the'),
    ):
        config = method_config('iic', 'changed')
        config.resume, config.optim_wrapper.optimizer = True, optimizer
        capfd.readouterr()
        try:
            Runner.from_cfg(config).train()
            told = ''.join(capfd.readouterr())
        except ValueError as error:
            told = str(error)
        assert sentence in told


def test_a_hook_that_a_child_sets_to_none_is_left_out(tiny_config):
    config = tiny_config({'train_cfg.max_epochs': 1})
    config.default_hooks.decoder = None
    config.default_hooks.acceleration = None
    runs.train(config)
