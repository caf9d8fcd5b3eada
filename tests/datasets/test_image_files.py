"""Finding image files, and telling whole ones from broken ones without decoding them all."""

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from mmengine.logging import MMLogger
from PIL import Image

from mmseg_picie.datasets import image_files
from mmseg_picie.datasets.image_files import (
    check_image,
    check_label_map,
    decode_image,
    find_faults,
    find_images,
    read_size,
)


def check_images(paths: Iterable) -> None:
    """Refuse the first of the images that is to be refused."""
    for error in find_faults(check_image, list(paths)):
        if error is not None:
            raise error


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def decoded(monkeypatch) -> list[Path]:
    """The files that are decoded as a whole, in order."""
    paths = []

    def decode(path: Path) -> None:
        paths.append(path)
        decode_image(path)

    monkeypatch.setattr(image_files, 'decode_image', decode)
    return paths


def test_flat_and_nested_images_are_listed_once_in_order(tmp_path):
    touch(tmp_path, 'b.png', 'a/z.jpg', 'a/b/c/d.tif', 'c.webp', 'a/y.bmp', 'ab.jpeg')
    expected = ['a/b/c/d.tif', 'a/y.bmp', 'a/z.jpg', 'ab.jpeg', 'b.png', 'c.webp']
    assert find_images(tmp_path) == find_images(str(tmp_path)) == expected


def test_case_of_suffixes_does_not_matter(tmp_path):
    touch(tmp_path, 'a.JPG', 'b.Png', 'c.jpeg')
    assert find_images(tmp_path) == ['a.JPG', 'b.Png', 'c.jpeg']
    assert find_images(tmp_path, ('.JPG',)) == find_images(tmp_path, ('.jpg',)) == ['a.JPG']


def test_other_files_and_folders_named_like_images_are_left_out(tmp_path):
    touch(tmp_path, 'a.png', 'notes.txt', 'png', 'b.png.txt', 'folder.jpg/c.png', 'no_suffix')
    assert find_images(tmp_path) == ['a.png', 'folder.jpg/c.png']


def test_hidden_files_and_files_in_hidden_folders_are_passed_over(tmp_path):
    touch(tmp_path, 'a.png', '.b.png', '._a.png', '.ipynb_checkpoints/a.png', 'c/.cache/d/e.png')
    assert find_images(tmp_path) == ['a.png']


def test_a_dot_above_the_folder_hides_nothing(tmp_path):
    touch(tmp_path, '.data/images/a.png')
    assert find_images(tmp_path / '.data/images') == ['a.png']


def test_ending_may_be_longer_than_a_suffix(tmp_path):
    touch(tmp_path, 'x/a_leftImg8bit.png', 'x/a_disparity.png')
    assert find_images(tmp_path, ('_leftImg8bit.png',)) == ['x/a_leftImg8bit.png']


def test_linked_folder_is_followed_and_a_link_that_leads_back_is_not(tmp_path):
    touch(tmp_path, 'elsewhere/a.png', 'root/b.png')
    (tmp_path / 'root/more').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'elsewhere/back').symlink_to(tmp_path / 'root')
    assert find_images(tmp_path / 'root') == ['b.png', 'more/a.png']


def test_a_folder_that_may_not_be_read_is_told_of(tmp_path, monkeypatch, caplog):
    touch(tmp_path, 'a.png', 'closed/b.png', 'open/c.png')
    scan = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry]:
        if os.path.basename(path) == 'closed':  # as for others than the super-user
            raise PermissionError(errno.EACCES, 'Permission denied', str(path))
        return scan(path)

    monkeypatch.setattr(os, 'scandir', refuse)
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        assert find_images(tmp_path) == ['a.png', 'open/c.png']
    finally:
        logger.removeHandler(caplog.handler)
    assert 'closed cannot be read (Permission denied), so its images are left out' in caplog.text
    with pytest.raises(FileNotFoundError, match='closed holds no image'):
        find_images(tmp_path / 'closed')


def test_missing_folder_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}/none does not exist; set data_root'):
        find_images(tmp_path / 'none')


def test_file_in_place_of_the_folder_is_refused_by_name(tmp_path):
    touch(tmp_path, 'a.png')
    with pytest.raises(FileNotFoundError, match='a.png does not exist'):
        find_images(tmp_path / 'a.png')


def test_folder_without_images_is_refused_by_name_with_the_suffixes(tmp_path):
    touch(tmp_path, 'notes.txt', 'b.png')
    with pytest.raises(FileNotFoundError, match=rf'{tmp_path} holds no image \(\.jpg\)'):
        find_images(tmp_path, ['.jpg'])


def test_whole_files_of_every_kind_are_accepted(tmp_path, write_image):
    paths = [tmp_path / f'a{suffix}' for suffix in image_files.IMAGE_SUFFIXES]
    for path in paths:
        write_image(path)
    check_images(paths)
    check_images(map(str, paths))


def test_whole_jpeg_and_png_files_are_not_decoded(tmp_path, write_image, decoded):
    paths = [tmp_path / f'{i}{suffix}' for i in range(5) for suffix in ('.jpg', '.PNG', '.JPEG')]
    for path in paths:
        write_image(path)
    check_images(paths)
    assert decoded == []


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_bytes_behind_the_end_are_accepted(tmp_path, write_image, suffix):
    path = tmp_path / f'a{suffix}'
    write_image(path)
    with open(path, 'ab') as file:
        file.write(b'maker notes')
    check_images([path])


