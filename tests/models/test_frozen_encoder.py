"""Properties of the frozen encoder."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_picie.models import FrozenEncoder

BACKBONE = dict(type='ResNet', depth=18, base_channels=8, stem_channels=8)
NECK = dict(type='SumFPN', in_channels=(8, 16, 32, 64), out_channels=12)


def save(model, path, drop=''):
    state = {key: value for key, value in model.state_dict().items() if key != drop}
    torch.save(dict(state_dict=state), path)
    return dict(type='Pretrained', checkpoint=str(path))


def test_features_are_those_of_the_checkpoints_segmentor_at_unit_length(make_picie, pair, tmp_path):
    model = make_picie()
    images = pair[0][0]
    for _ in range(3):  # running statistics that differ from the initial ones
        model.train().extract_feat(images)
    encoder = FrozenEncoder(BACKBONE, NECK, save(model, tmp_path / 'picie.pth'))
    encoder.init_weights()
    expected = F.normalize(model.eval().extract_feat(images)[0], dim=1)
    torch.testing.assert_close(encoder.train()(images)[0], expected)
    # It was asked to train, and yet it counts nothing and learns nothing.
    torch.testing.assert_close(encoder(images)[0], expected)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_a_checkpoint_that_lacks_weights_is_refused_by_name(make_picie, tmp_path):
    init_cfg = save(make_picie(), tmp_path / 'picie.pth', drop='neck.laterals.0.weight')
    encoder = FrozenEncoder(BACKBONE, NECK, init_cfg)
    with pytest.raises(ValueError, match=r'picie.pth 1 are missing .*neck.laterals.0.weight'):
        encoder.init_weights()
