"""Windows say what the whole image says, and large predictions what small ones do."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from mmseg.models import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_picie.datasets.scenes import draw_scene
from mmseg_picie.models import PiCIE
from mmseg_picie.models.window_prediction import find_unit, label_in_windows, plan_windows
from mmseg_picie.models.windows import plan_intervals

#: Share of the pixels that windows may label otherwise than the whole image, at the same scale.
MOST_DIFFERING = 0.03


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def samples(num, size, **metainfo):
    info = dict(ori_shape=size, img_shape=size, pad_shape=size, **metainfo)
    return [SegDataSample(metainfo=info) for _ in range(num)]


@pytest.fixture
def make(make_picie, fit) -> Callable[..., PiCIE]:
    def make_fitted(views=(0,), preprocessor=None, **kwargs) -> PiCIE:
        options = dict(type='mmseg.PairedViewDataPreProcessor', **(preprocessor or {}))
        head = dict(predict_views=views)
        model = fit(make_picie(head=head, data_preprocessor=options, **kwargs)).eval()
        for layer in model.modules():  # as if trained: maps are of the same order everywhere
            if isinstance(layer, nn.BatchNorm2d):
                layer.reset_running_stats()
        return model

    return make_fitted


def label(model, image, rows, columns, size) -> np.ndarray:
    def read(top: int, bottom: int) -> torch.Tensor:
        return image[:, top:bottom]

    with model.only_labels():
        parts = [part[0] for _, part in label_in_windows(model, read, rows, columns, size)]
    return torch.cat(parts).numpy()


@pytest.mark.parametrize('divisor', [None, 64])
@pytest.mark.parametrize('size', [(320, 448), (640, 1000)])
def test_windows_agree_with_the_whole_image_at_the_same_scale(make, size, divisor):
    model = make(preprocessor=dict(size_divisor=divisor))
    scene = draw_scene(3, 0, 320, 448)[0]
    image = torch.from_numpy(scene[..., ::-1].copy()).permute(2, 0, 1)
    unit = find_unit(model)
    rows, columns = (plan_windows(length, 64, unit) for length in (320, 448))
    assert len(rows.starts) > 2 and len(columns.starts) > 3
    tiled = label(model, image, rows, columns, size)
    whole = label(model, image, plan_intervals(320, 320, 320), plan_intervals(448, 448, 448), size)
    assert len(np.unique(whole)) > 1
    assert (tiled != whole).mean() < MOST_DIFFERING


def test_one_window_is_the_prediction_of_the_segmentor(make):
    model = make()
    image = torch.from_numpy(draw_scene(3, 1, 64, 96)[0]).permute(2, 0, 1).contiguous()
    found = label(model, image, plan_intervals(64, 64, 64), plan_intervals(96, 96, 96), (64, 96))
    (sample,) = model.test_step(dict(inputs=[image], data_samples=samples(1, (64, 96))))
    np.testing.assert_array_equal(found, sample.pred_sem_seg.data[0].numpy())


def test_sides_of_windows_fit_the_stride_and_the_divisor(make):
    assert find_unit(make()) == 32
    model = make(preprocessor=dict(size_divisor=24))
    assert find_unit(model) == 96
    plan = plan_windows(960, 160, 96)
    assert plan.side % 96 == 0 and all(start % 96 == 0 for start in plan.starts)


@pytest.mark.parametrize('size', [(48, 80), (32, 32), (20, 90), (33, 47)])
@pytest.mark.parametrize('views', [(0,), (0, 1)])
def test_sliding_windows_are_those_of_mmseg(make, size, views):
    model = make(views, test_cfg=dict(mode='slide', crop_size=(32, 32), stride=(16, 20)))
    inputs = images(2, 3, *size)
    metas = [dict(img_shape=size) for _ in inputs]
    with torch.no_grad():
        found = model.slide_inference(inputs, metas)
        expected = EncoderDecoder.slide_inference(model, inputs, metas)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('mode', ['slide', 'whole'])
@pytest.mark.parametrize('views', [(0,), (1, 0)])
@pytest.mark.parametrize('padding', [None, [3, 5, 2, 6]])
def test_predictions_without_logits_are_those_with_them(make, mode, views, padding):
    """Of any file size; logits are left out where they would be too large."""
    model = make(views, test_cfg=dict(mode=mode, crop_size=(32, 32), stride=(16, 16)))
    inputs = images(2, 3, 48, 80)
    info = {} if padding is None or mode == 'slide' else dict(img_padding_size=padding)
    outcomes = []
    for most in (1 << 28, 1):
        model.most_logits = most
        blank = samples(2, (100, 70), **info)
        for sample in blank:
            sample.set_metainfo(dict(img_shape=(48, 80)))
        with torch.no_grad():
            outcomes.append(model.predict(inputs, blank))
    for kept, left in zip(*outcomes, strict=True):
        assert 'seg_logits' in kept and 'seg_logits' not in left
        assert left.pred_sem_seg.data.shape == (1, 100, 70)
        differing = (kept.pred_sem_seg.data != left.pred_sem_seg.data).float().mean()
        assert differing < 1e-3
        assert ('pred_view_sem_seg' in left) == (len(views) == 2)
        if len(views) == 2:
            both = (kept.pred_view_sem_seg.data != left.pred_view_sem_seg.data).float().mean()
            assert both < 1e-3
        assert left.metainfo['predict_views'] == views


def test_logits_are_kept_for_those_who_need_them(make):
    model = make((0, 1))
    model.most_logits, model.keeps_view_logits = 1, True
    with torch.no_grad():
        (sample,) = model.predict(images(1, 3, 32, 48), samples(1, (32, 48)))
    assert sample.view_seg_logits.data.shape == (2, 5, 32, 48)


def test_only_labels_of_the_first_view_are_a_passing_state(make):
    model = make((1, 0))
    inputs, blank = images(1, 3, 32, 48), samples(1, (32, 48))
    with torch.no_grad():
        (before,) = model.predict(inputs, blank)
        with model.only_labels():
            (only,) = model.predict(inputs, samples(1, (32, 48)))
        (after,) = model.predict(inputs, samples(1, (32, 48)))
    assert 'seg_logits' not in only and 'pred_view_sem_seg' not in only
    assert torch.equal(only.pred_sem_seg.data, before.pred_sem_seg.data)
    assert torch.equal(after.pred_view_sem_seg.data, before.pred_view_sem_seg.data)
    assert torch.equal(after.seg_logits.data, before.seg_logits.data)
