"""Data sets on disk: what they list, what they refuse, and the randomness they hand on."""

import os

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmseg.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader

from mmseg_picie.datasets import (
    CamVidDataset,
    EpochKeySampler,
    ImageFolderDataset,
    KeyedSegDataset,
    SampleKey,
    base,
)

LOAD = dict(type='LoadImageFromFile', imdecode_backend='pillow')
LOAD_LABELS = [LOAD, dict(type='LoadAnnotations'), dict(type='RemapLabels')]
VIEWS = [LOAD, dict(type='PairedViews', base_size=16, view_size=12), dict(type='PackPairedViews')]
BOTH = dict(img_path='images', seg_map_path='labels')


def names(dataset: KeyedSegDataset, key: str = 'img_path') -> list[str]:
    """Paths of a data set, relative to its root."""
    return [
        os.path.relpath(info[key], dataset.data_root)
        for info in map(dataset.get_data_info, range(len(dataset)))
    ]


def test_folder_without_labels_lists_images_only(root):
    dataset = ImageFolderDataset(data_root=str(root / 'images'))
    assert names(dataset) == ['a.jpg', 'b.jpg', 'c/d.jpg', 'c/e.jpg']
    assert all('seg_map_path' not in dataset.get_data_info(i) for i in range(4))


def test_folder_of_images_trains_without_any_annotation(root):
    dataset = DATASETS.build(
        dict(type='ImageFolderDataset', data_root=str(root / 'images'), pipeline=VIEWS)
    )
    item = dataset[SampleKey(0, 0, 2)]
    assert [tuple(view.shape) for view in item['inputs']] == [(3, 12, 12)] * 2
    assert item['data_samples'].img_path.endswith('c/d.jpg')


def test_labelled_data_set_pairs_images_and_label_maps_by_name(root):
    dataset = CamVidDataset(data_root=str(root), data_prefix=BOTH, pipeline=LOAD_LABELS)
    assert names(dataset) == [f'images/{name}.jpg' for name in ('a', 'b', 'c/d', 'c/e')]
    assert names(dataset, 'seg_map_path') == [f'labels/{n}.png' for n in ('a', 'b', 'c/d', 'c/e')]
    for index, name in enumerate(('a', 'b', 'c/d', 'c/e')):
        expected = np.asarray(Image.open(root / 'labels' / f'{name}.png'))
        np.testing.assert_array_equal(dataset[index]['gt_seg_map'], expected)


def test_camvid_has_its_eleven_classes_in_the_published_order():
    # The order of the release that came with SegNet's tutorial.
    listed = 'sky building pole road pavement tree sign fence car pedestrian bicyclist'
    assert list(CamVidDataset.METAINFO['classes']) == listed.split()
    assert len({tuple(colour) for colour in CamVidDataset.METAINFO['palette']}) == 11


@pytest.mark.parametrize(
    ('img_suffix', 'lines'),
    [
        ('.jpg', 'c/e\na\n'),
        ('.jpg', 'c/e.jpg\na.jpg\n'),
        (None, 'c/e.jpg\n\n  a.jpg  \n'),
    ],
)
def test_image_list_chooses_and_orders_images_with_or_without_suffix(root, img_suffix, lines):
    (root / 'list.txt').write_text(lines)
    dataset = KeyedSegDataset(
        ann_file='list.txt', img_suffix=img_suffix, data_root=str(root), data_prefix=BOTH
    )
    assert names(dataset) == ['images/c/e.jpg', 'images/a.jpg']
    assert names(dataset, 'seg_map_path') == ['labels/c/e.png', 'labels/a.png']


def test_endings_longer_than_a_suffix_pair_images_and_label_maps(
    tmp_path, write_image, write_labels
):
    write_image(tmp_path / 'images/x/a_leftImg8bit.png')
    write_image(tmp_path / 'images/x/a_disparity.png')
    write_labels(tmp_path / 'labels/x/a_gtFine_labelIds.png', np.zeros((24, 32)))
    dataset = KeyedSegDataset(
        img_suffix='_leftImg8bit.png',
        seg_map_suffix='_gtFine_labelIds.png',
        data_root=str(tmp_path),
        data_prefix=BOTH,
    )
    assert names(dataset) == ['images/x/a_leftImg8bit.png']


def test_indices_take_part_of_the_images(root):
    dataset = ImageFolderDataset(data_root=str(root / 'images'), indices=[3, 0])
    assert names(dataset) == ['c/e.jpg', 'a.jpg']


def test_missing_image_folder_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}/none does not exist'):
        ImageFolderDataset(data_root=str(tmp_path), data_prefix=dict(img_path='none'))


