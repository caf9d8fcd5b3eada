"""Properties of the segmentor."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.runner import load_checkpoint, save_checkpoint
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_picie.models import CentroidHead
from mmseg_picie.views import GeometricDraw, crop_flip_image

K, D = 5, 12
FCN = dict(type='FCNHead', in_channels=D, channels=4, num_convs=1, num_classes=K)


def images(*shape, seed=5):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def samples(num, size, **metainfo):
    info = dict(ori_shape=size, img_shape=size, pad_shape=size, **metainfo)
    return [SegDataSample(metainfo=info) for _ in range(num)]


def test_training_without_a_labeler_is_refused(make_picie, pair):
    with pytest.raises(RuntimeError, match='KMeansCentroidHook'):
        make_picie().loss(*pair)


@pytest.mark.parametrize('where', ['decode_head', 'auxiliary_head'])
def test_another_head_is_refused_by_name(make_picie, where):
    wrong = FCN if where == 'decode_head' else [dict(type='CentroidHead', num_clusters=K), FCN]
    prefix = 'decode' if where == 'decode_head' else 'aux_1'
    with pytest.raises(TypeError, match=f'{prefix} of PiCIE must be a CentroidHead.*FCNHead'):
        make_picie(**{where: wrong})


def test_a_missing_weight_file_is_refused_by_name(make_picie, tmp_path):
    path = str(tmp_path / 'resnet.pth')
    backbone = dict(
        type='ResNet',
        depth=18,
        base_channels=8,
        stem_channels=8,
        init_cfg=dict(type='Pretrained', checkpoint=path),
    )
    model = make_picie(backbone=backbone)
    with pytest.raises(FileNotFoundError, match='backbone.init_cfg.checkpoint') as error:
        model.init_weights()
    assert path in str(error.value)


def test_losses_of_all_heads_have_their_prefix(make_picie, fit, pair):
    aux = dict(type='CentroidHead', num_clusters=9, in_channels=D)
    one, two = make_picie(auxiliary_head=aux), make_picie(auxiliary_head=[aux, aux])
    names = {'loss_within', 'loss_cross'}
    assert set(two.heads()) == {'decode', 'aux_0', 'aux_1'}
    for model, heads in ((make_picie(), ['decode']), (one, ['decode', 'aux']), (two, two.heads())):
        assert set(fit(model).loss(*pair)) == {f'{h}.{n}' for h in heads for n in names}


def test_labeler_is_no_part_of_the_model(make_picie, fit):
    model = make_picie()
    keys, parameters = set(model.state_dict()), len(list(model.parameters()))
    fit(model)
    assert set(model.state_dict()) == keys
    assert len(list(model.parameters())) == parameters
    assert not any('labeler' in name for name, _ in model.named_modules())


def test_labeler_stays_as_it_was_when_the_model_trains(make_picie, fit, pair):
    model = fit(make_picie()).train()
    labeler = model._frozen_encoder[0]
    before = labeler(pair[0][0])[0]
    weights = {name: value.clone() for name, value in labeler.state_dict().items()}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        sum(model.loss(*pair).values()).backward()
        optimiser.step()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert not labeler.training
    for name, value in labeler.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert torch.equal(labeler(pair[0][0])[0], before)
    # Until it is told to follow.
    labeler = model.freeze_encoder()
    expected = model.encoder.eval()(pair[0][0])[0]
    assert not torch.allclose(expected, before, rtol=1e-3)
    torch.testing.assert_close(labeler(pair[0][0])[0], expected, rtol=1e-3, atol=1e-4)
    assert not labeler.training


def test_labels_come_from_the_labeler_in_eval_mode(make_picie, fit, pair):
    """The live encoder, in train mode, has other features and must not change the labels."""
    model = make_picie(head=dict(class_weight='none')).train()
    # Running statistics that are far from those of a batch.
    for name, buffer in model.named_buffers():
        if name.endswith('running_mean'):
            buffer.copy_(images(*buffer.shape))
    fit(model)
    with torch.no_grad():
        inputs = model.forward_frozen(*pair)
        live = list(model.extract_views(inputs, pair[1], model.encoder))
        model.eval()
        frozen = list(model.extract_views(inputs, pair[1], model.encoder))
        head = model.decode_head
        expected = head.loss_by_views(live, head.make_labels(frozen))
        other = head.loss_by_views(live, head.make_labels(live))
        found = model.train().loss(*pair)
    for name, value in expected.items():
        torch.testing.assert_close(found[f'decode.{name}'], value, rtol=1e-5, atol=0)
        assert abs(other[name] - value) > 5e-3 * value


def test_training_lowers_the_loss(make_picie, fit, pair):
    model = fit(make_picie()).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(6):
        optimiser.zero_grad()
        loss = sum(model.loss(*pair).values())
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


class Averages(nn.Module):
    """Stand-in for an encoder: means of blocks."""

    def forward(self, x):
        return (F.avg_pool2d(x, 4),)


def test_view_2_is_brought_into_the_frame_of_view_1(make_picie):
    """With a linear image and an averaging encoder, both views' maps are the same (1e-5)."""
    y, x = np.mgrid[:64, :96].astype(np.float32)
    image = np.stack([y, x, 2 * y - x], axis=-1) / 64
    draws = [
        GeometricDraw(0.1, 0.3, 0.6, 0.5, hflip=True),
        GeometricDraw(0.3, 0.15, 0.5, 0.7, vflip=True),
    ]
    crops = [crop_flip_image(image, draw, (32, 64)).transpose(2, 0, 1) for draw in draws]
    first = torch.from_numpy(np.stack(crops))
    whole = torch.from_numpy(image).permute(2, 0, 1).expand(2, -1, -1, -1)
    geometry = [SegDataSample(metainfo=dict(geometry=draw)) for draw in draws]
    (one,), (two,) = make_picie().extract_views([first, whole], geometry, Averages())
    assert one.shape == (2, 3, 8, 16)
    torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
    assert not torch.allclose(one[0], one[1], atol=0.1)


