"""Proofs for the hooks, on tiny runs in this process."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import BaseLoop, Runner
from mmseg.apis import MMSegInferencer, inference_model, init_model
from mmseg.registry import TRANSFORMS
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from mmseg_picie.cli import main
from mmseg_picie.datasets.scenes.synthetic_scenes import draw_scene
from mmseg_picie.engine import KMeansCentroidHook
from mmseg_picie.engine.hooks import FittingWeightsHook


def scalars(config: Config) -> list[dict]:
    """What the run wrote for plotting."""
    (path,) = Path(config.work_dir).glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_image(folder: Path, name: str = 'scene.png') -> Path:
    path = folder / name
    Image.fromarray(draw_scene(5, 0, 64, 96)[0]).save(path)
    return path


@pytest.fixture
def trained(tiny_config) -> Config:
    """Config of a run of one epoch that has ended."""
    config = tiny_config({'train_cfg.max_epochs': 1})
    Runner.from_cfg(config).train()
    return config


def checkpoint_of(config: Config, epoch: int = 1) -> Path:
    return Path(config.work_dir) / f'epoch_{epoch}.pth'


def test_centroids_are_the_epochs_and_counts_are_all_pixels(tiny_config):
    config = tiny_config({'train_cfg.max_epochs': 1})
    runner = Runner.from_cfg(config)
    runner.train()
    head = runner.model.decode_head
    assert head.centroids.abs().sum(2).min() > 0
    # 20 images of 8 x 16 feature pixels (the network sees 32 x 64); each is assigned once.
    assert head.cluster_counts.sum(1).tolist() == [20 * 8 * 16] * 2


def test_inertia_shares_and_losses_are_scalars(trained):
    records = scalars(trained)
    clustering = next(record for record in records if 'kmeans/decode/view0/inertia' in record)
    shares = [value for key, value in clustering.items() if '/view1/share_' in key]
    assert len(shares) == 9
    assert sum(shares) == pytest.approx(1)
    assert any('decode.loss_within' in record for record in records)
    assert any('decode.loss_cross' in record for record in records)


def test_the_match_of_the_validation_is_in_that_epochs_checkpoint(trained):
    checkpoint = torch.load(checkpoint_of(trained), weights_only=False)
    cluster_to_class = checkpoint['state_dict']['decode_head.cluster_to_class']
    assert sorted(cluster_to_class[0].tolist()) == list(range(9))
    names = checkpoint['meta']['dataset_meta']['classes']
    classes = Runner.from_cfg(trained).val_dataloader.dataset.metainfo['classes']
    assert list(names) == [classes[label] for label in cluster_to_class[0]]
    assert not list(Path(trained.work_dir).glob('*.tmp'))


def test_without_validation_clusters_are_numbered(tiny_config):
    config = tiny_config({'train_cfg.max_epochs': 1, 'train_cfg.val_begin': 2})
    Runner.from_cfg(config).train()
    meta = torch.load(checkpoint_of(config), weights_only=False)['meta']['dataset_meta']
    assert list(meta['classes']) == [f'cluster {k}' for k in range(9)]


def test_mmseg_inferencer_and_inference_model_name_classes(trained, tmp_path):
    image = write_image(tmp_path)
    model = init_model(trained.copy(), str(checkpoint_of(trained)), device='cpu')
    sample = inference_model(model, str(image))
    assert sample.pred_sem_seg.shape == (64, 96)
    assert set(model.dataset_meta['classes']) >= {'sky', 'water', 'car'}
    inferencer = MMSegInferencer(trained.copy(), str(checkpoint_of(trained)), device='cpu')
    result = inferencer(str(image), out_dir=str(tmp_path / 'inferred'))
    np.testing.assert_array_equal(result['predictions'], sample.pred_sem_seg.data[0])
    assert inferencer.visualizer.dataset_meta['classes'] == model.dataset_meta['classes']
    assert (tmp_path / 'inferred' / 'vis' / 'scene.png').is_file()


def test_a_map_of_other_images_is_stored_and_scored(trained, tmp_path):
    """Found on the scenes of another seed, it scores these without a look at their labels."""
    path, out = tmp_path / 'store.py', tmp_path / 'new' / 'named.pth'
    config = trained.copy()
    config.experiment_name = config.visualizer.name = f'{tmp_path.name}_store'
    config.val_dataloader.dataset.scene_seed = 5
    # The images that it was trained on are neither needed nor looked for.
    pipeline = config.train_dataloader.dataset.pipeline
    folder = dict(type='ImageFolderDataset', data_root='nowhere', pipeline=pipeline)
    config.train_dataloader.dataset = folder
    config.dump(path)
    matched = main(['store-map', str(path), str(checkpoint_of(trained)), str(out)])
    runner = Runner.from_cfg(trained.copy())
    runner.load_checkpoint(str(out))
    found = runner.model.decode_head.cluster_to_class[0]
    assert sorted(found.tolist()) == list(range(9))
    scores = runner.test()
    assert scores['stored/aAcc'] <= scores['aAcc'] != matched['aAcc']


def test_a_map_of_images_without_labels_is_refused(trained, tmp_path, capsys):
    path, out = tmp_path / 'store.py', tmp_path / 'named.pth'
    config = trained.copy()
    config.experiment_name = config.visualizer.name = f'{tmp_path.name}_void'
    remap = next(t for t in config.val_dataloader.dataset.pipeline if t.type == 'RemapLabels')
    remap.type = 'VoidLabels'
    TRANSFORMS.register_module(
        name='VoidLabels', module=lambda: lambda results: results | _void(results), force=True
    )
    config.dump(path)
    with pytest.raises(SystemExit):
        main(['store-map', str(path), str(checkpoint_of(trained)), str(out)])
    assert 'no pixel of the labels has a class' in capsys.readouterr().err
    assert not out.exists()


def _void(results):
    return dict(gt_seg_map=np.full_like(results['gt_seg_map'], 255))


def test_testing_a_checkpoint_reports_the_stored_map_and_every_view(trained):
    trained.load_from = str(checkpoint_of(trained))
    trained.experiment_name += '_test'
    metrics = Runner.from_cfg(trained).test()
    # Tested on the images of the validation, the stored map is the best match itself.
    assert metrics['stored/mIoU'] == metrics['mIoU']
    assert {'aAcc', 'mAcc', 'things/mIoU', 'stuff/aAcc', 'view1/mIoU', 'view1/aAcc'} <= set(metrics)


def test_validation_pictures_show_labels_and_matched_prediction(trained):
    (folder,) = Path(trained.work_dir).glob('*/vis_data/vis_image')
    pictures = sorted(folder.glob('val_*.png'))
    assert pictures
    # Labels and prediction, side by side, at the resolution of the evaluation.
    assert {Image.open(path).size for path in pictures} == {(2 * 48, 32)}


def test_tensorboard_is_one_line_of_config(tiny_config):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
    config = tiny_config({'train_cfg.max_epochs': 1, 'visualizer.vis_backends': backends})
    Runner.from_cfg(config).train()
    (events,) = Path(config.work_dir).glob('*/vis_data/events.*')
    accumulator = EventAccumulator(str(events))
    accumulator.Reload()
    tags = accumulator.Tags()['scalars']
    assert 'kmeans/decode/view0/inertia' in tags
    assert 'mIoU' in tags


def test_clustering_leaves_the_weights_alone_unless_norms_are_trained(tiny_config, monkeypatch):
    states = []
    cluster = KMeansCentroidHook.before_train_epoch

    def watched(hook, runner):
        for when in (lambda: None, lambda: cluster(hook, runner)):
            when()
            state = runner.model.state_dict().items()
            states.append({k: v.clone() for k, v in state if not k.startswith('decode_head.')})

    monkeypatch.setattr(KMeansCentroidHook, 'before_train_epoch', watched)
    for norm_eval, same in ((True, True), (False, False)):
        config = tiny_config(
            {
                'train_cfg.max_epochs': 1,
                'default_hooks.clustering.norm_eval': norm_eval,
                'optim_wrapper.optimizer.lr': 0.0,
            },
            name=f'norm_{norm_eval}',
        )
        states.clear()
        Runner.from_cfg(config).train()
        before, after = states
        changed = {key for key, value in before.items() if not torch.equal(value, after[key])}
        statistics = {key for key in before if 'running_' in key or 'num_batches' in key}
        assert statistics and changed == (set() if same else statistics)


def test_a_subset_of_images_and_pixels_bounds_what_is_clustered(tiny_config):
    config = tiny_config(
        {
            'train_cfg.max_epochs': 1,
            'default_hooks.clustering.images_per_epoch': 10,
            'default_hooks.clustering.pixels_per_image': 30,
        }
    )
    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.model.decode_head.cluster_counts.sum(1).tolist() == [300, 300]


def test_an_auxiliary_head_has_clusters_of_its_own(tiny_config):
    auxiliary = dict(type='CentroidHead', num_clusters=15, in_channels=16)
    config = tiny_config({'train_cfg.max_epochs': 1, 'model.auxiliary_head': auxiliary})
    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.model.auxiliary_head.cluster_counts.sum(1).tolist() == [20 * 8 * 16] * 2
    assert runner.model.auxiliary_head.centroids.shape == (2, 15, 16)
    assert any('aux.loss_within' in record for record in scalars(config))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'randomness.seed': None}, r'randomness\.seed must be set.*None'),
        (
            {'default_hooks.clustering.num_init_batches': 1, 'model.decode_head.num_clusters': 600},
            r'a pixel for each centroid, but got 600 centroids .* 512 gathered',
        ),
        (
            {'train_dataloader.sampler.type': 'DefaultSampler'},
            r'train_dataloader\.sampler must be EpochKeySampler, but is DefaultSampler',
        ),
        (
            {'train_cfg': dict(_delete_=True, type='IterBasedTrainLoop', max_iters=5)},
            r'train_cfg\.type must be EpochBasedTrainLoop.*IterBasedTrainLoop',
        ),
        ({'optim_wrapper.accumulative_counts': 3}, r'accumulative_counts must divide .* 3 for 5'),
        (
            {
                'model.backbone.init_cfg': dict(
                    _delete_=True, type='Pretrained', checkpoint='none/weights.pth'
                )
            },
            r"names the file 'none/weights\.pth', which does not exist",
        ),
        (
            {
                'model.backbone.init_cfg': dict(
                    _delete_=True, type='Pretrained', checkpoint='efficientnet-lite0://x'
                )
            },
            r'efficientnet-lite0://x is not known',
        ),
    ],
)
def test_a_run_that_cannot_be_right_is_refused_before_training(tiny_config, options, message):
    config = tiny_config(options)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Runner.from_cfg(config).train()
    assert not list(Path(config.work_dir).glob('*.pth'))


def test_norms_of_several_ranks_are_refused_where_ranks_may_differ_in_batches(
    tiny_config, monkeypatch
):
    options = {
        'default_hooks.clustering.norm_eval': False,
        'model.backbone.norm_cfg': dict(type='SyncBN'),
    }
    # In a single process, mmengine puts other norms in their place.
    monkeypatch.setattr('mmengine.runner.runner.revert_sync_batchnorm', lambda model: model)
    with pytest.raises(ValueError, match='norm_eval of KMeansCentroidHook must be True with Sync'):
        Runner.from_cfg(tiny_config(options)).train()


def test_without_the_clustering_hook_training_is_refused(tiny_config):
    config = tiny_config()
    del config.default_hooks['clustering']
    with pytest.raises(RuntimeError, match='KMeansCentroidHook'):
        Runner.from_cfg(config).train()


def test_prediction_before_any_clustering_is_refused(tiny_config):
    config = tiny_config()
    with pytest.raises(RuntimeError, match='no centroids, so it cannot predict'):
        Runner.from_cfg(config).val()


def test_a_checkpoint_with_other_clusters_is_refused(trained, tiny_config):
    config = tiny_config({'model.decode_head.num_clusters': 5}, name='other')
    config.load_from = str(checkpoint_of(trained))
    with pytest.raises(ValueError, match=r'\(2, 9, 16\).*\(2, 5, 16\)'):
        Runner.from_cfg(config).train()


def test_names_follow_the_view_that_predicts(trained):
    """A model of view 0's names, told to predict with view 1's clusters."""
    trained.model.decode_head.predict_views = (1,)
    model = init_model(trained.copy(), str(checkpoint_of(trained)), device='cpu')
    head = model.decode_head
    assert head.cluster_to_class[0].tolist() != head.cluster_to_class[1].tolist()
    classes = head.map_meta['classes']
    assert list(model.dataset_meta['classes']) == [classes[k] for k in head.cluster_to_class[1]]
    assert head.map_meta['dataset'] == 'SyntheticScenesDataset'


def test_a_list_of_classes_in_another_order_changes_no_score(trained):
    """Names and scores under the stored map; the list of the data set is turned around."""
    checkpoint = str(checkpoint_of(trained))
    classes = Runner.from_cfg(trained.copy()).val_dataloader.dataset.metainfo['classes']
    found = []
    for number, names in enumerate((classes, classes[::-1], classes[:4])):
        config = trained.copy()
        config.load_from = checkpoint
        config.experiment_name = config.visualizer.name = f'{trained.experiment_name}_{number}'
        config.test_dataloader.dataset.metainfo = dict(classes=names)
        found.append(Runner.from_cfg(config).test())
    assert found[1]['stored/aAcc'] == found[0]['stored/aAcc'] == found[0]['aAcc']
    assert found[1]['mIoU'] == found[0]['mIoU']
    assert 0 <= found[2]['stored/aAcc'] <= found[2]['aAcc']


def test_checkpoints_without_names_of_their_map_load(trained, tmp_path):
    """As version 0.1 wrote them; what the checkpoint says of its clusters is believed."""
    checkpoint = torch.load(checkpoint_of(trained), weights_only=False)
    del checkpoint['state_dict']['decode_head.map_classes']
    torch.save(checkpoint, tmp_path / 'old.pth')
    model = init_model(trained.copy(), str(tmp_path / 'old.pth'), device='cpu')
    assert model.dataset_meta == checkpoint['meta']['dataset_meta']


def test_names_that_are_no_names_are_refused(trained, tmp_path):
    checkpoint = torch.load(checkpoint_of(trained), weights_only=False)
    for text in (b'[1]', b'{"classes": [1]}', b'\xff', b'{'):
        names = torch.tensor(list(text), dtype=torch.uint8)
        checkpoint['state_dict']['decode_head.map_classes'] = names
        torch.save(checkpoint, tmp_path / 'odd.pth')
        with pytest.raises(ValueError, match='map_classes of the checkpoint must hold'):
            init_model(trained.copy(), str(tmp_path / 'odd.pth'), device='cpu')


@pytest.mark.parametrize('what', ['train', 'val', 'test'])
def test_a_metric_that_takes_clusters_for_classes_is_refused_by_any_runner(tiny_config, what):
    """Before the first image, in mmengine's own runner as well."""
    config = tiny_config()
    config.val_evaluator = config.test_evaluator = dict(type='IoUMetric')
    runner = Runner.from_cfg(config)
    with pytest.raises(ValueError, match='IoUMetric takes the number of a cluster'):
        getattr(runner, what)()