def test_empty_image_folder_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=f'{tmp_path} holds no image'):
        ImageFolderDataset(data_root=str(tmp_path))


def test_data_set_without_any_folder_is_refused_rather_than_reading_the_current_one():
    with pytest.raises(ValueError, match='data_root or data_prefix.img_path .* neither is set'):
        ImageFolderDataset()


def test_misspelt_data_prefix_is_refused_by_name(root):
    with pytest.raises(ValueError, match='takes img_path and seg_map_path, but got seg_path'):
        KeyedSegDataset(data_root=str(root), data_prefix=dict(img_path='images', seg_path='labels'))


def test_misspelt_option_is_refused_by_name(root):
    with pytest.raises(TypeError, match='image_suffix'):
        DATASETS.build(dict(type='ImageFolderDataset', data_root=str(root), image_suffix='.jpg'))


def test_missing_image_list_is_refused_by_name(root):
    with pytest.raises(FileNotFoundError, match=f'image list {root}/none.txt does not exist'):
        ImageFolderDataset(data_root=str(root), ann_file='none.txt')


@pytest.mark.parametrize('content', ['', '\n  \n'])
def test_empty_image_list_is_refused_by_name(root, content):
    (root / 'list.txt').write_text(content)
    with pytest.raises(ValueError, match=f'image list {root}/list.txt is empty'):
        ImageFolderDataset(data_root=str(root), ann_file='list.txt')


def test_listed_image_that_is_missing_is_refused_by_name(root):
    (root / 'list.txt').write_text('a\nz\n')
    with pytest.raises(FileNotFoundError, match='images/z.jpg does not exist.*ann_file'):
        KeyedSegDataset(
            ann_file='list.txt', img_suffix='.jpg', data_root=str(root), data_prefix=BOTH
        )


def test_missing_label_map_is_refused_by_name_and_image(root):
    (root / 'labels/c/d.png').unlink()
    with pytest.raises(FileNotFoundError, match='labels/c/d.png of image .*images/c/d.jpg does'):
        KeyedSegDataset(data_root=str(root), data_prefix=BOTH)


@pytest.mark.parametrize('name', ['images/b.jpg', 'labels/b.png'])
def test_truncated_file_is_refused_by_name_on_construction(root, name):
    os.truncate(root / name, 60)
    with pytest.raises(ValueError, match=f'{root}/{name} cannot be read'):
        KeyedSegDataset(data_root=str(root), data_prefix=BOTH)


def test_checks_are_left_out_on_demand(root):
    os.truncate(root / 'images/b.jpg', 60)
    assert len(ImageFolderDataset(data_root=str(root / 'images'), check_files=False)) == 4


@pytest.mark.parametrize('bad', ['images/b.jpg', 'labels/b.png'])
@pytest.mark.parametrize('how', ['cut', 'gone'])
def test_bad_images_are_left_out_on_demand_with_a_warning(root, bad, how, monkeypatch):
    said = []
    monkeypatch.setattr(base, 'print_log', lambda text, **options: said.append(text))
    (root / 'list.txt').write_text('c/d.jpg\nb.jpg\na.jpg\nc/e.jpg\n')
    if how == 'cut':
        os.truncate(root / bad, 60)
    else:
        (root / bad).unlink()
    options = dict(data_root=str(root), data_prefix=BOTH, ann_file='list.txt')
    dataset = KeyedSegDataset(on_bad_image='skip', **options)
    assert names(dataset) == ['images/c/d.jpg', 'images/a.jpg', 'images/c/e.jpg']
    assert len(said) == 1 and 'left out 1 of 4 images' in said[0] and bad in said[0]


def test_what_one_rank_cannot_read_is_left_out_on_all(root, monkeypatch):
    """The other rank's disk fails at the last image, this one's at the second."""
    os.truncate(root / 'images/b.jpg', 60)
    monkeypatch.setattr(base, 'all_gather_object', lambda bad: [{3: 'd cannot be read.'}, bad])
    dataset = ImageFolderDataset(data_root=str(root / 'images'), on_bad_image='skip')
    assert names(dataset) == ['a.jpg', 'c/d.jpg']


def test_nothing_left_is_refused(root):
    for path in (root / 'images').rglob('*.*'):
        os.truncate(path, 0)
    with pytest.raises(ValueError, match='would leave out all 4 of 4 images: .*a.jpg'):
        ImageFolderDataset(data_root=str(root / 'images'), on_bad_image='skip')


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(on_bad_image='ignore'), "one of refuse, skip, but got 'ignore'"),
        (dict(on_bad_image='skip', check_files=False), 'needs check_files=True'),
    ],
)
def test_options_for_bad_images_that_cannot_hold_are_refused(root, options, words):
    with pytest.raises(ValueError, match=words):
        ImageFolderDataset(data_root=str(root / 'images'), **options)


