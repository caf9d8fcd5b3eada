"""Potsdam-3: six classes become three."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageColor

from mmseg_picie.datasets import Potsdam3Dataset
from mmseg_picie.datasets.potsdam3 import SIX_CLASSES, decode_colours

#: Facts measured elsewhere, next to the repository where they are at hand.
CLASSES_JSON = Path(__file__).parents[3] / 'shared' / 'data' / 'classes.json'

MERGED = {
    'road': 'roads and cars',
    'car': 'roads and cars',
    'building': 'buildings and clutter',
    'clutter': 'buildings and clutter',
    'low vegetation': 'vegetation',
    'tree': 'vegetation',
}
LOAD = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='LoadAnnotations'),
    dict(type='RemapLabels'),
]
FOLDERS = dict(img_path='images/test', seg_map_path='annotations/test')


def test_each_of_the_six_classes_is_merged_into_the_right_one():
    classes = Potsdam3Dataset.METAINFO['classes']
    found = [classes[label] for label in Potsdam3Dataset.RAW_LABELS]
    assert dict(zip(SIX_CLASSES, found, strict=True)) == MERGED
    assert classes == ('roads and cars', 'buildings and clutter', 'vegetation')


@pytest.mark.skipif(not CLASSES_JSON.is_file(), reason='the measured facts are not at hand')
def test_ids_are_merged_as_in_the_released_benchmark():
    facts = json.loads(CLASSES_JSON.read_text('utf-8'))['potsdam6_to_3']
    released = {
        int(part.split(' ')[0]): label
        for parts, label in facts.items()
        for part in parts.split(', ')
    }
    assert [released[i] for i in range(6)] == list(Potsdam3Dataset.RAW_LABELS)


def test_palette_has_a_colour_of_its_own_for_each_class():
    palette = Potsdam3Dataset.METAINFO['palette']
    assert len(palette) == len({tuple(colour) for colour in palette}) == 3


def test_label_maps_of_the_layout_become_three_classes(tmp_path, write_image, write_labels):
    write_image(tmp_path / 'images/test/2_10_00_00.png', 2, 4)
    write_labels(
        tmp_path / 'annotations/test/2_10_00_00.png', np.array([[0, 1, 2, 3], [4, 5, 255, 0]])
    )
    dataset = Potsdam3Dataset(data_root=str(tmp_path), data_prefix=FOLDERS, pipeline=LOAD)
    assert dataset[0]['gt_seg_map'].tolist() == [[0, 1, 2, 2], [0, 1, 255, 0]]


def test_value_above_the_last_id_is_refused_with_file_and_value(
    tmp_path, write_image, write_labels
):
    write_image(tmp_path / 'images/test/2_10_00_00.png', 2, 4)
    path = tmp_path / 'annotations/test/2_10_00_00.png'
    write_labels(path, np.full((2, 4), 6))
    dataset = Potsdam3Dataset(data_root=str(tmp_path), data_prefix=FOLDERS, pipeline=LOAD)
    with pytest.raises(ValueError, match=f'{path} holds the value 6, .* only 0-5, 255;'):
        dataset[0]


WORDS = {
    'white': 'road',
    'blue': 'building',
    'cyan': 'low vegetation',
    'lime': 'tree',
    'yellow': 'car',
    'red': 'clutter',
}


@pytest.mark.parametrize(('word', 'name'), WORDS.items())
def test_colour_of_each_class_becomes_its_id(word, name):
    colour = np.full((2, 3, 3), ImageColor.getrgb(word), np.uint8)
    assert (decode_colours(colour, 'a.tif') == list(SIX_CLASSES).index(name)).all()


@pytest.mark.parametrize('colour', [(0, 0, 0), (255, 0, 255), (252, 255, 0), (0, 1, 255)])
def test_any_other_colour_is_refused_with_file_and_colour_and_place(colour):
    image = np.full((4, 5, 3), 255, np.uint8)
    image[2, 3] = colour
    words = ', '.join(map(str, colour))
    with pytest.raises(ValueError, match=rf'a\.tif .* got \({words}\) in row 2, column 3'):
        decode_colours(image, 'a.tif')


def test_tolerance_accepts_that_difference_in_every_channel_and_no_more():
    image = np.array([[[252, 255, 3], [255, 252, 0]]], np.uint8)
    assert decode_colours(image, 'a.tif', tolerance=3).tolist() == [[4, 4]]
    with pytest.raises(ValueError, match='2 such pixels'):
        decode_colours(image, 'a.tif', tolerance=2)
