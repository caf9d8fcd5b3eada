"""The embedded data set: stock transforms read scenes as if they were files."""

import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine import fileio
from mmseg.registry import DATASETS

from mmseg_picie.datasets import SampleKey, SyntheticScenesDataset
from mmseg_picie.datasets.scenes.renderer import render_scene
from mmseg_picie.datasets.scenes.synthetic_scenes import draw_scene

SIZE = (48, 70)  # rows of BMP files are filled up to four bytes: 70 x 3 and 70 are not multiples


def load(backend: str) -> list[dict]:
    return [
        dict(type='LoadImageFromFile', imdecode_backend=backend),
        dict(type='LoadAnnotations', imdecode_backend=backend),
    ]


def make(**options) -> SyntheticScenesDataset:
    return SyntheticScenesDataset(**(dict(num_images=4, scene_size=SIZE) | options))


@pytest.mark.parametrize('backend', ['pillow', 'cv2'])
def test_stock_transforms_load_exactly_the_scene_that_is_drawn(backend):
    dataset = make(scene_seed=6, pipeline=load(backend))
    for index in range(4):
        results = dataset[index]
        image, label = render_scene(np.random.default_rng((6, index)), *SIZE)
        np.testing.assert_array_equal(results['img'], image)
        np.testing.assert_array_equal(results['gt_seg_map'], label)
        assert results['ori_shape'] == SIZE


def test_scenes_of_another_seed_are_others():
    train, val = (make(scene_seed=seed, pipeline=load('pillow')) for seed in (0, 1))
    images = {data[i]['img'].tobytes() for data in (train, val) for i in range(4)}
    assert len(images) == 8


def test_fewer_images_are_the_first_of_more():
    few, many = (make(num_images=number, pipeline=load('pillow')) for number in (2, 4))
    for index in range(2):
        np.testing.assert_array_equal(few[index]['img'], many[index]['img'])


def test_unlabelled_scenes_offer_no_label_map():
    dataset = make(labelled=False)
    assert len(dataset) == 4
    assert all('seg_map_path' not in dataset.get_data_info(i) for i in range(4))
    assert 'seg_map_path' in make().get_data_info(0)


def test_scenes_go_through_both_pipelines():
    load_image, load_labels = load('pillow')
    pack = [
        dict(type='PairedViews', base_size=SIZE, view_size=(24, 36)),
        dict(type='PackPairedViews'),
    ]
    train = DATASETS.build(
        dict(type='SyntheticScenesDataset', num_images=2, scene_size=SIZE, labelled=False)
        | dict(pipeline=[load_image, *pack])
    )
    assert train[SampleKey(0, 0, 1)]['inputs'][0].shape == (3, 24, 36)
    crop = [dict(type='RemapLabels'), dict(type='ResizeCenterCrop', size=(24, 30))]
    val = make(pipeline=[load_image, load_labels, *crop, dict(type='PackSegInputs')])
    sample = val[0]['data_samples']
    assert sample.gt_sem_seg.data.max() < len(val.metainfo['classes'])


def test_loaded_scene_can_be_written_and_the_drawn_one_cannot():
    # A drawn scene is shared by all who ask for it.
    pipeline = Compose(load('pillow'))
    info = make().get_data_info(0)
    pipeline(dict(info))['img'][:] = 0
    assert pipeline(dict(info))['img'].max() > 0
    for array in draw_scene(0, 0, *SIZE):
        with pytest.raises(ValueError, match='read-only'):
            array[:] = 0


@pytest.mark.parametrize(
    'address',
    [
        'scene://3/32x40/image/2.png',
        'scene://3/32x40/mask/2.bmp',
        'scene://3/32/image/2.bmp',
        'scene://-3/32x40/image/2.bmp',
        'scene://images/2.bmp',
    ],
)
def test_bad_address_is_refused_with_a_good_one(address):
    with pytest.raises(
        FileNotFoundError, match=f'{address} is not the address of a scene.*scene://0'
    ):
        fileio.get(address)


def test_reading_a_scene_as_text_is_refused():
    with pytest.raises(TypeError, match='cannot be read as text'):
        fileio.get_text('scene://3/32x40/image/2.bmp')


@pytest.mark.parametrize('number', [0, -1])
def test_number_of_scenes_below_one_is_refused_with_its_value(number):
    with pytest.raises(ValueError, match=f'num_images must be at least 1, but got {number}'):
        make(num_images=number)


def test_negative_seed_is_refused_with_its_value():
    with pytest.raises(ValueError, match='scene_seed must be at least 0, but got -2'):
        make(scene_seed=-2)


@pytest.mark.parametrize('size', [0, (48,), 'small'])
def test_bad_size_is_refused_with_name_and_value(size):
    with pytest.raises(ValueError, match='^scene_size must be a positive integer or a pair'):
        make(scene_size=size)


def test_too_small_a_size_is_refused_on_construction():
    with pytest.raises(ValueError, match='at least 32 pixels, got 24 x 36'):
        make(scene_size=(24, 36))


@pytest.mark.parametrize('error', [OSError('disk is full'), ValueError('no')])
def test_error_while_working_on_a_scene_is_not_taken_for_a_broken_file(error):
    def fail(results: dict) -> dict:
        raise error

    with pytest.raises(type(error)) as caught:
        make(pipeline=[*load('pillow'), fail])[0]
    assert caught.value is error


def test_misspelt_option_is_refused_by_name():
    with pytest.raises(TypeError, match='num_scenes'):
        DATASETS.build(dict(type='SyntheticScenesDataset', num_scenes=3))
