"""Proofs for `picie convert backbone`."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_picie.apis.backbone_weights import extract_backbone
from mmseg_picie.cli import main

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs' / 'picie_fpn_r18_scenes.py'


@pytest.fixture
def model():
    """A PiCIE whose statistics, too, are not those of a new network."""
    init_default_scope('mmseg')
    torch.manual_seed(6)
    model = MODELS.build(Config.fromfile(CONFIG).model).eval()
    for name, buffer in model.named_buffers():
        if 'running' in name:
            buffer.uniform_(0.5, 1.5)
    return model


@pytest.fixture
def checkpoint(model, tmp_path):
    path = tmp_path / 'epoch_3.pth'
    torch.save(dict(meta=dict(epoch=3), state_dict=model.state_dict()), path)
    return path


def test_the_plain_file_gives_mmsegs_backbone_the_same_features(model, checkpoint, capsys):
    main(['convert', 'backbone', str(checkpoint), '--config', str(CONFIG)])
    out = checkpoint.with_name('epoch_3_backbone.pth')
    total = len(model.backbone.state_dict())
    printed = capsys.readouterr().out
    assert f'{total} tensors of the backbone written to {out}' in printed
    assert f'{total} tensors match\n' in printed
    init_cfg = dict(type='Pretrained', checkpoint=str(out))
    plain = MODELS.build(dict(type='ResNet', depth=18, init_cfg=init_cfg))
    plain.init_weights()
    plain.eval()
    image = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        for found, expected in zip(plain(image), model.backbone(image), strict=True):
            assert torch.equal(found, expected)


def test_the_torchvision_form_gives_torchvisions_network_the_same_features(
    model, checkpoint, tmp_path
):
    torchvision = pytest.importorskip('torchvision')
    out = tmp_path / 'new' / 'r18.pth'
    assert extract_backbone(checkpoint, out, 'torchvision') == len(model.backbone.state_dict())
    network = torchvision.models.resnet18(weights=None).eval()
    keys = network.load_state_dict(torch.load(out, weights_only=True), strict=False)
    assert keys.missing_keys == ['fc.weight', 'fc.bias'] and not keys.unexpected_keys
    network.avgpool, network.fc = torch.nn.Identity(), torch.nn.Identity()
    image = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        expected = model.backbone(image)[-1].flatten(1)
        torch.testing.assert_close(network(image), expected, rtol=1e-5, atol=1e-5)


def refuse(capsys, words: list[str], *expected: str) -> None:
    with pytest.raises(SystemExit):
        main(['convert', 'backbone', *words])
    message = capsys.readouterr().err
    for word in expected:
        assert word in message


def test_a_checkpoint_without_a_backbone_is_refused_with_what_it_holds(model, tmp_path, capsys):
    weights = {name: v for name, v in model.state_dict().items() if not name.startswith('backbone')}
    torch.save(dict(state_dict=weights), tmp_path / 'other.pth')
    refuse(capsys, [str(tmp_path / 'other.pth')], 'other.pth', 'decode_head, neck')
    assert [path.name for path in tmp_path.iterdir()] == ['other.pth']


def test_a_config_of_which_no_tensor_matches_is_refused(checkpoint, capsys):
    config = ROOT / 'configs' / 'backbones' / 'picie_fpn_swin-t_cocostuff.py'
    refuse(capsys, [str(checkpoint), '--config', str(config)], 'SwinTransformer', '0 tensors match')
    assert not checkpoint.with_name('epoch_3_backbone.pth').exists()


def test_backbones_that_torchvision_does_not_name_alike_are_refused(tmp_path, capsys):
    init_default_scope('mmseg')
    backbone = MODELS.build(dict(type='ResNetV1c', depth=18))
    weights = {f'backbone.{name}': value for name, value in backbone.state_dict().items()}
    torch.save(weights, tmp_path / 'v1c.pth')
    words = [str(tmp_path / 'v1c.pth'), str(tmp_path / 'out.pth')]
    refuse(capsys, [*words, '--form', 'torchvision'], 'stem.0.weight', 'ResNetV1c')
    main(['convert', 'backbone', *words])
    assert (
        torch.load(tmp_path / 'out.pth', weights_only=True).keys() == backbone.state_dict().keys()
    )


@pytest.mark.parametrize('content', [b'', b'not a checkpoint'])
def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path, capsys, content):
    path = tmp_path / 'broken.pth'
    path.write_bytes(content)
    refuse(capsys, [str(path)], 'broken.pth')


def test_the_checkpoint_itself_is_never_written_over(checkpoint, capsys):
    refuse(capsys, [str(checkpoint), str(checkpoint)], 'the checkpoint itself')
