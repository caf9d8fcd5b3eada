"""Test-time augmentation scores the merged prediction of every view."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.apis import init_model
from mmseg.registry import DATASETS, MODELS
from scipy.optimize import linear_sum_assignment

from mmseg_picie.apis import runs
from mmseg_picie.cli import main
from mmseg_picie.models import ViewTTAModel


@pytest.fixture
def checkpoint(tiny_config) -> tuple[Config, str]:
    options = {'train_cfg.max_epochs': 1, 'model.decode_head.predict_views': (1, 0)}
    config = tiny_config(options)
    # The tiny run has a test pipeline of its own.
    steps = config.test_dataloader.dataset.pipeline
    flips = [
        dict(type='RandomFlip', prob=0.0),
        dict(type='RandomFlip', prob=1.0, direction='vertical'),
        dict(type='RandomFlip', prob=1.0),
    ]
    augmentations = [*([step] for step in steps[1:-1]), flips, [steps[-1]]]
    config.tta_pipeline = [steps[0], dict(type='TestTimeAug', transforms=augmentations)]
    config.dump(config.filename)
    runs.train(config.copy())
    return config, f'{config.work_dir}/epoch_1.pth'


def accuracy_by_hand(config: Config, checkpoint: str, view: int) -> float:
    """Mean of the probabilities of three flips, one match over all images."""
    config = config.copy()
    config.model.decode_head.predict_views = (view,)
    model = init_model(config, checkpoint, device='cpu')
    data = DATASETS.build(config.test_dataloader.dataset)
    counts = np.zeros((9, 9), int)
    for item in data:
        labels = item['data_samples'].gt_sem_seg.data[0].numpy()
        mean = 0
        for dims in ([], [-2], [-1]):
            batch = dict(inputs=[item['inputs'].flip(dims)], data_samples=None)
            images = model.data_preprocessor(batch, False)['inputs']
            with torch.no_grad():
                logits = model.decode_head(model.extract_feat(images))
            logits = torch.nn.functional.interpolate(logits, images.shape[2:], mode='bilinear')
            mean = mean + logits[0].flip(dims).softmax(0) / 3
        seen = labels != 255
        np.add.at(counts, (labels[seen], mean.argmax(0).numpy()[seen]), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return round(100 * counts[rows, columns].sum() / counts.sum(), 2)


@pytest.mark.parametrize('kind', ['ViewTTAModel', 'SegTTAModel'])
def test_the_merged_prediction_of_every_view_is_scored(checkpoint, kind, tmp_path):
    config, path = checkpoint
    words = ['--tta', '--work-dir', str(tmp_path / 'test'), '--show-dir', str(tmp_path / 'shown')]
    options = [f'tta_model.type={kind}', f'visualizer.name={kind}', f'experiment_name={kind}']
    scores = main(['test', config.filename, path, *words, '--cfg-options', *options])
    assert scores['aAcc'] == pytest.approx(accuracy_by_hand(config, path, 1), abs=0.02)
    assert scores['view0/aAcc'] == pytest.approx(accuracy_by_hand(config, path, 0), abs=0.02)
    plain = main(['test', config.filename, path, *words[1:], '--cfg-options', *options])
    assert plain['aAcc'] != scores['aAcc']
    drawn = list((tmp_path / 'shown').rglob('*.png'))
    assert len(drawn) == 7


def test_around_another_segmentor_it_is_the_model_of_mmseg(make_picie):
    other = MODELS.build(
        dict(
            type='EncoderDecoder',
            backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8),
            decode_head=dict(
                type='FCNHead',
                in_channels=64,
                channels=8,
                num_classes=3,
                in_index=3,
                num_convs=1,
                concat_input=False,
            ),
        )
    )
    assert not hasattr(ViewTTAModel(other).module, 'keeps_view_logits')
    assert ViewTTAModel(make_picie()).module.keeps_view_logits


def test_every_config_with_labels_has_its_augmentations(tiny_config):
    config = tiny_config()
    assert config.tta_model.type == 'ViewTTAModel'
    assert Runner.from_cfg(config).cfg.tta_pipeline[1]['type'] == 'TestTimeAug'
