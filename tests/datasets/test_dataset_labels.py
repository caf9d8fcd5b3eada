"""Label maps: from the values on disk to classes, subsets of classes and their groups."""

import numpy as np
import pytest
from PIL import Image

from mmseg_picie.datasets import CamVidDataset, ImageFolderDataset, KeyedSegDataset

LOAD_LABELS = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='LoadAnnotations'),
    dict(type='RemapLabels'),
]
BOTH = dict(img_path='images', seg_map_path='labels')


class Zoo(KeyedSegDataset):
    """Four classes in two groups; on disk 10 to 14, of which 12 and 13 are one class."""

    METAINFO = dict(
        classes=('lion', 'crow', 'pond', 'lawn'),
        palette=[[200, 150, 0], [0, 0, 0], [0, 0, 200], [0, 200, 0]],
        groups=dict(animals=(0, 1), ground=(2, 3)),
    )
    RAW_LABELS = [*[255] * 10, 3, 0, 1, 1, 2]


def test_label_values_become_classes_by_the_table_of_the_data_set(root, write_labels):
    raw = write_labels(root / 'labels/a.png', np.array([[10, 11, 12], [13, 14, 255]]))
    dataset = Zoo(data_root=str(root), data_prefix=BOTH, pipeline=LOAD_LABELS)
    labels = dataset[0]['gt_seg_map']
    assert labels.dtype == np.uint8 and raw.shape == labels.shape
    assert labels.tolist() == [[3, 0, 1], [1, 2, 255]]


@pytest.mark.parametrize('value', [11, 200, 254])
def test_label_value_out_of_range_is_refused_with_file_and_value(root, write_labels, value):
    labels = np.zeros((24, 32))
    labels[-1, -1] = value
    write_labels(root / 'labels/c/e.png', labels)
    dataset = CamVidDataset(data_root=str(root), data_prefix=BOTH, pipeline=LOAD_LABELS)
    message = rf'{root}/labels/c/e.png holds the value {value}, .* has only 0-10, 255;'
    with pytest.raises(ValueError, match=message):
        dataset[3]


def test_label_map_of_16_bits_is_refused_rather_than_cut_to_8(root):
    # Cut to 8 bits, 258 would be class 2.
    Image.fromarray(np.full((24, 32), 258, np.uint16)).save(root / 'labels/b.png')
    with pytest.raises(ValueError, match='labels/b.png must have one channel of 8 bits'):
        CamVidDataset(data_root=str(root), data_prefix=BOTH)


def test_subset_of_classes_renumbers_them_and_ignores_the_others(root, write_labels):
    write_labels(root / 'labels/a.png', np.array([[10, 11, 12], [13, 14, 255]]))
    dataset = Zoo(
        data_root=str(root),
        data_prefix=BOTH,
        metainfo=dict(classes=('pond', 'lion')),
        pipeline=LOAD_LABELS,
    )
    # lawn, lion, crow / crow, pond, void
    assert dataset[0]['gt_seg_map'].tolist() == [[255, 1, 255], [255, 0, 255]]
    assert dataset.metainfo['palette'] == [[0, 0, 200], [200, 150, 0]]


def test_value_without_a_class_stays_refused_under_a_subset(root, write_labels):
    write_labels(root / 'labels/a.png', np.full((24, 32), 15))
    dataset = Zoo(
        data_root=str(root),
        data_prefix=BOTH,
        metainfo=dict(classes=['lion']),
        pipeline=LOAD_LABELS,
    )
    with pytest.raises(ValueError, match='holds the value 15'):
        dataset[0]


@pytest.mark.parametrize(
    ('classes', 'groups'),
    [
        (('lion', 'crow', 'pond', 'lawn'), dict(animals=(0, 1), ground=(2, 3))),
        (('pond', 'lion', 'crow'), dict(animals=(1, 2), ground=(0,))),
        (('lawn', 'pond'), dict(ground=(1, 0))),
    ],
)
def test_groups_follow_a_subset_of_the_classes(root, classes, groups):
    dataset = Zoo(data_root=str(root), data_prefix=BOTH, metainfo=dict(classes=classes))
    assert dataset.metainfo['groups'] == groups
    assert Zoo.METAINFO['groups'] == dict(animals=(0, 1), ground=(2, 3))


def test_given_groups_are_those_of_the_subset(root):
    given = dict(classes=('pond', 'lion'), groups=dict(wet=(0,)))
    dataset = Zoo(data_root=str(root), data_prefix=BOTH, metainfo=given)
    assert dataset.metainfo['groups'] == dict(wet=(0,))


def test_classes_of_a_plain_folder_come_from_metainfo(root, write_labels):
    raw = write_labels(root / 'labels/a.png', np.array([[0, 1], [1, 255]]))
    options = dict(data_root=str(root), data_prefix=BOTH, pipeline=LOAD_LABELS)
    dataset = ImageFolderDataset(metainfo=dict(classes=('sea', 'land')), **options)
    assert dataset[0]['gt_seg_map'].tolist() == raw.tolist()
    with pytest.raises(ValueError, match='holds the value .* has only 0-1, 255'):
        dataset[1]
