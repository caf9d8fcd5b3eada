"""A model in one file: the same predictions, and nothing but data."""

import json
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.apis import inference_model
from mmseg.registry import MODELS

from mmseg_picie.apis.model_file import (
    is_model_file,
    read_facts,
    read_model,
    read_settings,
    write_model,
)
from mmseg_picie.datasets.scenes import draw_scene


@pytest.fixture
def config(tiny_config) -> Config:
    return tiny_config()


@pytest.fixture
def model(config):
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    head = model.decode_head
    head.set_centroids(torch.randn_like(head.centroids), torch.ones_like(head.cluster_counts))
    found = torch.tensor([[3, 1, -1, 0, 2, -1, -1, 4, -1]] * 2)
    names = dict(classes=['sky', 'sea', 'söil', '<b>', 'x'], palette=[[i, 2, 3] for i in range(5)])
    head.store_map([0, 1], found, names)
    return model.eval()


@pytest.fixture
def path(tmp_path, model, config):
    path = tmp_path / 'model.pth'
    write_model(path, model, config, dict(seed=3))
    return path


def spoil(path, **changes):
    """Change what is said of a model, as somebody else may have."""
    content = torch.load(path, weights_only=True)
    content['meta'].update(changes)
    torch.save(content, path)


def test_a_model_file_alone_predicts_as_the_model_did(path, model, config):
    image = np.ascontiguousarray(draw_scene(1, 0, 64, 96)[0])
    model.cfg = config
    expected = inference_model(model, image)
    found = read_model(path)
    given = inference_model(found, image)
    assert torch.equal(given.pred_sem_seg.data, expected.pred_sem_seg.data)
    assert found.dataset_meta == model.dataset_meta
    assert found.dataset_meta['classes'][2:5] == ('cluster 2', 'sky', 'söil')
    assert read_facts(path) == dict(seed=3)
    assert is_model_file(path)


def test_no_weights_are_looked_for(path, model, config, tmp_path):
    """The places of weights at the training are gone, and are nobody else's business."""
    config.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='https://example.org/a')
    config.model.pretrained = 'b.pth'
    write_model(path, model, config)
    settings = read_settings(path)
    assert 'init_cfg' not in settings.model.backbone and settings.model.pretrained is None
    assert 'example.org' not in json.dumps(settings.to_dict())


@pytest.mark.parametrize(
    'name',
    [
        'os.system',
        'torch.hub.load',
        'builtins.exec',
        'mmengine.config.Config',
        'mmseg.apis.init_model',
        'NoSuchThing',
        ['PiCIE'],
        None,
    ],
)
@pytest.mark.parametrize('place', ['model', 'part', 'pipeline'])
def test_types_that_are_no_names_of_a_registry_are_refused(path, tmp_path, name, place):
    settings = json.loads(torch.load(path, weights_only=True)['meta']['settings'])
    evil = dict(type=name, command=f'touch {tmp_path}/mark', repo_or_dir=str(tmp_path))
    if place == 'model':
        settings['model'] = evil
    elif place == 'part':
        settings['model']['backbone']['norm_cfg'] = dict(deep=[evil])
    else:
        settings['test_pipeline'].append(evil)
    spoil(path, settings=json.dumps(settings))
    before = set(sys.modules)
    with pytest.raises(ValueError, match='cannot be used as a model: it names') as caught:
        read_model(path)
    assert str(path) in str(caught.value)
    assert not (tmp_path / 'mark').exists()
    assert not {'turtle', 'antigravity'} & (set(sys.modules) - before)


def test_another_scope_is_not_imported(path):
    settings = json.loads(torch.load(path, weights_only=True)['meta']['settings'])
    settings['model']['backbone']['_scope_'] = 'antigravity'
    spoil(path, settings=json.dumps(settings))
    with pytest.raises(ValueError, match="it names the scope 'antigravity'"):
        read_model(path)


def test_a_model_of_a_hub_is_not_asked_for(path):
    settings = json.loads(torch.load(path, weights_only=True)['meta']['settings'])
    settings['model']['backbone'] = dict(type='TIMMBackbone', model_name='hf-hub:somebody/model')
    spoil(path, settings=json.dumps(settings))
    with pytest.raises(ValueError, match='no plain name'):
        read_model(path)


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        (dict(layout=2, version='9.0'), 'was written by mmseg_picie 9.0, in a layout'),
        (dict(format='other'), 'must be a model file'),
        (dict(settings='{'), 'its settings are damaged'),
        (dict(settings='[]'), 'its settings are damaged'),
        (dict(settings=7), 'its settings are damaged'),
        (dict(settings='[' * 10**5), 'its settings are damaged'),
        (dict(settings=f'{{"model": {"[" * 300}{"]" * 300}}}'), 'nested more than 50 deep'),
        (dict(settings='{"model": {"type": "SumFPN", "in_channels": [3]}, "test_pipeline": []}'),
         'must be a PiCIE'),
    ],
)  # fmt: skip
def test_other_files_are_refused_in_a_sentence(path, changes, sentence):
    spoil(path, **changes)
    with pytest.raises(ValueError, match=sentence):
        read_model(path)


def test_facts_that_cannot_be_read_are_none(path):
    spoil(path, facts='[' * 10**5)
    assert read_facts(path) == {}


def test_a_checkpoint_of_a_training_is_told_from_a_model_file(tmp_path, model):
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(meta={}, state_dict=model.state_dict()), path)
    assert not is_model_file(path)
    with pytest.raises(ValueError, match='picie predict'):
        read_model(path)


def test_settings_that_are_no_data_are_not_written(tmp_path, model, config):
    config.model.backbone.norm_cfg = dict(type=torch.nn.BatchNorm2d)
    with pytest.raises(ValueError, match='plain data'):
        write_model(tmp_path / 'model.pth', model, config)
    config.model.backbone.norm_cfg = dict(type='torch.nn.BatchNorm2d')
    with pytest.raises(ValueError, match='cannot be stored in a model file'):
        write_model(tmp_path / 'model.pth', model, config)
    assert not (tmp_path / 'model.pth').exists()