def test_prediction_before_any_clustering_is_refused(make_picie):
    with pytest.raises(RuntimeError, match='has no centroids'):
        make_picie().eval().predict(images(1, 3, 32, 48))


@pytest.mark.parametrize('with_samples', [True, False])
def test_prediction_is_the_argmax_of_upsampled_logits(make_picie, fit, with_samples):
    model = fit(make_picie()).eval()
    inputs = images(2, 3, 32, 48)
    with torch.no_grad():
        results = model.predict(inputs, samples(2, (32, 48)) if with_samples else None)
        logits = F.interpolate(
            model.decode_head(model.extract_feat(inputs)), (32, 48), mode='bilinear'
        )
    for sample, expected in zip(results, logits, strict=True):
        torch.testing.assert_close(sample.seg_logits.data, expected, rtol=0, atol=1e-5)
        assert torch.equal(sample.pred_sem_seg.data, sample.seg_logits.data.argmax(0, True))
        assert 'pred_view_sem_seg' not in sample


def test_prediction_of_two_views_holds_a_map_for_each(make_picie, fit):
    """The first is that of a model which predicts with the first view alone, and so on."""
    model = fit(make_picie(head=dict(predict_views=(0, 1)))).eval()
    inputs, size = images(2, 3, 32, 48), (30, 44)
    with torch.no_grad():
        results = model.predict(inputs, samples(2, size, flip=True, flip_direction='horizontal'))
        singles = []
        for view in (0, 1):
            single = fit(make_picie(head=dict(predict_views=(view,)))).eval()
            single.load_state_dict(model.state_dict())
            info = samples(2, size, flip=True, flip_direction='horizontal')
            singles.append(single.predict(inputs, info))
    for i, sample in enumerate(results):
        by_view = sample.pred_view_sem_seg.data
        assert by_view.shape == (2, *size)
        assert torch.equal(by_view[:1], sample.pred_sem_seg.data)
        assert len(sample.seg_logits.data) == K
        for view in (0, 1):
            assert torch.equal(by_view[view], singles[view][i].pred_sem_seg.data[0])
        assert not torch.equal(by_view[0], by_view[1])


def test_prediction_carries_the_classes_of_the_clusters(make_picie, fit):
    model = fit(make_picie(head=dict(predict_views=(1,)))).eval()
    model.decode_head.cluster_to_class[1] = torch.tensor([3, -1, 0, 2, 1])
    with torch.no_grad():
        (sample,) = model.predict(images(1, 3, 32, 48), samples(1, (32, 48)))
    assert sample.metainfo['cluster_to_class'].tolist() == [[3, -1, 0, 2, 1]]
    assert sample.metainfo['predict_views'] == (1,)


def test_slide_inference_works_with_two_views(make_picie, fit):
    slide = dict(mode='slide', crop_size=(32, 32), stride=(16, 16))
    model = fit(make_picie(head=dict(predict_views=(0, 1)), test_cfg=slide)).eval()
    with torch.no_grad():
        (sample,) = model.predict(images(1, 3, 48, 80), samples(1, (48, 80)))
        assert sample.pred_view_sem_seg.data.shape == (2, 48, 80)
        # One window that covers the image gives what the whole image does.
        inputs = images(1, 3, 32, 32)
        (slid,) = model.predict(inputs, samples(1, (32, 32)))
        model.test_cfg.mode = 'whole'
        (whole,) = model.predict(inputs, samples(1, (32, 32)))
    torch.testing.assert_close(slid.seg_logits.data, whole.seg_logits.data)
    assert torch.equal(slid.pred_view_sem_seg.data, whole.pred_view_sem_seg.data)


