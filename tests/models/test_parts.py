"""What a config says of a backbone and of its weights, in each form that MMEngine takes."""

import pytest
from mmengine.config import ConfigDict

from mmseg_picie.models.parts import describe_backbone, list_pretrained

FILE = dict(type='Pretrained', checkpoint='a.pth')


@pytest.mark.parametrize(
    ('init_cfg', 'files'),
    [
        (None, []),
        ({}, []),
        (dict(type='Kaiming', layer='Conv2d'), []),
        (FILE, ['a.pth']),
        (ConfigDict(FILE), ['a.pth']),
        ([], []),
        ([dict(type='Kaiming', layer='Conv2d'), FILE], ['a.pth']),
    ],
)
def test_weights_are_found_in_every_form_of_an_init_cfg(init_cfg, files):
    assert [source['checkpoint'] for source in list_pretrained(init_cfg)] == files


def test_a_backbone_is_described_also_in_a_frozen_encoder():
    resnet = dict(type='ResNet', depth=18)
    assert describe_backbone(resnet) == 'ResNet 18'
    assert describe_backbone(dict(type='FrozenEncoder', backbone=resnet)) == 'ResNet 18'
    assert describe_backbone({}) == ''