@pytest.mark.parametrize('backend', ['pillow', 'cv2'])
@pytest.mark.parametrize(('name', 'size'), [('images/b.jpg', 0), ('labels/b.png', 60)])
def test_file_that_breaks_later_is_named_on_access(root, backend, name, size):
    pipeline = [dict(LOAD, imdecode_backend=backend), *LOAD_LABELS[1:]]
    dataset = CamVidDataset(data_root=str(root), data_prefix=BOTH, pipeline=pipeline)
    os.truncate(root / name, size)
    with pytest.raises(ValueError, match=f'{root}/{name} cannot be read'):
        dataset[1]
    dataset[0]


def test_file_that_goes_later_is_named_on_access(root):
    dataset = ImageFolderDataset(data_root=str(root / 'images'), pipeline=VIEWS)
    (root / 'images/b.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='images/b.jpg does not exist'):
        dataset[SampleKey(0, 0, 1)]


@pytest.mark.parametrize('error', [OSError('disk is full'), ValueError('no'), KeyError('x')])
def test_error_that_has_nothing_to_do_with_the_files_is_left_as_it_is(root, error):
    def fail(results: dict) -> dict:
        raise error

    dataset = ImageFolderDataset(data_root=str(root / 'images'), pipeline=[LOAD, fail])
    with pytest.raises(type(error)) as caught:
        dataset[0]
    assert caught.value is error


def test_error_of_another_loader_on_a_file_that_is_no_image_is_left_as_it_is(tmp_path):
    np.save(tmp_path / 'a.npy', np.zeros(3))

    def fail(results: dict) -> dict:
        raise OSError('cannot map memory')

    dataset = KeyedSegDataset(
        data_root=str(tmp_path), img_suffix='.npy', check_files=False, pipeline=[fail]
    )
    with pytest.raises(OSError, match='cannot map memory'):
        dataset[0]


def test_pipeline_that_returns_none_is_refused_with_the_file_instead_of_another_image(root):
    dataset = ImageFolderDataset(data_root=str(root / 'images'), pipeline=[lambda results: None])
    for key in (1, SampleKey(0, 0, 1)):
        with pytest.raises(ValueError, match='returned None for .*images/b.jpg'):
            dataset[key]


def test_generator_is_handed_on_with_a_key_and_only_then(root):
    dataset = ImageFolderDataset(data_root=str(root / 'images'), pipeline=[dict])
    assert 'rng' not in dataset[2]
    results = dataset[SampleKey(5, 1, 2)]
    assert results['sample_idx'] == dataset[2]['sample_idx'] == 2
    assert results['img_path'] == dataset[2]['img_path']
    assert results['rng'].random() == np.random.default_rng((5, 1, 2)).random()


def test_a_loop_over_the_data_set_gives_each_item_with_draws_of_its_own(root):
    dataset = ImageFolderDataset(data_root=str(root / 'images'), pipeline=[dict])
    items = list(dataset)
    assert [item['sample_idx'] for item in items] == [0, 1, 2, 3]
    expected = [np.random.default_rng((0, 0, index)).random() for index in range(4)]
    assert [item['rng'].random() for item in items] == expected


def test_data_set_that_initialises_late_gives_the_same_items(root):
    early, late = (
        ImageFolderDataset(data_root=str(root / 'images'), pipeline=VIEWS, lazy_init=lazy)
        for lazy in (False, True)
    )
    key = SampleKey(0, 0, 3)
    for first, second in zip(early[key]['inputs'], late[key]['inputs'], strict=True):
        assert torch.equal(first, second)


def test_persistent_workers_draw_the_views_of_one_process_in_every_epoch(root):
    dataset = ImageFolderDataset(data_root=str(root / 'images'), pipeline=VIEWS)

    def read(num_workers: int) -> list[dict[str, bytes]]:
        """Both views of every image, by its name, for two epochs."""
        sampler = EpochKeySampler(dataset, seed=3)
        loader = DataLoader(
            dataset,
            batch_size=2,
            sampler=sampler,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            collate_fn=pseudo_collate,
        )
        epochs = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            views = {}
            for batch in loader:
                first, second = batch['inputs']
                for sample, *pair in zip(batch['data_samples'], first, second, strict=True):
                    views[sample.img_path] = b''.join(view.numpy().tobytes() for view in pair)
            epochs.append(views)
        return epochs

    alone = read(0)
    assert read(2) == alone
    assert len(alone[0]) == 4
    assert all(alone[0][path] != alone[1][path] for path in alone[0])
