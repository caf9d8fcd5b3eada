"""Cityscapes-27: the class of every label id, and the public layout on disk."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.datasets import CityscapesDataset
from mmseg.registry import DATASETS

from mmseg_picie.datasets import Cityscapes27Dataset, SampleKey
from mmseg_picie.datasets.cityscapes27 import SPLIT_SIZES

REPOSITORY = Path(__file__).parents[2]
#: Facts measured elsewhere, next to the repository where they are at hand.
CLASSES_JSON = REPOSITORY.parent / 'shared' / 'data' / 'classes.json'

#: Cityscapes' label ids; from 24 on they are annotated as instances.
LABEL_IDS = {
    7: 'road',
    8: 'sidewalk',
    9: 'parking',
    10: 'rail track',
    11: 'building',
    12: 'wall',
    13: 'fence',
    14: 'guard rail',
    15: 'bridge',
    16: 'tunnel',
    17: 'pole',
    18: 'polegroup',
    19: 'traffic light',
    20: 'traffic sign',
    21: 'vegetation',
    22: 'terrain',
    23: 'sky',
    24: 'person',
    25: 'rider',
    26: 'car',
    27: 'truck',
    28: 'bus',
    29: 'caravan',
    30: 'trailer',
    31: 'train',
    32: 'motorcycle',
    33: 'bicycle',
}
VALUES = [*range(34), 255]
IMAGES = ('train/ulm/ulm_0', 'train/aachen/aachen_0', 'val/lindau/lindau_0', 'test/bonn/bonn_0')

LOAD_LABELS = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='LoadAnnotations'),
    dict(type='RemapLabels'),
]
BOTH = dict(img_path='leftImg8bit', seg_map_path='gtFine')


@pytest.fixture
def root(tmp_path, write_image, write_labels) -> Path:
    """Four images, two in one split, and label maps with all values, beside other annotations."""
    for index, stem in enumerate(IMAGES):
        write_image(tmp_path / 'leftImg8bit' / f'{stem}_leftImg8bit.png', 5, 14)
        labels = np.roll(np.resize(VALUES, (5, 14)), index)
        write_labels(tmp_path / 'gtFine' / f'{stem}_gtFine_labelIds.png', labels)
        write_labels(tmp_path / 'gtFine' / f'{stem}_gtFine_instanceIds.png', labels)
    return tmp_path


def make(root: Path, splits=('train', 'val'), **options) -> Cityscapes27Dataset:
    options = dict(data_prefix=BOTH, pipeline=LOAD_LABELS) | options
    return Cityscapes27Dataset(splits=splits, data_root=str(root), **options)


def test_every_label_id_has_the_class_of_its_name_and_the_first_seven_none():
    classes, table = Cityscapes27Dataset.METAINFO['classes'], Cityscapes27Dataset.RAW_LABELS
    assert len(table) == 34
    assert all(table[label_id] == 255 for label_id in range(7))
    assert {label_id: classes[table[label_id]] for label_id in range(7, 34)} == LABEL_IDS
    assert list(classes) == list(LABEL_IDS.values())


@pytest.mark.skipif(not CLASSES_JSON.is_file(), reason='the measured facts are not at hand')
def test_classes_are_those_of_the_released_benchmark():
    released = json.loads(CLASSES_JSON.read_text('utf-8'))['cityscapes_label_id_to_27']
    table = [-1 if c == 255 else c for c in Cityscapes27Dataset.RAW_LABELS]
    assert dict(enumerate(table)) == {int(k): v for k, v in released.items() if int(k) >= 0}


def test_things_are_what_is_annotated_as_instances_and_stuff_is_the_rest():
    classes, groups = (Cityscapes27Dataset.METAINFO[key] for key in ('classes', 'groups'))
    assert [classes[i] for i in groups['things']] == [LABEL_IDS[i] for i in range(24, 34)]
    assert sorted(groups['things'] + groups['stuff']) == list(range(27))


def test_palette_is_that_of_cityscapes_and_tells_all_classes_apart():
    palette = [tuple(colour) for colour in Cityscapes27Dataset.METAINFO['palette']]
    assert len(set(palette)) == len(palette) == 27
    own = dict(zip(Cityscapes27Dataset.METAINFO['classes'], palette, strict=True))
    theirs = (CityscapesDataset.METAINFO[key] for key in ('classes', 'palette'))
    for name, colour in zip(*theirs, strict=True):
        assert own[name] == tuple(colour), name


def test_label_maps_of_the_public_layout_become_classes(root):
    dataset = make(root)
    for index, stem in enumerate(('train/aachen/aachen_0', 'train/ulm/ulm_0', IMAGES[2])):
        raw = np.roll(np.resize(VALUES, (5, 14)), IMAGES.index(stem)).astype(int)
        expected = np.where((raw >= 7) & (raw <= 33), raw - 7, 255)
        np.testing.assert_array_equal(dataset[index]['gt_seg_map'], expected)


def test_splits_are_listed_in_the_order_asked_for_and_no_others(root):
    dataset = make(root, ('val', 'train'))
    found = [dataset.get_data_info(i) for i in range(len(dataset))]
    stems = ('val/lindau/lindau_0', 'train/aachen/aachen_0', 'train/ulm/ulm_0')
    assert [info['img_path'] for info in found] == [
        f'{root}/leftImg8bit/{stem}_leftImg8bit.png' for stem in stems
    ]
    assert [info['seg_map_path'] for info in found] == [
        f'{root}/gtFine/{stem}_gtFine_labelIds.png' for stem in stems
    ]


def test_training_needs_no_label_maps(root):
    for path in (root / 'gtFine').rglob('*.png'):
        path.unlink()
    dataset = DATASETS.build(
        dict(
            type='Cityscapes27Dataset',
            splits=['test'],
            data_root=str(root),
            data_prefix=dict(img_path='leftImg8bit'),
            pipeline=[
                LOAD_LABELS[0],
                dict(type='PairedViews', base_size=16, view_size=8),
                dict(type='PackPairedViews'),
            ],
        )
    )
    assert len(dataset) == 1
    sample = dataset[SampleKey(0, 0, 0)]['data_samples']
    assert sample.img_path.endswith('bonn_0_leftImg8bit.png')


@pytest.mark.parametrize('value', [34, 254])
def test_value_above_the_last_id_is_refused_with_file_and_value(root, write_labels, value):
    path = root / 'gtFine/val/lindau/lindau_0_gtFine_labelIds.png'
    write_labels(path, np.full((5, 14), value))
    dataset = make(root, ['val'])
    with pytest.raises(ValueError, match=f'{path} holds the value {value}, .* only 0-33, 255;'):
        dataset[0]


def test_missing_label_map_is_refused_with_both_files(root):
    path = root / 'gtFine/val/lindau/lindau_0_gtFine_labelIds.png'
    path.unlink()
    with pytest.raises(
        FileNotFoundError, match=f'{path} of image .*lindau_0_leftImg8bit.png does not exist'
    ):
        make(root)


@pytest.mark.parametrize(
    'name',
    [
        'leftImg8bit/train/ulm/ulm_0_leftImg8bit.png',
        'gtFine/train/ulm/ulm_0_gtFine_labelIds.png',
    ],
)
def test_truncated_file_is_refused_by_name(root, name):
    os.truncate(root / name, 60)
    with pytest.raises(ValueError, match=f'{root}/{name} cannot be read'):
        make(root)


@pytest.mark.parametrize('split', ['train_extra', 'trian'])
def test_missing_folder_of_a_split_is_refused_with_the_splits_that_there_are(root, split):
    with pytest.raises(FileNotFoundError) as caught:
        make(root, ['val', split])
    message = str(caught.value)
    assert f"folder {root}/leftImg8bit/{split} of split '{split}' does not exist" in message
    assert 'train, val, test, train_extra' in message and '\n' not in message


def test_empty_folder_of_a_split_is_refused_by_name(root):
    (root / 'leftImg8bit/train_extra').mkdir()
    with pytest.raises(FileNotFoundError, match='leftImg8bit/train_extra holds no image'):
        make(root, ['val', 'train_extra'], data_prefix=dict(img_path='leftImg8bit'))


@pytest.mark.parametrize('splits', ['train', (), ('val', 'val')])
def test_splits_that_are_no_different_names_are_refused_with_the_value(root, splits):
    with pytest.raises(ValueError, match='^splits must be a sequence of different') as caught:
        make(root, splits)
    assert repr(splits) in str(caught.value)


def test_splits_must_be_given(root):
    with pytest.raises(TypeError, match='splits'):
        Cityscapes27Dataset(data_root=str(root), data_prefix=BOTH)


@pytest.mark.parametrize(
    ('name', 'images'), [('cityscapes27', (21523, 3475)), ('cityscapes27_standard', (2975, 500))]
)
def test_published_counts_of_a_protocol_are_those_of_its_splits(name, images):
    config = Config.fromfile(REPOSITORY / f'configs/_base_/datasets/{name}.py')
    for split, expected in zip(('train', 'val'), images, strict=True):
        splits = config[f'{split}_dataloader'].dataset.splits
        assert (
            config.published_images['Cityscapes27Dataset'][split]
            == expected
            == sum(SPLIT_SIZES[s] for s in splits)
        )
    assert config.test_dataloader == config.val_dataloader
    train, val = (set(config[f'{s}_dataloader'].dataset.splits) for s in ('train', 'val'))
    assert not train & val
