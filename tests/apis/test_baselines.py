"""Proofs for the baselines, on tiny data in this process."""

import numpy as np
import torch
from mmengine.runner import Runner
from PIL import Image

from mmseg_picie.apis.baselines import score_raw_colours, score_untrained_features
from mmseg_picie.apis.fresh_centroids import without_augmentation


def test_without_augmentation_both_views_are_the_whole_image(tiny_config):
    config = tiny_config()
    bare = without_augmentation(config)
    dataset = Runner.from_cfg(bare).build_dataloader(bare.train_dataloader, seed=0).dataset
    sample = dataset.pipeline(dataset.get_data_info(0) | dict(rng=np.random.default_rng(0)))
    geometry = sample['data_samples'].metainfo['geometry']
    assert (geometry.height, geometry.width, geometry.hflip) == (1, 1, False)
    means = [view.float().mean((1, 2)) for view in sample['inputs']]
    torch.testing.assert_close(*means, atol=2, rtol=0)
    assert 'photometric' not in config.train_dataloader.dataset.pipeline[1]


def test_colours_that_tell_classes_apart_score_full_marks(tiny_config, tmp_path):
    labels = np.zeros((32, 48), dtype=np.uint8)
    labels[:, 20:] = 3
    image = np.where(labels[..., None] == 3, (200, 40, 10), (10, 60, 220)).astype(np.uint8)
    for folder, array in (('images', image), ('labels', labels)):
        (tmp_path / folder).mkdir()
        for index in range(4):
            Image.fromarray(array).save(tmp_path / folder / f'{index}.png')
    config = tiny_config({'model.decode_head.num_clusters': 2})
    for name in ('train_dataloader', 'val_dataloader'):
        pipeline = config[name].dataset.pipeline
        config[name].dataset = dict(
            type='CamVidDataset',
            data_root=str(tmp_path),
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            pipeline=pipeline,
        )
    config.train_dataloader.dataset.pipeline[1].update(base_size=(32, 48))
    scores = score_raw_colours(Runner.from_cfg(without_augmentation(config)))
    assert scores['aAcc'] == 100
    assert scores['mIoU'] == 100


def test_untrained_features_are_scored_without_training(tiny_config):
    runner = Runner.from_cfg(without_augmentation(tiny_config()))
    runner.model.init_weights()
    before = {key: value.clone() for key, value in runner.model.backbone.state_dict().items()}
    torch.manual_seed(0)
    scores = score_untrained_features(runner)
    head = runner.model.decode_head
    assert scores['aAcc'] == scores['view1/aAcc'] > 0
    assert torch.equal(head.centroids[0], head.centroids[1])
    means = {key: value for key, value in before.items() if key.endswith('running_mean')}
    after = runner.model.backbone.state_dict()
    assert all(torch.equal(after[key], value) for key, value in means.items())