@pytest.mark.parametrize('what', ['train', 'test'])
def test_weights_of_which_nothing_fits_a_stock_model_are_refused(what):
    """A test needs all of them; a training may take over the backbone of another model."""

    class Loop(BaseLoop):
        def run(self):
            pass

    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    whole = model.state_dict()
    loop = Loop(None, DataLoader([1])) if what == 'train' else None
    runner = SimpleNamespace(model=model, _train_loop=loop)
    hook = FittingWeightsHook()
    hook.after_load_checkpoint(runner, dict(state_dict=whole))
    hook.after_load_checkpoint(runner, {f'module.{key}': whole[key] for key in whole})
    part = {key: value for key, value in whole.items() if key.startswith('0.')}
    other_shape = dict(whole, **{'0.weight': torch.ones(3, 3)})
    for weights in (part, other_shape):
        if what == 'train':
            hook.after_load_checkpoint(runner, dict(state_dict=weights))
        else:
            with pytest.raises(ValueError, match='missing or of another shape'):
                hook.after_load_checkpoint(runner, dict(state_dict=weights))
    for weights in ({}, {'2.weight': torch.ones(2, 2)}):
        with pytest.raises(ValueError, match='does not fit the model'):
            hook.after_load_checkpoint(runner, dict(state_dict=weights))
