"""Label maps of some images of a folder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_picie.apis.labelled_folder import find_labelled


def write(path: Path, array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(array).astype(np.uint8)).save(path)


@pytest.fixture
def images(tmp_path) -> Path:
    for name in ('a/1.jpg', 'a/2.PNG', 'b/1.jpeg', '3.tif'):
        write(tmp_path / 'images' / name, np.zeros((2, 2, 3)))
    return tmp_path / 'images'


@pytest.fixture
def labels(tmp_path) -> Path:
    write(tmp_path / 'labels' / 'a/1.png', [[0, 2], [255, 0]])
    write(tmp_path / 'labels' / 'b/1.png', [[1, 1], [1, 1]])
    write(tmp_path / 'labels' / 'c/1.png', [[7, 1]])  # of no image, so its ids do not count
    return tmp_path / 'labels'


def test_label_maps_are_paired_by_name_and_ids_without_names_are_numbered(images, labels):
    found = find_labelled(images, labels)
    assert found.names == ['a/1.jpg', 'b/1.jpeg']
    assert found.classes == ['class 0', 'class 1', 'class 2']
    assert found.unused == 1


def test_a_list_names_the_classes(images, labels):
    (labels / 'classes.txt').write_text('road\nsky\ncar\nship\n')
    assert find_labelled(images, labels).classes == ['road', 'sky', 'car', 'ship']


def test_an_id_without_a_name_is_refused(images, labels):
    (labels / 'classes.txt').write_text('road\nsky\n')
    with pytest.raises(ValueError, match='names 2 classes, ids 0 to 1, but .* hold the id 2'):
        find_labelled(images, labels)


def test_label_maps_without_images_are_refused(images, tmp_path):
    write(tmp_path / 'other' / 'x_labels.png', [[0]])
    with pytest.raises(ValueError, match=r'there is x_labels.png, but no image x_labels'):
        find_labelled(images, tmp_path / 'other')


def test_one_label_map_of_two_images_is_refused(images, labels):
    write(images / 'a/1.bmp', np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match='is the label map of a/1.bmp and of a/1.jpg'):
        find_labelled(images, labels)


def test_label_maps_in_colour_or_without_a_class_are_refused(images, labels):
    write(labels / 'a/1.png', np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match='must have one channel of 8 bits'):
        find_labelled(images, labels)
    write(labels / 'a/1.png', np.full((2, 2), 255))
    write(labels / 'b/1.png', np.full((2, 2), 255))
    with pytest.raises(ValueError, match='hold no class, only 255'):
        find_labelled(images, labels)


def test_a_label_map_of_another_size_is_refused_before_any_training(images, labels):
    write(labels / 'a/1.png', np.zeros((9, 5)))
    with pytest.raises(ValueError, match=r'1.png is 5 x 9 pixels, but its image .*1.jpg is 2 x 2;'):
        find_labelled(images, labels)


def test_a_folder_without_label_maps_is_called_so(images, tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='labels is .*empty, which holds no label map'):
        find_labelled(images, tmp_path / 'empty')
    with pytest.raises(FileNotFoundError, match='labels is .*missing, but there is no such folder'):
        find_labelled(images, tmp_path / 'missing')


def test_a_class_that_is_named_twice_is_refused_as_a_class(images, labels):
    (labels / 'classes.txt').write_text('a\nb\na\n')
    with pytest.raises(ValueError, match='list of classes .* must name each class once, but a is'):
        find_labelled(images, labels)
