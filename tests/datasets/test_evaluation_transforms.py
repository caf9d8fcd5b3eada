"""Labels and centre crops for evaluation."""

import numpy as np
import pytest
from mmcv.transforms import Compose
from PIL import Image

from mmseg_picie.datasets import RemapLabels, ResizeCenterCrop


def make_results(height: int = 40, width: int = 60, labelled: bool = True) -> dict:
    """A loaded image, left half dark and right half bright, and labels 3 and 250 of the halves."""
    right = np.repeat([np.arange(width) >= width // 2], height, axis=0)
    labels = np.where(right, 250, 3).astype(np.uint8)
    image = np.repeat(right[..., None] * np.uint8(255), 3, axis=2)
    image[..., 0] = np.linspace(0, 255, height)[:, None]
    results = dict(
        img=image, img_path='a.jpg', img_shape=(height, width), ori_shape=(height, width)
    )
    return results | dict(gt_seg_map=labels, seg_map_path='a.png') if labelled else results


def make_lut(**classes: int) -> np.ndarray:
    lut = np.full(256, -1, np.int16)
    for value, class_id in classes.items():
        lut[int(value[1:])] = class_id
    return lut


def test_labels_are_looked_up_value_by_value():
    raw = np.array([[4, 7], [9, 255]], np.uint8)
    lut = make_lut(v4=2, v7=0, v9=2, v255=255)
    found = RemapLabels()(dict(gt_seg_map=raw, label_lut=lut, seg_map_path='a.png'))['gt_seg_map']
    assert found.dtype == np.uint8
    assert found.tolist() == [[2, 0], [2, 255]]
    assert raw.tolist() == [[4, 7], [9, 255]]


def test_without_a_label_map_nothing_is_looked_up():
    results = make_results(labelled=False)
    assert RemapLabels()(dict(results)).keys() == results.keys()


def test_value_without_a_class_is_refused_with_file_value_and_what_is_allowed():
    lut = make_lut(v0=0, v1=1, v2=2, v7=3, v255=255)
    raw = np.array([[0, 1], [5, 255]], np.uint8)
    with pytest.raises(
        ValueError, match=r'label map a\.png holds the value 5, .* only 0-2, 7, 255'
    ):
        RemapLabels()(dict(gt_seg_map=raw, label_lut=lut, seg_map_path='a.png'))


def test_label_map_of_several_channels_is_refused_with_file_and_shape():
    results = dict(gt_seg_map=np.zeros((4, 6, 3), np.uint8), label_lut=make_lut(v0=0))
    with pytest.raises(ValueError, match=r'a\.png must have one channel.*\(4, 6, 3\)'):
        RemapLabels()(dict(results, seg_map_path='a.png'))


def test_data_set_without_a_table_of_labels_is_refused_with_the_remedy():
    with pytest.raises(KeyError, match=r"results\['label_lut'\].*KeyedSegDataset"):
        RemapLabels()(make_results())


@pytest.mark.parametrize(
    ('shape', 'size', 'resized', 'box'),
    [
        ((40, 60), 20, (20, 30), (5, 0)),  # sides cut
        ((60, 40), 20, (30, 20), (0, 5)),  # top and bottom cut
        ((40, 60), (20, 10), (20, 30), (10, 0)),
        ((40, 60), (10, 30), (20, 30), (0, 5)),
        ((10, 14), (20, 24), (20, 28), (2, 0)),  # enlarged
        ((20, 24), (20, 24), (20, 24), (0, 0)),
    ],
)
def test_image_and_labels_are_resized_to_cover_and_their_centre_is_cut(shape, size, resized, box):
    results = make_results(*shape)
    image, labels = Image.fromarray(results['img']), Image.fromarray(results['gt_seg_map'])
    found = ResizeCenterCrop(size)(results)
    height, width = (size, size) if isinstance(size, int) else size
    left, top = box
    corners = (left, top, left + width, top + height)
    for key, source, method in (
        ('img', image, Image.Resampling.BILINEAR),
        ('gt_seg_map', labels, Image.Resampling.NEAREST),
    ):
        expected = np.asarray(source.resize(resized[::-1], method).crop(corners))
        np.testing.assert_array_equal(found[key], expected)


def test_labels_stay_on_the_image_and_get_no_new_values():
    found = ResizeCenterCrop((24, 30))(make_results(90, 121))
    assert set(np.unique(found['gt_seg_map'])) == {3, 250}
    moved = (found['img'][..., 1] > 127) != (found['gt_seg_map'] == 250)
    assert moved.any(axis=0).sum() <= 1  # at most the column in which the border lies


def test_with_labels_all_shapes_are_those_of_the_crop():
    found = ResizeCenterCrop((20, 24))(make_results())
    assert found['img'].shape == (20, 24, 3) and found['gt_seg_map'].shape == (20, 24)
    assert found['ori_shape'] == found['img_shape'] == found['pad_shape'] == (20, 24)


def test_without_labels_the_whole_image_is_kept_and_predicted_at_the_size_of_the_file():
    results = make_results(labelled=False)
    expected = np.asarray(
        Image.fromarray(results['img']).resize((36, 24), Image.Resampling.BILINEAR)
    )
    found = ResizeCenterCrop((20, 36))(results)
    np.testing.assert_array_equal(found['img'], expected)
    assert found['ori_shape'] == (40, 60)
    assert found['img_shape'] == found['pad_shape'] == (24, 36)


@pytest.mark.parametrize(
    ('shape', 'size'), [((40, 60), 20), ((40, 60), (16, 50)), ((10, 14), (20, 24))]
)
def test_without_keeping_the_ratio_all_of_image_and_labels_is_stretched(shape, size):
    results = make_results(*shape)
    image, labels = Image.fromarray(results['img']), Image.fromarray(results['gt_seg_map'])
    found = ResizeCenterCrop(size, keep_ratio=False)(results)
    height, width = (size, size) if isinstance(size, int) else size
    for key, source, method in (
        ('img', image, Image.Resampling.BILINEAR),
        ('gt_seg_map', labels, Image.Resampling.NEAREST),
    ):
        expected = np.asarray(source.resize((width, height), method))
        np.testing.assert_array_equal(found[key], expected)
    assert found['ori_shape'] == found['img_shape'] == found['pad_shape'] == (height, width)
    # Halves stay halves, of the labels' own values.
    assert np.isin(found['gt_seg_map'], (3, 250)).all()
    assert (found['gt_seg_map'] == 3).sum() == height * width // 2


def test_without_labels_the_stretched_image_is_predicted_at_the_size_of_the_file():
    found = ResizeCenterCrop((20, 36), keep_ratio=False)(make_results(labelled=False))
    assert found['img'].shape == (20, 36, 3)
    assert found['img_shape'] == found['pad_shape'] == (20, 36)
    assert found['ori_shape'] == (40, 60)


def test_label_map_of_another_size_is_refused_with_both_files_and_sizes():
    results = make_results()
    results['gt_seg_map'] = results['gt_seg_map'][:30]
    with pytest.raises(ValueError, match=r'a\.png is 60 x 30 .* image a\.jpg is 60 x 40'):
        ResizeCenterCrop(20)(results)


@pytest.mark.parametrize('size', [0, (3, -1), (1, 2, 3), 2.5, None])
def test_bad_size_is_refused_with_name_and_value(size):
    with pytest.raises(ValueError, match='^size must be a positive integer or a pair') as caught:
        ResizeCenterCrop(size)
    assert repr(size) in str(caught.value)


@pytest.mark.parametrize('labelled', [True, False])
def test_stock_packing_takes_what_comes_out(labelled, recwarn):
    lut = make_lut(v3=0, v250=1, v255=255)
    pipeline = Compose(
        [
            dict(type='mmseg.RemapLabels'),
            dict(type='mmseg.ResizeCenterCrop', size=(20, 24)),
            dict(type='mmseg.PackSegInputs'),
        ]
    )
    packed = pipeline(make_results(labelled=labelled) | dict(label_lut=lut))
    shape = (20, 24) if labelled else (20, 30)
    assert packed['inputs'].shape == (3, *shape)
    sample = packed['data_samples']
    assert sample.ori_shape == (shape if labelled else (40, 60))
    assert ('gt_sem_seg' in sample) == labelled
    if labelled:
        assert sample.gt_sem_seg.data.shape == (1, 20, 24)
        assert sample.gt_sem_seg.data.unique().tolist() == [0, 1]
    assert not recwarn.list
