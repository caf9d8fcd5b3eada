"""COCO-Stuff-171: the class of every label value, and what is refused."""

import ast
import json
from pathlib import Path

import mmseg
import numpy as np
import pytest
from mmengine.config import Config
from mmseg.datasets import COCOStuffDataset

from mmseg_picie.datasets import COCOStuff27Dataset, COCOStuff171Dataset

CONFIGS = Path(__file__).parents[2] / 'configs'
#: Facts measured elsewhere, next to the repository where they are at hand.
CLASSES_JSON = Path(__file__).parents[3] / 'shared' / 'data' / 'classes.json'
#: mmseg's converter, which has a table of its own.
CONVERTER = Path(mmseg.__file__).parent / '.mim/tools/dataset_converters/coco_stuff164k.py'

#: COCO's ids, which count from 1, of what no image shows.
ABSENT_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
#: COCO's ids on both sides of each gap, and at the ends.
IDS = {
    1: 'person',
    11: 'fire hydrant',
    13: 'stop sign',
    25: 'giraffe',
    27: 'backpack',
    28: 'umbrella',
    31: 'handbag',
    44: 'bottle',
    46: 'wine glass',
    65: 'bed',
    67: 'dining table',
    70: 'toilet',
    72: 'tv',
    82: 'refrigerator',
    84: 'book',
    90: 'toothbrush',
    92: 'banner',
    182: 'wood',
}

LOAD_LABELS = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='LoadAnnotations'),
    dict(type='RemapLabels'),
]
OPTIONS = dict(
    img_suffix='.jpg',
    data_prefix=dict(img_path='val2017', seg_map_path='stuffthingmaps/val2017'),
    pipeline=LOAD_LABELS,
)
PRESENT = np.array([raw for raw in range(182) if raw + 1 not in ABSENT_IDS])


@pytest.fixture
def root(tmp_path, write_image, write_labels) -> Path:
    """One image whose label map has every value that occurs, and 255."""
    write_image(tmp_path / 'val2017/000000000139.jpg', 10, 20)
    labels = np.resize([*PRESENT, 255], (10, 20))
    write_labels(tmp_path / 'stuffthingmaps/val2017/000000000139.png', labels)
    return tmp_path


def test_classes_and_colours_are_those_of_mmseg():
    for key in ('classes', 'palette'):
        assert COCOStuff171Dataset.METAINFO[key] == COCOStuffDataset.METAINFO[key]
    assert len(COCOStuff171Dataset.METAINFO['classes']) == 171


def test_every_value_but_the_absent_ones_has_the_class_at_its_place():
    table = COCOStuff171Dataset.RAW_LABELS
    assert len(table) == 182
    assert [raw + 1 for raw, c in enumerate(table) if c < 0] == list(ABSENT_IDS)
    assert [table[raw] for raw in PRESENT] == list(range(171))


def test_names_on_both_sides_of_each_gap_are_those_of_cocos_ids():
    classes = COCOStuff171Dataset.METAINFO['classes']
    assert {i: classes[COCOStuff171Dataset.RAW_LABELS[i - 1]] for i in IDS} == IDS


@pytest.mark.skipif(not CONVERTER.is_file(), reason='mmseg is installed without its tools')
def test_every_value_has_the_class_that_the_converter_of_mmseg_gives_it():
    tree = ast.parse(CONVERTER.read_text('utf-8'))
    (table,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == 'clsID_to_trID'
    )
    assert table.pop(255) == 255
    own = {raw: c for raw, c in enumerate(COCOStuff171Dataset.RAW_LABELS) if c >= 0}
    assert own == table


def test_names_agree_with_the_super_categories_value_by_value():
    coarse = COCOStuff27Dataset.METAINFO['classes']
    names = {
        COCOStuff171Dataset.METAINFO['classes'][c]: coarse[COCOStuff27Dataset.RAW_LABELS[raw]]
        for raw, c in enumerate(COCOStuff171Dataset.RAW_LABELS)
        if c >= 0
    }
    assert len(names) == 171
    # All things that are called so, and nothing else.
    assert [n for n, c in names.items() if c.endswith('things')] == list(names)[:80]


@pytest.mark.skipif(not CLASSES_JSON.is_file(), reason='needs the published table of classes')
def test_names_are_those_of_the_published_table():
    published = json.loads(CLASSES_JSON.read_text('utf-8'))['cocostuff_fine_name_to_coarse_name']
    coarse = COCOStuff27Dataset.METAINFO['classes']
    for raw, fine in enumerate(COCOStuff171Dataset.RAW_LABELS):
        if fine >= 0:
            name = COCOStuff171Dataset.METAINFO['classes'][fine]
            assert published[name] == coarse[COCOStuff27Dataset.RAW_LABELS[raw]]


def test_eighty_things_come_before_ninety_one_kinds_of_stuff():
    groups = COCOStuff171Dataset.METAINFO['groups']
    assert groups == dict(things=tuple(range(80)), stuff=tuple(range(80, 171)))


def test_label_maps_of_the_public_layout_become_classes(root):
    dataset = COCOStuff171Dataset(data_root=str(root), **OPTIONS)
    expected = np.resize([*range(171), 255], (10, 20))
    np.testing.assert_array_equal(dataset[0]['gt_seg_map'], expected)


@pytest.mark.parametrize('value', [*(i - 1 for i in ABSENT_IDS), 182, 254])
def test_value_that_coco_never_uses_is_refused_with_file_and_value(root, write_labels, value):
    path = root / 'stuffthingmaps/val2017/000000000139.png'
    write_labels(path, np.full((10, 20), value))
    dataset = COCOStuff171Dataset(data_root=str(root), **OPTIONS)
    with pytest.raises(ValueError, match=f'{path} holds the value {value}, .* only 0-10, 12-24, '):
        dataset[0]


def test_absent_value_stays_refused_under_a_subset(root, write_labels):
    write_labels(root / 'stuffthingmaps/val2017/000000000139.png', np.full((10, 20), 11))
    metainfo = dict(classes=('wood', 'person'))
    dataset = COCOStuff171Dataset(data_root=str(root), metainfo=metainfo, **OPTIONS)
    with pytest.raises(ValueError, match='holds the value 11, '):
        dataset[0]


@pytest.mark.parametrize('name', ['picie_fpn_r18_cocostuff171', 'picie_fpn_r50_cocostuff171'])
def test_config_stretches_every_image_and_has_a_cluster_for_each_class(name):
    config = Config.fromfile(CONFIGS / f'{name}.py')
    assert config.model.decode_head.num_clusters == 171
    for split, kind in (('train', 'PairedViews'), ('val', 'ResizeCenterCrop')):
        dataset = config[f'{split}_dataloader'].dataset
        (transform,) = (t for t in dataset.pipeline if t.type == kind)
        assert transform.keep_ratio is False
        assert dataset.ann_file == ''
