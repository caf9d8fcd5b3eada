"""Parts of PiCIE that are not trained."""

import pytest
import torch


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def test_frozen_backbone_stays_as_it_was_and_the_decoder_learns(make_picie, fit, pair):
    """Weight decay and the statistics of batch normalisation included."""
    model = fit(make_picie(frozen=('backbone',)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        model.train()
        optimiser.zero_grad()
        sum(model.loss(*pair).values()).backward()
        optimiser.step()
    after = model.state_dict()
    for name, value in before.items():
        if name.startswith('backbone.'):
            assert torch.equal(after[name], value), name
        elif name.startswith('neck.') and name.endswith('weight'):
            assert not torch.equal(after[name], value), name


def test_without_frozen_the_statistics_move(make_picie, fit, pair):
    """So the test above can fail."""
    model = fit(make_picie()).train()
    before = model.backbone.bn1.running_mean.clone()
    model.loss(*pair)
    assert not torch.equal(model.backbone.bn1.running_mean, before)


def test_optimiser_and_ddp_see_what_is_to_be_trained(make_picie):
    model = make_picie(frozen=('backbone',))
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if name.startswith('neck.')}


def test_frozen_backbone_keeps_nothing_for_a_backward_pass(make_picie):
    inputs = images(1, 3, 32, 48)
    frozen = make_picie(frozen=('backbone',)).train().backbone(inputs)
    assert not any(level.requires_grad for level in frozen)
    assert all(level.requires_grad for level in make_picie().train().backbone(inputs))


def test_a_frozen_backbone_forwards_each_view_once(make_picie, fit, pair):
    for frozen, passes in (((), 4), (('backbone',), 2)):
        model = fit(make_picie(frozen=frozen)).train()
        assert model.stride == 32  # it is measured by a pass, once
        seen: list = []
        for copy in (model.backbone, *model._frozen_encoder[0].modules()):
            if type(copy) is type(model.backbone):
                copy.register_forward_hook(lambda module, *args, seen=seen: seen.append(module))
        model.loss(*pair)
        assert len(seen) == passes


def test_one_pass_for_all_gives_the_losses_and_gradients_of_separate_ones(make_picie, fit, pair):
    """As they are without sharing, the backbone being left in eval mode and out of the gradient."""
    shared, apart = fit(make_picie(frozen=('backbone',))), fit(make_picie())
    apart.load_state_dict(shared.state_dict())
    apart.freeze_encoder()
    apart.train()
    apart.backbone.requires_grad_(False)
    apart.backbone.eval()
    found, expected = shared.train().loss(*pair), apart.loss(*pair)
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(found[name], expected[name])
    for losses in (found, expected):
        sum(losses.values()).backward()
    for weight, other in zip(shared.neck.parameters(), apart.neck.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, other.grad)


def test_pseudo_labels_stay_those_of_the_epochs_start(make_picie, fit, pair):
    """The decoder that is trained is not the one that labels."""
    model = fit(make_picie(frozen=('backbone',)))
    inputs = model.forward_frozen(*pair)
    before = model.make_labels(inputs, pair[1])['decode']
    with torch.no_grad():
        for weight in model.neck.parameters():
            weight.neg_()
    same = model.make_labels(inputs, pair[1])['decode']
    assert all(torch.equal(old, new) for old, new in zip(before, same, strict=True))
    model.freeze_encoder()
    after = model.make_labels(inputs, pair[1])['decode']
    assert not torch.equal(before[0], after[0])


def test_frozen_parts_stay_in_eval_mode_whoever_asks_for_the_other(make_picie):
    model = make_picie(frozen=('backbone.layer1', 'backbone.layer2')).train()
    assert not any(m.training for m in model.backbone.layer1.modules())
    assert model.backbone.layer3.training and model.neck.training
    assert not model.eval().training
    assert model.train(True).training
    assert not model.backbone.layer2.training


def test_frozen_parts_add_nothing_to_the_checkpoint(make_picie):
    assert make_picie(frozen=('backbone',)).state_dict().keys() == make_picie().state_dict().keys()


@pytest.mark.parametrize('names', [('backbon',), 'backbone', ('',), ('backbone', 'nek')])
def test_unknown_parts_are_refused_by_name(make_picie, names):
    with pytest.raises(ValueError, match='its parts are .*backbone') as error:
        make_picie(frozen=names)
    assert repr(names) in str(error.value)


def test_nothing_left_to_train_is_refused(make_picie):
    with pytest.raises(ValueError, match='nothing to train'):
        make_picie(frozen=('backbone', 'neck'))


def test_a_head_of_other_channels_than_its_map_is_refused_with_both(make_picie):
    head = dict(type='CentroidHead', num_clusters=5, in_channels=7)
    model = make_picie(decode_head=head)
    with pytest.raises(ValueError, match=r'in_channels of CentroidHead is 7.*\(2, 12, '):
        model.decode_head.embed(model.extract_feat(images(2, 3, 32, 48)))


def test_single_level_features_need_no_decoder(make_picie, fit, pair):
    """A plain vision transformer: one map at stride 8, straight into the head."""
    pytest.importorskip('timm')
    backbone = dict(
        type='TIMMBackbone',
        model_name='vit_small_patch8_224',
        pretrained=False,
        out_indices=(-1,),
        dynamic_img_size=True,
        depth=1,
        embed_dim=12,
        num_heads=2,
    )
    model = fit(make_picie(backbone=backbone, neck=None)).train()
    sum(model.loss(*pair).values()).backward()
    gradient = model.backbone.timm_model.model.patch_embed.proj.weight.grad
    assert gradient.abs().sum() > 0
    views, samples = pair
    maps = model.extract_views(model.forward_frozen(views, samples), samples, model.encoder)
    first, second = maps
    assert first[0].shape == second[0].shape == (2, 12, 4, 6)
    (sample,) = model.eval().predict(images(1, 3, 40, 64))
    assert sample.pred_sem_seg.data.shape == (1, 40, 64)
