"""Norms and activations that are computed again: the same training in less memory."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_picie.acceleration import recompute
from mmseg_picie.acceleration.recompute import recompute_cheap_layers

pytestmark = pytest.mark.skipif(not recompute.IS_AVAILABLE, reason='torch is older than 2.5')

VIT = dict(
    type='TIMMBackbone',
    model_name='vit_small_patch8_224',
    pretrained=False,
    out_indices=(-1,),
    dynamic_img_size=True,
    depth=2,
    embed_dim=12,
    num_heads=2,
)
SWIN = dict(
    type='SwinTransformer',
    embed_dims=12,
    depths=(1, 1),
    num_heads=(1, 2),
    strides=(4, 2),
    out_indices=(0, 1),
    drop_path_rate=0.5,
)


@pytest.fixture(autouse=True)
def all_blocks(monkeypatch):
    """However small their inputs are."""
    monkeypatch.setattr(recompute, '_MIN_BYTES', 0)


@pytest.fixture(params=['resnet', 'efficientnet', 'transformer', 'swin'])
def models(request, make_picie, fit):
    """The same model twice, the second one with cheap layers computed again."""
    options = {}
    if request.param == 'efficientnet':
        options = request.getfixturevalue('efficientnet')
    elif request.param == 'transformer':
        pytest.importorskip('timm')
        options = dict(backbone=VIT, neck=None)
    elif request.param == 'swin':
        neck = dict(type='SumFPN', in_channels=(12, 24), out_channels=12)
        options = dict(backbone=SWIN, neck=neck)
    plain = fit(make_picie(**options)).train()
    again = copy.deepcopy(plain)
    assert recompute_cheap_layers(again.backbone) > 1
    return plain, again


def train(model, pair, dtype, steps):
    """Losses, gradients and state behind some steps."""
    torch.manual_seed(3)  # of random layers
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        with torch.autocast('cpu', dtype, enabled=dtype != torch.float32):
            losses = model.loss(*pair)
        sum(losses.values()).backward()
        optimiser.step()
    return losses, {n: p.grad for n, p in model.named_parameters()}, model.state_dict()


def test_training_is_the_same_to_the_last_bit(models, pair):
    """Losses, gradients and running statistics, over two steps."""
    plain, again = models
    assert list(plain.state_dict()) == list(again.state_dict())
    found = [train(model, pair, torch.float32, steps=2) for model in models]
    for expected, ours in zip(*found, strict=True):
        for name, value in expected.items():
            assert torch.equal(ours[name], value), name


def test_mixed_precision_is_kept(models, pair):
    """Both views' gradients of a weight are added in another precision, so they are near."""
    expected, ours = (train(model, pair, torch.bfloat16, steps=1)[:2] for model in models)
    for name, value in expected[0].items():
        torch.testing.assert_close(ours[0][name], value, msg=name)
    for name, value in expected[1].items():
        flat = [gradients[name].flatten() for gradients in (ours[1], expected[1])]
        if value.norm() > 1e-6:
            assert torch.cosine_similarity(*flat, dim=0) > 0.98, name


def saved_bytes(model, inputs):
    """Memory that a graph keeps for its backward pass, without weights."""
    weights = {weight.data_ptr() for weight in model.parameters()}
    found = {}

    def pack(tensor):
        if tensor.data_ptr() not in weights:
            found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = model.backbone(inputs)
    assert outputs[0].requires_grad
    return sum(found.values())


def test_less_is_kept(make_picie, efficientnet):
    """Results of convolutions are in a cache that hooks do not see: they are counted apart."""
    model = make_picie(**efficientnet).train()
    inputs = torch.randn(2, 3, 64, 64)
    plain = saved_bytes(model, inputs)
    made = []
    for conv in model.backbone.modules():
        if isinstance(conv, nn.Conv2d):
            conv.register_forward_hook(lambda module, args, output: made.append(output.nbytes))
    recompute_cheap_layers(model.backbone)
    assert saved_bytes(model, inputs) + sum(made) < 0.75 * plain


def test_small_blocks_keep_all(make_picie, monkeypatch):
    monkeypatch.setattr(recompute, '_MIN_BYTES', 1 << 30)
    monkeypatch.setattr(recompute, 'checkpoint', None)
    model = make_picie().train()
    assert recompute_cheap_layers(model.backbone) == 8
    model.backbone(torch.randn(2, 3, 32, 32))


def test_no_gradient_no_second_computation(make_picie, monkeypatch):
    monkeypatch.setattr(recompute, 'checkpoint', None)
    model = make_picie().eval()
    recompute_cheap_layers(model.backbone)
    with torch.no_grad():
        model.backbone(torch.randn(2, 3, 32, 32))


@pytest.mark.parametrize('reason', ['with_cp', 'SyncBN'])
def test_networks_that_must_not_are_left_alone(make_picie, reason):
    """Of a block that recomputes all already, and of norms whose ranks wait for each other."""
    options = dict(with_cp=True) if reason == 'with_cp' else dict(norm_cfg=dict(type='SyncBN'))
    backbone = dict(type='ResNet', depth=18, base_channels=8, stem_channels=8, **options)
    assert recompute_cheap_layers(make_picie(backbone=backbone).backbone) == 0


def test_statistics_see_each_batch_once(make_picie):
    model = make_picie().train()
    recompute_cheap_layers(model.backbone)
    sum(level.sum() for level in model.backbone(torch.randn(2, 3, 32, 32))).backward()
    counts = {int(m.num_batches_tracked) for m in model.modules() if isinstance(m, _BatchNorm)}
    assert counts == {1}
