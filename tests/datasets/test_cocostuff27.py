"""COCO-Stuff-27: the super-category of every label, and the public layout on disk."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.datasets import COCOStuffDataset
from mmseg.registry import DATASETS
from numpy.typing import NDArray
from PIL import Image

from mmseg_picie.datasets import COCOStuff27Dataset, SampleKey
from mmseg_picie.datasets.cocostuff27 import HIERARCHY

CONFIGS = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'
#: Facts measured elsewhere, next to the repository where they are at hand.
CLASSES_JSON = Path(__file__).parents[3] / 'shared' / 'data' / 'classes.json'
SAMPLES = CLASSES_JSON.parent / 'cocostuff_samples'

#: The published class hierarchy by names (Caesar et al., CVPR 2018): things, then stuff.
PUBLISHED = {
    'electronic-things': 'tv, laptop, mouse, remote, keyboard, cell phone',
    'appliance-things': 'microwave, oven, toaster, sink, refrigerator, blender',
    'food-things': (
        'banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake'
    ),
    'furniture-things': (
        'chair, couch, potted plant, bed, mirror, dining table, window, desk, toilet, door'
    ),
    'indoor-things': (
        'book, clock, vase, scissors, teddy bear, hair drier, toothbrush, hair brush'
    ),
    'kitchen-things': 'bottle, plate, wine glass, cup, fork, knife, spoon, bowl',
    'accessory-things': 'hat, backpack, umbrella, shoe, eye glasses, handbag, tie, suitcase',
    'animal-things': 'bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe',
    'outdoor-things': ('traffic light, fire hydrant, street sign, stop sign, parking meter, bench'),
    'person-things': 'person',
    'sports-things': (
        'frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, '
        'surfboard, tennis racket'
    ),
    'vehicle-things': 'bicycle, car, motorcycle, airplane, bus, train, truck, boat',
    'ceiling-stuff': 'ceiling-tile, ceiling-other',
    'floor-stuff': 'floor-marble, floor-stone, floor-tile, floor-wood, floor-other, carpet',
    'food-stuff': 'fruit, salad, vegetable, food-other',
    'furniture-stuff': (
        'door-stuff, desk-stuff, table, shelf, cabinet, cupboard, mirror-stuff, counter, light, '
        'stairs, furniture-other'
    ),
    'rawmaterial-stuff': 'metal, plastic, paper, cardboard',
    'textile-stuff': (
        'rug, mat, towel, napkin, clothes, cloth, curtain, blanket, pillow, banner, textile-other'
    ),
    'wall-stuff': (
        'wall-brick, wall-concrete, wall-other, wall-panel, wall-stone, wall-tile, wall-wood'
    ),
    'window-stuff': 'window-blind, window-other',
    'building-stuff': 'roof, tent, bridge, skyscraper, house, building-other',
    'ground-stuff': (
        'sand, snow, dirt, mud, gravel, road, pavement, railroad, platform, playingfield, '
        'ground-other'
    ),
    'plant-stuff': 'tree, grass, branch, leaves, bush, flower, moss, straw, plant-other',
    'sky-stuff': 'clouds, sky-other',
    'solid-stuff': 'wood, rock, stone, mountain, hill, solid-other',
    'structural-stuff': 'net, railing, fence, cage, structural-other',
    'water-stuff': 'waterdrops, sea, river, fog, water-other',
}

#: Ids (from 0) that COCO-Stuff reserves but that no image has.
ABSENT = {
    11: 'street sign',
    25: 'hat',
    28: 'shoe',
    29: 'eye glasses',
    44: 'plate',
    65: 'mirror',
    67: 'window',
    68: 'desk',
    70: 'door',
    82: 'blender',
    90: 'hair brush',
}


@pytest.fixture(scope='module')
def fine_names() -> list[str]:
    """Name of each of the 182 ids: those that mmseg lists in order, and the absent ones between."""
    present = iter(COCOStuffDataset.METAINFO['classes'])
    names = [ABSENT[i] if i in ABSENT else next(present) for i in range(182)]
    assert next(present, None) is None
    return names


@pytest.fixture
def root(tmp_path, write_image: Callable, write_labels: Callable) -> Path:
    """Three training and two validation images, whose label maps together have all 183 values."""
    values = np.resize([*range(182), 255], (5, 10, 16))
    for index in range(5):
        split = 'train2017' if index < 3 else 'val2017'
        name = f'{100 + index:012d}'
        write_image(tmp_path / split / f'{name}.jpg', 10, 16)
        write_labels(tmp_path / 'stuffthingmaps' / split / f'{name}.png', values[index])
    (tmp_path / 'lists').mkdir()
    (tmp_path / 'lists/train2017.txt').write_text('000000000102\n000000000100\n')
    return tmp_path


def read_classes(root: Path, split: str, **options) -> list[NDArray]:
    """The label maps of a split, as classes."""
    pipeline = [
        dict(type='LoadImageFromFile', imdecode_backend='pillow'),
        dict(type='LoadAnnotations'),
        dict(type='RemapLabels'),
    ]
    dataset = COCOStuff27Dataset(
        data_root=str(root),
        data_prefix=dict(img_path=split, seg_map_path=f'stuffthingmaps/{split}'),
        img_suffix='.jpg',
        pipeline=pipeline,
        **options,
    )
    return [dataset[i]['gt_seg_map'] for i in range(len(dataset))]


def test_every_label_has_the_super_category_that_the_hierarchy_gives_its_name(fine_names):
    published = {
        fine: coarse for coarse, members in PUBLISHED.items() for fine in members.split(', ')
    }
    assert sorted(published) == sorted(fine_names)
    coarse_names = COCOStuff27Dataset.METAINFO['classes']
    found = [coarse_names[class_id] for class_id in COCOStuff27Dataset.RAW_LABELS]
    assert dict(zip(fine_names, found, strict=True)) == published


@pytest.mark.skipif(not CLASSES_JSON.is_file(), reason='the measured facts are not at hand')
def test_labels_classes_and_names_are_those_of_the_released_benchmark(fine_names):
    released = json.loads(CLASSES_JSON.read_text('utf-8'))
    raw_labels, classes = COCOStuff27Dataset.RAW_LABELS, COCOStuff27Dataset.METAINFO['classes']
    assert list(raw_labels) == released['cocostuff_fine_id_to_coarse_id']
    assert list(classes) == released['cocostuff_coarse_names']
    by_name = {name: classes[raw_labels[i]] for i, name in enumerate(fine_names)}
    assert by_name == released['cocostuff_fine_name_to_coarse_name']


def test_twelve_classes_of_things_come_before_fifteen_of_stuff():
    classes = COCOStuff27Dataset.METAINFO['classes']
    assert list(classes) == list(PUBLISHED)
    kinds = [name.rpartition('-')[2] for name in classes]
    assert kinds == ['things'] * 12 + ['stuff'] * 15


def test_things_and_stuff_are_groups():
    groups, classes = (COCOStuff27Dataset.METAINFO[key] for key in ('groups', 'classes'))
    for kind in ('things', 'stuff'):
        assert list(groups[kind]) == [i for i, c in enumerate(classes) if c.endswith(f'-{kind}')]


def test_palette_has_a_colour_of_its_own_for_each_class():
    palette = COCOStuff27Dataset.METAINFO['palette']
    assert len(palette) == len({tuple(colour) for colour in palette}) == 27


def test_label_maps_of_the_public_layout_become_classes(root):
    found = np.stack(read_classes(root, 'train2017') + read_classes(root, 'val2017')).ravel()
    raw = np.resize([*range(182), 255], found.size)
    table = np.array(COCOStuff27Dataset.RAW_LABELS)
    np.testing.assert_array_equal(found[raw == 255], 255)
    np.testing.assert_array_equal(found[raw < 182], table[raw[raw < 182]])
    assert set(found) == {*range(27), 255}


def test_list_of_image_ids_chooses_the_images(root):
    every = read_classes(root, 'train2017')
    listed = read_classes(root, 'train2017', ann_file='lists/train2017.txt')
    assert [len(every), len(listed)] == [3, 2]
    np.testing.assert_array_equal(listed, [every[2], every[0]])


def test_training_needs_no_label_maps(root):
    for path in (root / 'stuffthingmaps').rglob('*.png'):
        path.unlink()
    dataset = DATASETS.build(
        dict(
            type='COCOStuff27Dataset',
            data_root=str(root),
            ann_file='lists/train2017.txt',
            img_suffix='.jpg',
            data_prefix=dict(img_path='train2017'),
            pipeline=[
                dict(type='LoadImageFromFile', imdecode_backend='pillow'),
                dict(type='PairedViews', base_size=16, view_size=8),
                dict(type='PackPairedViews'),
            ],
        )
    )
    assert len(dataset) == 2
    assert dataset[SampleKey(0, 0, 1)]['data_samples'].img_path.endswith('000000000100.jpg')


@pytest.mark.parametrize('value', [182, 254])
def test_value_above_the_last_id_is_refused_with_file_and_value(root, write_labels, value):
    path = root / 'stuffthingmaps/val2017/000000000103.png'
    write_labels(path, np.full((10, 16), value))
    with pytest.raises(ValueError, match=f'{path} holds the value {value}, .* only 0-181, 255;'):
        read_classes(root, 'val2017')


def test_things_alone_are_a_subset_in_which_stuff_is_ignored(root):
    things = COCOStuff27Dataset.METAINFO['classes'][:12]
    whole = np.stack(read_classes(root, 'train2017'))
    found = np.stack(read_classes(root, 'train2017', metainfo=dict(classes=things)))
    np.testing.assert_array_equal(found, np.where(whole < 12, whole, 255))


def test_stuff_alone_is_counted_from_zero_and_things_are_ignored(root):
    config = Config.fromfile(CONFIGS / 'cocostuff27_stuff15.py')
    metainfo = config.val_dataloader.dataset.metainfo
    whole = np.stack(read_classes(root, 'train2017')).astype(int)
    found = np.stack(read_classes(root, 'train2017', metainfo=metainfo))
    expected = np.where((whole >= 12) & (whole <= 26), whole - 12, 255)
    np.testing.assert_array_equal(found, expected)
    assert set(found.ravel()) == {*range(15), 255}


@pytest.mark.parametrize(
    ('name', 'group', 'members'),
    [('things12', 'things', range(12)), ('stuff15', 'stuff', range(15))],
)
def test_config_of_a_part_names_the_classes_of_its_group(root, name, group, members):
    published = [c for c in PUBLISHED if c.endswith(f'-{group}')]
    config = Config.fromfile(CONFIGS / f'cocostuff27_{name}.py')
    for split in ('train', 'val', 'test'):
        assert list(config[f'{split}_dataloader'].dataset.metainfo.classes) == published
    dataset = COCOStuff27Dataset(
        data_root=str(root),
        data_prefix=dict(img_path='val2017'),
        metainfo=config.val_dataloader.dataset.metainfo,
    )
    assert dataset.metainfo['groups'] == {group: tuple(members)}
    palette = dict(zip(PUBLISHED, COCOStuff27Dataset.METAINFO['palette'], strict=True))
    assert dataset.metainfo['palette'] == [palette[name] for name in published]


@pytest.mark.skipif(not CLASSES_JSON.is_file(), reason='the measured facts are not at hand')
def test_published_counts_are_the_lengths_of_the_lists():
    config = Config.fromfile(CONFIGS / 'cocostuff27.py')
    for split in ('train', 'val'):
        path = CLASSES_JSON.parent / 'cocostuff27_lists' / f'{split}2017.txt'
        assert config.published_images['COCOStuff27Dataset'][split] == len(path.read_text().split())


def test_full_set_reads_all_images_for_training_and_evaluation():
    config = Config.fromfile(CONFIGS / 'cocostuff27_full.py')
    for split in ('train', 'val', 'test'):
        assert config[f'{split}_dataloader'].dataset.ann_file == ''


@pytest.mark.skipif(not SAMPLES.is_dir(), reason='real files of COCO-Stuff are not at hand')
@pytest.mark.parametrize('split', ['train2017', 'val2017'])
def test_real_files_are_cropped_and_labelled_as_pillow_and_the_table_say(split):
    """Short side to 320, centre crop: the protocol of later papers, from the config's pipeline."""
    config = Config.fromfile(CONFIGS / 'cocostuff27.py')
    prefix = dict(img_path=split, seg_map_path=f'stuffthingmaps/{split}')
    settings = dict(data_root=str(SAMPLES), ann_file='', data_prefix=prefix)
    dataset = DATASETS.build(config.val_dataloader.dataset | settings)
    assert len(dataset) == {'train2017': 13, 'val2017': 8}[split]
    class_of = np.full(256, 255)
    for number, members in enumerate(HIERARCHY.values()):
        class_of[list(members)] = number
    for item in dataset:
        raw = Image.open(item['data_samples'].metainfo['seg_map_path'])
        scale = 320 / min(raw.size)
        width, height = (max(320, round(side * scale)) for side in raw.size)
        resized = np.asarray(raw.resize((width, height), Image.Resampling.NEAREST))
        top, left = (height - 320) // 2, (width - 320) // 2
        expected = class_of[resized[top : top + 320, left : left + 320]]
        found = item['data_samples'].gt_sem_seg.data[0].numpy()
        assert item['inputs'].shape == (3, 320, 320) and found.shape == (320, 320)
        assert (found != expected).mean() < 0.02  # where pixels lie between two of the file
        assert set(np.unique(found)) <= set(range(27)) | {255}
