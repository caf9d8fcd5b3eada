"""Whether images are normalised as the weights of a backbone want it."""

import logging
import re

import pytest
import timm
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_picie.apis.ready_configs import list_ready

HALF = dict(mean=(127.5,) * 3, std=(127.5,) * 3)
IMAGENET = dict(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
LITE0 = dict(
    type='TIMMBackbone',
    model_name='tf_efficientnet_lite0',
    features_only=True,
    pretrained=False,
    init_cfg=dict(type='Pretrained', checkpoint='efficientnet-lite0://imagenet'),
)
REGNET = LITE0 | dict(
    model_name='regnetx_002', init_cfg=dict(type='Pretrained', checkpoint='somewhere://else')
)
RESNET = dict(
    type='ResNet', depth=18, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')
)
DINO = dict(type='TIMMViT', model_name='vit_small_patch14_dinov2', weights='timm')
CLIP = DINO | dict(model_name='vit_small_patch16_224', weights='augreg.pth')


@pytest.fixture
def warnings_of(caplog, monkeypatch, tmp_path):
    """Warnings as the weights of a model are initialised, which are not loaded here."""
    MMLogger.get_instance('normalisation', log_file=str(tmp_path / 'log'))
    monkeypatch.setattr('mmengine.model.BaseModule.init_weights', lambda self: None)
    init_default_scope('mmseg')

    def build(backbone: dict, **preprocessor) -> list[str]:
        channels = 16 if backbone['type'] != 'TIMMViT' else 384
        model = MODELS.build(
            dict(
                type='PiCIE',
                data_preprocessor=dict(type='PairedViewDataPreProcessor', **preprocessor),
                backbone=backbone,
                neck=dict(type='SumFPN', in_channels=(channels,), out_channels=8),
                decode_head=dict(type='CentroidHead', in_channels=8, num_clusters=3),
            )
        )
        found = []
        monkeypatch.setattr(
            'mmseg_picie.models.normalisation.print_log',
            lambda text, logger, level: found.append(text) if level == logging.WARNING else None,
        )
        model.init_weights()
        return found

    return build


@pytest.mark.parametrize(
    ('backbone', 'right', 'wrong'),
    [
        (LITE0, HALF, IMAGENET),
        (REGNET, IMAGENET, HALF),
        (RESNET, IMAGENET, HALF),
        (DINO, IMAGENET, HALF),
        (CLIP, HALF, IMAGENET),
        (RESNET, IMAGENET | dict(std=(57.4, 57.4, 57.4)), IMAGENET | dict(std=(1.0, 1.0, 1.0))),
    ],
)
def test_images_that_the_weights_do_not_want_are_warned_of(warnings_of, backbone, right, wrong):
    assert warnings_of(backbone, **right) == []
    (text,) = warnings_of(backbone, **wrong)
    # What is to be set is told in full, so that it can be copied.
    fix = re.search(r'set model\.data_preprocessor=(dict\(.*\))\.$', text).group(1)
    assert warnings_of(backbone, **eval(fix)) == []


@pytest.mark.parametrize(
    'backbone',
    [
        LITE0 | dict(init_cfg=None),
        RESNET | dict(init_cfg=None),
        DINO | dict(weights=None),
        RESNET | dict(init_cfg=dict(type='Pretrained', checkpoint='somewhere://else')),
    ],
)
def test_random_weights_and_unknown_ones_want_nothing(warnings_of, backbone):
    assert warnings_of(backbone, **HALF) == warnings_of(backbone, **IMAGENET) == []


def test_images_of_other_channels_are_not_warned_of(warnings_of):
    assert warnings_of(LITE0, mean=(1.0,), std=(2.0,)) == []


def test_every_config_has_what_its_weights_want():
    """By timm's own record."""
    seen = []
    for name, path in list_ready().items():
        model = Config.fromfile(path).get('model') or {}
        network = (model.get('backbone') or {}).get('model_name')
        preprocessor = model.get('data_preprocessor') or {}
        if network is None or 'mean' not in preprocessor:
            continue
        record = timm.get_pretrained_cfg(network)
        for key in ('mean', 'std'):
            wanted = [255 * value for value in getattr(record, key)]
            assert preprocessor[key] == pytest.approx(wanted, abs=0.1), name
        seen.append(name)
    assert len(seen) > 20