def test_a_checkpoint_predicts_as_the_model_that_it_was_saved_from(make_picie, fit, tmp_path):
    model = fit(make_picie()).eval()
    save_checkpoint(dict(state_dict=model.state_dict()), str(tmp_path / 'model.pth'))
    other = make_picie().eval()
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    load_checkpoint(other, str(tmp_path / 'model.pth'))
    inputs = images(1, 3, 32, 48)
    with torch.no_grad():
        found, expected = (m.predict(inputs)[0].seg_logits.data for m in (other, model))
    assert torch.equal(found, expected)


@pytest.mark.parametrize('change', [dict(num_clusters=9), dict(in_channels=8, in_index=1)])
def test_a_checkpoint_with_other_clusters_or_channels_is_refused(make_picie, fit, tmp_path, change):
    head = dict(type='CentroidHead', num_clusters=K, in_channels=16, in_index=1)
    model = fit(make_picie(neck=None, decode_head=head))
    save_checkpoint(dict(state_dict=model.state_dict()), str(tmp_path / 'model.pth'))
    other = make_picie(neck=None, decode_head={**head, **change})
    with pytest.raises(ValueError) as error:
        load_checkpoint(other, str(tmp_path / 'model.pth'))
    shape = (2, change.get('num_clusters', K), change.get('in_channels', 16))
    assert str((2, K, 16)) in str(error.value) and str(shape) in str(error.value)


def resnet(depth, channels=8, **options):
    return dict(type='ResNet', depth=depth, base_channels=channels, stem_channels=8, **options)


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (dict(backbone=resnet(34)), 'backbone.layer1.2.conv1.weight'),  # what it has, fits
        (dict(neck=dict(type='SumFPN', in_channels=(8, 16, 32, 64), out_channels=8)), 'neck.'),
    ],
)
@pytest.mark.parametrize('turned', [False, True])
def test_a_checkpoint_of_another_encoder_is_refused(
    make_picie, fit, tmp_path, change, named, turned
):
    """Loaded as toolboxes do, not strictly, it would leave a part of the encoder random."""
    models = [make_picie(**options) for options in ({}, change)]
    saved, other = models[::-1] if turned else models
    save_checkpoint(dict(state_dict=saved.state_dict()), str(tmp_path / 'model.pth'))
    with pytest.raises(ValueError, match=f'of another backbone or neck .* such as {named}'):
        load_checkpoint(other, str(tmp_path / 'model.pth'))


def test_pretrained_weights_that_match_nothing_are_refused(make_picie, tmp_path):
    path = str(tmp_path / 'model.pth')
    source = make_picie()
    save_checkpoint(dict(state_dict=source.state_dict()), path)
    init_cfg = dict(type='Pretrained', checkpoint=path)
    message = "holds no tensor of this backbone .* set init_cfg.prefix to 'backbone.'"
    with pytest.raises(ValueError, match=message):
        make_picie(backbone=resnet(18, init_cfg=init_cfg)).init_weights()
    init_cfg['prefix'] = 'backbone.'
    model = make_picie(backbone=resnet(18, init_cfg=init_cfg))
    for weight in model.backbone.parameters():
        nn.init.zeros_(weight)
    model.init_weights()
    assert torch.equal(model.backbone.conv1.weight, source.backbone.conv1.weight)


def test_a_model_without_a_neck_works(make_picie, fit, pair):
    """The head may take any of the backbone's maps."""
    head = dict(type='CentroidHead', num_clusters=K, in_channels=16, in_index=1)
    model = fit(make_picie(neck=None, decode_head=head)).train()
    assert isinstance(model.decode_head, CentroidHead)
    losses = model.loss(*pair)
    assert all(value.isfinite() for value in losses.values())


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('head', ['IICHead', 'DeepClusterHead', 'CentroidHead'])
def test_weights_of_another_method_are_refused_wherever_they_are_loaded(
    make_picie, fit, tmp_path, head, prefix
):
    """By mmengine, whose loading is not strict, under both of its names for tensors."""
    model = fit(make_picie())
    weights = {f'{prefix}{key}': value for key, value in model.state_dict().items()}
    torch.save(dict(meta={}, state_dict=weights), tmp_path / 'picie.pth')
    config = dict(type=head, num_clusters=K, in_channels=D)
    other = make_picie()
    if head == 'CentroidHead':  # over-clustering
        other = make_picie(auxiliary_head=dict(config, num_clusters=2 * K))
    else:
        other.decode_head = MODELS.build(config)
    with pytest.raises(ValueError, match=r'another method than the config|centroids of'):
        load_checkpoint(other, str(tmp_path / 'picie.pth'), map_location='cpu')
    load_checkpoint(make_picie(), str(tmp_path / 'picie.pth'), map_location='cpu')
