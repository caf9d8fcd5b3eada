"""Cityscapes-19: which label ids count, and as what."""

import numpy as np
from PIL import Image

from mmseg_picie.datasets import Cityscapes19Dataset

#: Label id -> id for training, of Cityscapes' own scripts.
TRAIN_IDS = {
    7: 0,
    8: 1,
    11: 2,
    12: 3,
    13: 4,
    17: 5,
    19: 6,
    20: 7,
    21: 8,
    22: 9,
    23: 10,
    24: 11,
    25: 12,
    26: 13,
    27: 14,
    28: 15,
    31: 16,
    32: 17,
    33: 18,
}


def test_label_ids_become_the_19_classes_and_all_others_are_ignored(tmp_path):
    ids = np.arange(34, dtype=np.uint8)[None].repeat(2, 0)
    image = tmp_path / 'leftImg8bit/val/ulm/ulm_0_0_leftImg8bit.png'
    labels = tmp_path / 'gtFine/val/ulm/ulm_0_0_gtFine_labelIds.png'
    for path, array in ((image, np.zeros((2, 34, 3), np.uint8)), (labels, ids)):
        path.parent.mkdir(parents=True)
        Image.fromarray(array).save(path)
    (item,) = Cityscapes19Dataset(
        splits=('val',),
        data_root=str(tmp_path),
        data_prefix=dict(img_path='leftImg8bit', seg_map_path='gtFine'),
        pipeline=[
            dict(type='LoadImageFromFile', imdecode_backend='pillow'),
            dict(type='LoadAnnotations'),
            dict(type='RemapLabels'),
        ],
    )
    expected = [TRAIN_IDS.get(label, 255) for label in range(34)]
    np.testing.assert_array_equal(item['gt_seg_map'], [expected] * 2)


def test_things_are_people_and_vehicles():
    groups, classes = (
        Cityscapes19Dataset.METAINFO['groups'],
        Cityscapes19Dataset.METAINFO['classes'],
    )
    assert [classes[i] for i in groups['things']][:3] == ['person', 'rider', 'car']
    assert sorted([*groups['things'], *groups['stuff']]) == list(range(19))