def test_png_that_lost_no_more_than_its_end_mark_has_all_pixels_and_is_accepted(
    tmp_path, write_image, decoded
):
    path = tmp_path / 'a.png'
    pixels = write_image(path)
    os.truncate(path, path.stat().st_size - 12)
    check_images([path])
    assert decoded == [path]
    np.testing.assert_array_equal(np.asarray(Image.open(path)), pixels)


def test_image_under_another_kind_of_suffix_is_accepted(tmp_path, write_image):
    write_image(tmp_path / 'a.png')
    (tmp_path / 'a.png').rename(tmp_path / 'a.jpg')
    check_images([tmp_path / 'a.jpg'])


@pytest.mark.parametrize('suffix', ['.jpg', '.JPG', '.png'])
@pytest.mark.parametrize('kept', [0.1, 0.5, 0.9])
def test_truncated_file_is_refused_by_name(tmp_path, write_image, suffix, kept):
    good, bad = tmp_path / f'good{suffix}', tmp_path / f'bad{suffix}'
    for path in (good, bad):
        write_image(path)
    os.truncate(bad, int(bad.stat().st_size * kept))
    with pytest.raises(ValueError, match=f'{bad} cannot be read as an image'):
        check_images([good, bad])


@pytest.mark.parametrize('suffix', image_files.IMAGE_SUFFIXES)
@pytest.mark.parametrize('content', [b'', b'x', b'\xff\xd8', b'The text of a note.\n' * 20])
def test_empty_and_text_files_are_refused_by_name_in_one_line(tmp_path, suffix, content):
    path = tmp_path / f'a{suffix}'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'^{path} cannot be read as an image .*$') as caught:
        check_images([path])
    assert 'object at' not in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize(('suffix', 'end'), [('.jpg', b'\xff\xd9'), ('.png', b'IEND\xaeB`\x82')])
def test_file_of_which_the_end_alone_is_right_is_refused_by_name(tmp_path, suffix, end):
    path = tmp_path / f'a{suffix}'
    path.write_bytes(b'The text of a note.\n' + end)
    with pytest.raises(ValueError, match=f'{path} cannot be read as an image'):
        check_images([path])


def test_missing_file_is_refused_as_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match='a.jpg does not exist; correct.*img_suffix'):
        check_images([tmp_path / 'a.jpg'])


def test_broken_link_is_found_and_refused_by_name(tmp_path):
    (tmp_path / 'a.png').symlink_to(tmp_path / 'gone.png')
    assert find_images(tmp_path) == ['a.png']
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}/a.png does not exist'):
        check_images([tmp_path / 'a.png'])


@pytest.mark.parametrize(
    ('suffix', 'dtype'),
    [('.png', np.uint16), ('.tif', np.uint16), ('.tif', np.int32), ('.tif', np.float32)],
)
def test_grey_levels_of_more_than_8_bits_are_refused_by_name_and_mode(tmp_path, suffix, dtype):
    """Read as 8 bits, they would be white."""
    path = tmp_path / f'wide{suffix}'
    Image.fromarray(np.full((4, 5), 40_000, dtype)).save(path)
    with pytest.raises(ValueError, match=f'{path} must have levels from 0 to 255.*mode is .[IF]'):
        check_images([path])


@pytest.mark.parametrize('mode', ['L', 'P', '1'])
def test_label_maps_of_one_8_bit_channel_are_accepted(tmp_path, mode):
    Image.new(mode, (6, 4)).save(tmp_path / 'a.png')
    check_label_map(tmp_path / 'a.png')


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'LA', 'I;16'])
def test_label_maps_of_other_pixels_are_refused_by_name_and_mode(tmp_path, mode):
    path = tmp_path / 'a.png'
    Image.new(mode, (6, 4)).save(path)
    with pytest.raises(ValueError, match=f"{path} must have one channel of 8 bits.*'{mode}'"):
        check_label_map(path)


def test_truncated_label_map_is_refused_by_name(tmp_path, write_labels):
    path = tmp_path / 'a.png'
    write_labels(path, np.arange(200).reshape(10, 20))
    os.truncate(path, path.stat().st_size - 40)
    with pytest.raises(ValueError, match=f'{path} cannot be read'):
        check_label_map(path)


@pytest.mark.parametrize('size', [(1, 1), (7, 3), (1, 900)])
@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp'])
def test_tiny_and_narrow_images_are_whole(tmp_path, size, suffix):
    path = tmp_path / f'a.{suffix}'
    Image.new('RGB', size).save(path)
    check_images([path])
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ValueError, match=f'{path} cannot be read'):
        check_images([path])


def test_the_size_of_a_file_is_told_by_its_header(tmp_path, write_image, monkeypatch):
    """A large image must not be read as a whole for its size."""
    path = tmp_path / 'a.png'
    Image.new('RGB', (70, 50)).save(path)
    monkeypatch.setattr(image_files, 'open_image', None)  # which reads all bytes
    assert read_size(path) == (70, 50)
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'text.png').write_text('no image')
    for name in ('pipe.png', 'text.png', 'none.png'):
        assert read_size(tmp_path / name) is None
