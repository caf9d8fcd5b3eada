"""Paired views: deterministic by key, and what the functions of `views` make of the draws."""

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_picie.datasets import PackPairedViews, PairedViews, SampleKey
from mmseg_picie.views import (
    GeometricDraw,
    GeometricSpace,
    PhotometricSpace,
    apply_photometric,
    cover,
    crop_flip_image,
    resize,
)


def make_image(height: int = 40, width: int = 60) -> np.ndarray:
    """Smooth colours, without symmetry; (height, width, 3) uint8."""
    y, x = np.mgrid[:height, :width] / [[[height]], [[width]]]
    planes = 90 + 80 * np.sin(5 * x + 2 * y), 255 * x * (1 - y), 60 + 190 * y**2
    return np.stack(planes, axis=-1).astype(np.uint8)


KEY = SampleKey(1, 2, 3)


def run(transform: PairedViews, image: np.ndarray, key: SampleKey = KEY) -> dict:
    return transform(dict(img=image, rng=key.rng()))


SIZES = [
    pytest.param((40, 60), 24, 12, id='square'),
    pytest.param((40, 60), (20, 40), (10, 16), id='wide'),
    pytest.param((40, 60), (36, 20), (30, 8), id='tall'),
    pytest.param((9, 7), (32, 48), (16, 24), id='smaller than the base'),
    pytest.param((40, 60), (20, 30), (32, 40), id='base smaller than the views'),
]


@pytest.mark.parametrize(('shape', 'base_size', 'view_size'), SIZES)
def test_views_are_what_the_draws_of_the_key_make_of_the_base_image(shape, base_size, view_size):
    image = make_image(*shape)
    found = run(PairedViews(base_size, view_size), image)

    rng = np.random.default_rng((1, 2, 3))
    first, second = (PhotometricSpace().draw(rng) for _ in range(2))
    geometry = GeometricSpace().draw(rng)
    base_size, size = (
        (side, side) if isinstance(side, int) else side for side in (base_size, view_size)
    )
    base = cover(image, base_size)
    assert base.shape[:2] == base_size
    assert found['geometry'] == geometry
    assert [view.shape for view in found['views']] == [(*size, 3)] * 2
    assert all(view.dtype == np.uint8 for view in found['views'])
    expected = crop_flip_image(apply_photometric(base, first), geometry, size)
    np.testing.assert_array_equal(found['views'][0], expected)
    whole = resize(apply_photometric(base, second), size)
    np.testing.assert_array_equal(found['views'][1], whole)


def test_same_key_gives_the_same_views_and_any_other_key_others():
    transform = PairedViews(24, 12)
    keys = [SampleKey(*parts) for parts in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))]
    outcomes = []
    for key in keys:
        first, second = (run(transform, make_image(), key) for _ in range(2))
        assert first['geometry'] == second['geometry']
        for one, other in zip(first['views'], second['views'], strict=True):
            np.testing.assert_array_equal(one, other)
        outcomes.append(first)
    assert len({outcome['geometry'] for outcome in outcomes}) == len(keys)
    for view in range(2):
        assert len({outcome['views'][view].tobytes() for outcome in outcomes}) == len(keys)


def test_photometric_draws_of_the_two_views_are_independent():
    views = run(PairedViews(24, 24, geometric=None), make_image())['views']
    assert np.abs(views[0].astype(int) - views[1]).mean() > 2


def test_without_any_change_both_views_are_the_image():
    image = make_image()
    found = run(PairedViews((40, 60), (40, 60), photometric=None, geometric=None), image)
    assert found['geometry'] == GeometricDraw()
    for view in found['views']:
        np.testing.assert_array_equal(view, image)


def test_without_keeping_the_ratio_the_base_is_the_whole_image_stretched():
    image = make_image(40, 80)
    options = dict(photometric=None, geometric=None)
    whole, centre = (
        run(PairedViews(20, 20, **options, keep_ratio=keep_ratio), image)['views']
        for keep_ratio in (False, True)
    )
    stretched = np.asarray(Image.fromarray(image).resize((20, 20), Image.Resampling.BILINEAR))
    for view in range(2):
        np.testing.assert_array_equal(whole[view], stretched)
        assert (centre[view] != stretched).any()


def test_without_photometric_change_view_2_is_the_whole_image_and_view_1_its_crop():
    image = make_image()
    options = dict(photometric=None, geometric=dict(scale=(1, 1), hflip_prob=1, vflip_prob=1))
    found = run(PairedViews((40, 60), (40, 60), **options), image)
    np.testing.assert_array_equal(found['views'][0], image[::-1, ::-1])
    np.testing.assert_array_equal(found['views'][1], image)


