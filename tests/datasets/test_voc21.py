"""Pascal VOC: label maps with a palette, lists of names, background as a class."""

from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_picie.datasets import VOC21Dataset

LOAD = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='LoadAnnotations'),
    dict(type='RemapLabels'),
]


def voc_palette() -> list[int]:
    """The colours of the development kit: bits of the index, highest first, dealt to r, g, b."""
    colours = []
    for index in range(256):
        channels = [0, 0, 0]
        for place in range(8):
            for channel in range(3):
                channels[channel] |= (index >> (3 * place + channel) & 1) << (7 - place)
        colours += channels
    return colours


def write(root: Path, name: str, labels: np.ndarray) -> None:
    for folder in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.new('RGB', labels.shape[::-1]).save(root / f'JPEGImages/{name}.jpg')
    image = Image.fromarray(labels.astype(np.uint8), 'P')
    image.putpalette(voc_palette())
    image.save(root / f'SegmentationClass/{name}.png')


def test_indices_of_the_palette_are_classes_and_rims_are_ignored(tmp_path):
    labels = np.array([[0, 1, 15, 20], [255, 255, 7, 0]])
    write(tmp_path, '2007_000032', labels)
    write(tmp_path, '2007_000033', 0 * labels)
    (tmp_path / 'ImageSets/Segmentation/val.txt').write_text('2007_000032\n')
    (item,) = VOC21Dataset(
        data_root=str(tmp_path),
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/val.txt',
        img_suffix='.jpg',
        pipeline=LOAD,
    )
    np.testing.assert_array_equal(item['gt_seg_map'], labels)


def test_classes_are_in_the_order_of_the_development_kit():
    classes = VOC21Dataset.METAINFO['classes']
    assert len(classes) == 21
    assert [classes[i] for i in (0, 1, 7, 15, 20)] == [
        'background',
        'aeroplane',
        'car',
        'person',
        'tvmonitor',
    ]
    flat = [channel for colour in VOC21Dataset.METAINFO['palette'] for channel in colour]
    assert flat == voc_palette()[: 3 * 21]
