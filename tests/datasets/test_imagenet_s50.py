"""ImageNet-S-50: names and order of the classes, and label maps of two channels."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mmseg_picie.datasets import ImageNetS50Dataset, KeyedSegDataset, LoadRGAnnotations, SampleKey
from mmseg_picie.datasets.imagenet_s50 import SYNSETS

#: Facts measured elsewhere, next to the repository where they are at hand.
CLASSES_JSON = Path(__file__).parents[3] / 'shared' / 'data' / 'classes.json'

#: The numbers of the synsets in the order of their labels, 1 to 50.
NUMBERS = """
1443537 1491361 1531178 1644373 2104029 2119022 2123597 2133161 2165456 2281406
2325366 2342885 2396427 2483362 2504458 2510455 2690373 2747177 2783161 2814533
2859443 2917067 2992529 3014705 3047690 3095699 3197337 3201208 3445777 3452741
3584829 3630383 3775546 3791053 3874599 3891251 4026417 4335435 4380533 4404412
4447861 4507155 4522168 4557648 4562935 4612504 6794110 7749582 7831146 12998815
"""

LOAD = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='LoadRGAnnotations'),
    dict(type='RemapLabels'),
]
FOLDERS = dict(img_path='validation', seg_map_path='validation-segmentation')


def write_ids(path: Path, ids: NDArray) -> None:
    """Write ids as the benchmark does: red holds the low byte, green the high one."""
    pixels = np.zeros((*ids.shape, 3), np.uint8)
    for place in np.ndindex(ids.shape):
        pixels[place][1], pixels[place][0] = divmod(int(ids[place]), 256)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path, write_image) -> Path:
    """Two validation images; the first one's label map has all 52 ids, the other's background."""
    every = np.array([*range(51), 1000] * 2).reshape(8, 13)
    for synset, name, ids in (
        ('n01443537', 'ILSVRC2012_val_00000262', every),
        ('n12998815', 'n12998815_9', np.zeros((8, 13), int)),
    ):
        write_image(tmp_path / 'validation' / synset / f'{name}.JPEG', 8, 13)
        write_ids(tmp_path / 'validation-segmentation' / synset / f'{name}.png', ids)
    return tmp_path


def load(root: Path, index: int = 0, **options) -> NDArray:
    options = dict(data_root=str(root), data_prefix=FOLDERS, pipeline=LOAD) | options
    return ImageNetS50Dataset(**options)[index]['gt_seg_map']


def test_synsets_are_in_the_published_order_of_labels():
    assert list(SYNSETS) == [f'n{int(number):08d}' for number in NUMBERS.split()]


@pytest.mark.skipif(not CLASSES_JSON.is_file(), reason='the measured facts are not at hand')
def test_synsets_are_those_of_the_released_benchmark():
    facts = json.loads(CLASSES_JSON.read_text('utf-8'))
    assert list(SYNSETS) == facts['imagenet_s50_wnids_in_label_order_1_to_50']


def test_names_are_wordnets():
    spec = find_spec('timm')
    if spec is None or spec.origin is None:
        pytest.skip('timm, which brings WordNet names, is not installed')
    lines = Path(spec.origin).parent / 'data/_info/imagenet_synset_to_lemma.txt'
    lemmas = dict(line.split('\t') for line in lines.read_text('utf-8').splitlines())
    assert {synset: lemmas[synset].split(', ')[0] for synset in SYNSETS} == SYNSETS


def test_background_comes_first_and_is_a_group_of_its_own():
    meta = ImageNetS50Dataset.METAINFO
    assert meta['classes'] == ('background', *SYNSETS.values())
    assert len(set(meta['classes'])) == 51
    assert sorted(meta['groups']['foreground']) == list(range(1, 51))
    assert list(meta['groups']['background']) == [0]


def test_palette_has_a_colour_of_its_own_for_each_class():
    palette = ImageNetS50Dataset.METAINFO['palette']
    assert len(palette) == len({tuple(colour) for colour in palette}) == 51
    assert all(0 <= channel <= 255 for colour in palette for channel in colour)


def test_label_maps_become_classes_and_1000_is_ignored(root):
    found = load(root)
    assert found.dtype == np.uint8
    assert found.ravel().tolist() == [*range(51), 255] * 2
    assert not load(root, 1).any()


def test_subset_of_the_classes_ignores_the_others(root):
    found = load(root, metainfo=dict(classes=('lemon', 'goldfish')))
    expected = {48: 0, 1: 1}
    assert found.ravel().tolist() == [*(expected.get(i, 255) for i in range(51)), 255] * 2


@pytest.mark.parametrize('wrong', [51, 254])
def test_id_without_a_class_is_refused_with_file_and_id(root, wrong):
    path = root / 'validation-segmentation/n12998815/n12998815_9.png'
    write_ids(path, np.full((8, 13), wrong))
    with pytest.raises(ValueError, match=f'{path} holds the value {wrong}, .* only 0-50, 255;'):
        load(root, 1)


# 256 and 257 would be 0 and 1 if only 8 bits counted; 255 is no id, though it marks "no class".
@pytest.mark.parametrize('wrong', [255, 256, 257, 999, 1001, 65535])
def test_id_beyond_8_bits_is_refused_with_file_and_id(root, wrong):
    path = root / 'validation-segmentation/n12998815/n12998815_9.png'
    ids = np.full((8, 13), 1000)
    ids[5, 6] = wrong
    write_ids(path, ids)
    with pytest.raises(ValueError, match=f'{path} holds the id {wrong}, .* and 1000 for pixels'):
        load(root, 1)


def test_blue_is_refused_by_name(root):
    path = root / 'validation-segmentation/n12998815/n12998815_9.png'
    Image.new('RGB', (13, 8), (1, 0, 3)).save(path)
    with pytest.raises(ValueError, match=f'{path} must have 0 as blue everywhere.* value 3'):
        load(root, 1)


@pytest.mark.parametrize('mode', ['L', 'P', 'LA', 'RGBA', 'I;16'])
@pytest.mark.parametrize('check_files', [True, False])
def test_label_map_of_other_channels_is_refused_by_name(root, mode, check_files):
    path = root / 'validation-segmentation/n12998815/n12998815_9.png'
    Image.new(mode, (13, 8)).save(path)
    with pytest.raises(ValueError, match=f'{path} must have three channels of 8 bits'):
        load(root, 1, check_files=check_files)


def test_truncated_label_map_is_refused_by_name(root):
    path = root / 'validation-segmentation/n01443537/ILSVRC2012_val_00000262.png'
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=f'{path} cannot be read'):
        load(root)


def test_other_data_sets_keep_refusing_three_channels(root):
    with pytest.raises(ValueError, match=r'\.png must have one channel of 8 bits'):
        KeyedSegDataset(data_root=str(root), data_prefix=FOLDERS, metainfo=dict(classes=('a',)))


def test_wide_numbers_from_another_loader_are_refused_rather_than_wrapped(root):
    def widen(results: dict) -> dict:
        results['gt_seg_map'] = results['gt_seg_map'].astype(np.int64) + 256
        return results

    with pytest.raises(ValueError, match='holds the value 256'):
        load(root, 1, pipeline=[*LOAD[:2], widen, LOAD[2]])


def test_training_and_test_images_need_no_labels_and_lists_match_the_upper_case_suffix(root):
    (root / 'list.txt').write_text('n12998815/n12998815_9.JPEG\n')
    pipeline = [
        dict(type='LoadImageFromFile', imdecode_backend='pillow'),
        dict(type='PairedViews', base_size=16, view_size=8),
        dict(type='PackPairedViews'),
    ]
    options = dict(data_prefix=dict(img_path='validation'), pipeline=pipeline)
    assert len(ImageNetS50Dataset(data_root=str(root), **options)) == 2
    dataset = ImageNetS50Dataset(
        data_root=str(root), ann_file='list.txt', img_suffix='.jpeg', **options
    )
    assert len(dataset) == 1
    path = dataset[SampleKey(0, 0, 0)]['data_samples'].img_path
    assert path.endswith('n12998815/n12998815_9.JPEG')


def test_ignored_id_is_an_option_that_the_description_names(root):
    transform = LoadRGAnnotations(ignore_id=7)
    assert 'ignore_id=7' in repr(transform)
    path = root / 'validation-segmentation/n12998815/n12998815_9.png'
    write_ids(path, np.full((8, 13), 7))
    found = transform(dict(seg_map_path=str(path), seg_fields=[]))
    assert (found['gt_seg_map'] == 255).all()
    assert found['seg_fields'] == ['gt_seg_map']