def test_without_geometric_change_colours_alone_differ():
    # Brightness by exactly one half.
    colours = dict(brightness=(0.5, 0.5), contrast=(1, 1), saturation=(1, 1), hue=(0, 0))
    options = dict(colours, jitter_prob=1.0, blur_prob=0.0)
    image = make_image() // 2 * 2
    grey = np.repeat(image[..., :1], 3, axis=2)  # hue and saturation leave grey alone
    views = run(PairedViews((40, 60), (40, 60), options, None), grey)['views']
    for view in views:
        np.testing.assert_array_equal(view, grey // 2)


def test_geometry_does_not_depend_on_photometric_probabilities():
    draws = {
        run(PairedViews(24, 12, photometric=dict(jitter_prob=p)), make_image())['geometry']
        for p in (0.0, 0.8, 1.0)
    }
    assert len(draws) == 1


def test_image_and_defaults_are_left_as_they_were():
    image = make_image()
    before = image.copy()
    image.setflags(write=False)
    first = run(PairedViews(40, 24), image)
    np.testing.assert_array_equal(image, before)
    again = run(PairedViews(40, 24, photometric={}, geometric={}), image)
    np.testing.assert_array_equal(first['views'][0], again['views'][0])


def test_missing_generator_is_refused_with_the_sampler_that_gives_it():
    with pytest.raises(KeyError, match=r"results\['rng'\].*EpochKeySampler"):
        PairedViews(24, 12)(dict(img=make_image()))


@pytest.mark.parametrize('name', ['base_size', 'view_size'])
@pytest.mark.parametrize('size', [0, -4, (3, 0), (3, 4, 5), (2.5, 4), 2.5, '320', None])
def test_bad_size_is_refused_with_name_and_value(name, size):
    with pytest.raises(
        ValueError, match=rf'^{name} must be a positive integer or a pair'
    ) as caught:
        PairedViews(**{name: size})
    assert repr(size) in str(caught.value)


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(base=320), 'base'),
        (dict(photometric=dict(brigthness=(0.5, 1))), 'brigthness'),
        (dict(geometric=dict(scales=(0.5, 1))), 'scales'),
    ],
)
def test_misspelt_option_is_refused_by_name(options, named):
    with pytest.raises(TypeError, match=named):
        TRANSFORMS.build(dict(type='PairedViews', **options))


def test_packed_inputs_are_the_views_channels_first_in_their_order():
    views = [make_image(10, 16), make_image(10, 16)[:, ::-1]]
    packed = PackPairedViews()(dict(views=views, geometry=GeometricDraw(top=0.25)))
    assert set(packed) == {'inputs', 'data_samples'}
    for tensor, view in zip(packed['inputs'], views, strict=True):
        assert tensor.dtype == torch.uint8 and tensor.shape == (3, 10, 16)
        for channel in range(3):
            np.testing.assert_array_equal(tensor[channel].numpy(), view[..., channel])


def test_packed_inputs_turn_their_axes_as_one_image_and_stay_what_they_are_in_a_batch():
    views = [make_image(10, 16), make_image(10, 16)[:, ::-1]]
    items = [PackPairedViews()(dict(views=views, geometry=GeometricDraw())) for _ in range(3)]
    image = items[0]['inputs'].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(image, np.concatenate(views, axis=1))
    batch = pseudo_collate(items)['inputs']
    assert [len(view) for view in batch] == [3, 3]
    assert all(torch.equal(batch[v][i], items[i]['inputs'][v]) for v in (0, 1) for i in range(3))


def test_packed_inputs_share_no_memory_with_the_views():
    view = make_image()
    packed = PackPairedViews()(dict(views=[view, view], geometry=GeometricDraw()))
    view[:] = 0
    assert all(tensor.max() > 0 for tensor in packed['inputs'])


def test_packing_a_read_only_view_warns_about_nothing(recwarn):
    view = make_image()
    view.setflags(write=False)
    PackPairedViews()(dict(views=[view, view], geometry=GeometricDraw()))
    assert not recwarn.list


def test_packed_sample_holds_the_geometry_and_the_entries_asked_for():
    results = dict(
        views=[make_image()] * 2,
        geometry=GeometricDraw(left=0.5, width=0.5, hflip=True),
        img_path='a/b.jpg',
        sample_idx=7,
        ori_shape=(40, 60),
    )
    sample = PackPairedViews()(results)['data_samples']
    assert sample.metainfo == dict(geometry=results['geometry'], img_path='a/b.jpg', sample_idx=7)
    sample = PackPairedViews(meta_keys=['ori_shape', 'absent'])(results)['data_samples']
    assert sample.metainfo == dict(geometry=results['geometry'], ori_shape=(40, 60))
