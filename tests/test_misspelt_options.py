"""A misspelt option in a config fails, and the message names it."""

import inspect

import cv2
import numpy as np
import pytest
from mmseg.models import EncoderDecoder
from mmseg.registry import DATA_SAMPLERS, DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS

import mmseg_picie  # noqa: F401 - registers the classes

HEAD = dict(type='CentroidHead', num_clusters=5, in_channels=12)
NECK = dict(type='SumFPN', in_channels=(8, 16, 32, 64), out_channels=12)
BACKBONE = dict(type='ResNet', depth=18, base_channels=8, stem_channels=8)
FOLDER = dict(type='ImageFolderDataset')  # its data_root is filled in

# Registry, a config that builds, and an option of it that is misspelt.
CASES = [
    (TRANSFORMS, dict(type='PairedViews'), 'view_sise'),
    (TRANSFORMS, dict(type='PackPairedViews'), 'meta_key'),
    (TRANSFORMS, dict(type='LoadRGAnnotations'), 'ignore_label'),
    (MODELS, HEAD, 'num_cluster'),
    (MODELS, NECK, 'out_channel'),
    (MODELS, dict(type='PairedViewDataPreProcessor'), 'bgr2rgb'),
    (MODELS, dict(type='PiCIE', backbone=BACKBONE, neck=NECK, decode_head=HEAD), 'decoder_head'),
    (METRICS, dict(type='HungarianIoUMetric'), 'ignore_idx'),
    (METRICS, dict(type='ImageNetSSubmission', root='a', output_dir='b'), 'out_dir'),
    (HOOKS, dict(type='KMeansCentroidHook'), 'num_iter'),
    (HOOKS, dict(type='CheckpointHook'), 'max_keep_ckpt'),
    (DATA_SAMPLERS, dict(type='EpochKeySampler', seed=0), 'shufle'),
    (DATASETS, FOLDER, 'img_sufix'),
]


@pytest.fixture
def complete(tmp_path):
    """Fill in what a config cannot hold: a folder with an image, a data set for the sampler."""
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((8, 8, 3), np.uint8))
    folder = dict(FOLDER, data_root=str(tmp_path))

    def fill_in(config):
        if config['type'] == 'EpochKeySampler':
            return dict(config, dataset=DATASETS.build(folder))
        return dict(config, data_root=str(tmp_path)) if config['type'] == FOLDER['type'] else config

    return fill_in


@pytest.mark.parametrize(
    ('registry', 'config', 'option'), CASES, ids=[config['type'] for _, config, _ in CASES]
)
def test_a_misspelt_option_is_refused_by_name(complete, registry, config, option):
    config = complete(config)
    assert registry.build(config) is not None  # so it is the option that is refused
    with pytest.raises(TypeError, match=option):
        registry.build(dict(config, **{option: 1}))


@pytest.mark.parametrize('space', ['photometric', 'geometric'])
def test_a_misspelt_option_of_a_nested_part_is_refused_by_name(space):
    with pytest.raises(TypeError, match='hflip_probability'):
        TRANSFORMS.build(dict(type='PairedViews', **{space: dict(hflip_probability=0.1)}))


def test_a_misspelt_option_of_a_part_of_the_model_is_refused_by_name():
    head = dict(HEAD, predict_view=(0,))
    with pytest.raises(TypeError, match='predict_view'):
        MODELS.build(dict(type='PiCIE', backbone=BACKBONE, neck=NECK, decode_head=head))


def registered_classes():
    registries = (TRANSFORMS, MODELS, METRICS, HOOKS, DATA_SAMPLERS, DATASETS)
    return [
        item
        for registry in registries
        for item in registry.module_dict.values()
        if item.__module__.startswith('mmseg_picie.')
    ]


def test_no_registered_class_swallows_unknown_options():
    """PiCIE hands all of its arguments on to a class that does not."""
    classes = registered_classes()
    assert len(classes) >= len(CASES)
    for item in classes:
        taken = EncoderDecoder if item.__name__ == 'PiCIE' else item
        kinds = [parameter.kind for parameter in inspect.signature(taken).parameters.values()]
        assert inspect.Parameter.VAR_KEYWORD not in kinds, item.__name__
