"""Which checkpoint a resumed run starts from when files are damaged."""

import os
import shutil
from pathlib import Path

import pytest
import torch

from mmseg_picie.engine.checkpoint_files import is_whole, point_to_whole, save_whole


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def blank(path: Path) -> None:
    """A block in the midst is zero, as after a power cut."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 512] = bytes(512)
    path.write_bytes(data)


#: What may befall a file.
DAMAGES = {
    'missing': Path.unlink,
    'empty': lambda path: path.write_bytes(b''),
    'cut': cut,
    'cut in half': lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    'a block of zeros': blank,
    'all zeros': lambda path: path.write_bytes(bytes(path.stat().st_size)),
    'text': lambda path: path.write_text('version https://git-lfs.github.com/spec/v1\n'),
    'a pickle': lambda path: torch.save({}, path, _use_new_zipfile_serialization=False),
}
#: What may befall the file that names the checkpoint.
POINTERS = {
    'missing': Path.unlink,
    'empty': lambda path: path.write_bytes(b''),
    'zeros': lambda path: path.write_bytes(bytes(40)),
    'no text': lambda path: path.write_bytes(b'\xff\xfe\x80'),
    'another place': lambda path: path.write_text('/nowhere/work/epoch_3.pth'),
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three checkpoints, and files that are none of them."""
    for epoch in (1, 2, 3, 10):
        save_whole(dict(state_dict=dict(weight=torch.randn(999))), tmp_path / f'epoch_{epoch}.pth')
    (tmp_path / 'epoch_10.pth').rename(tmp_path / 'best_mIoU_epoch_10.pth')
    (tmp_path / 'epoch_x.pth').touch()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
    return tmp_path


def choose(folder: Path) -> tuple[str, str]:
    """The sentence, and what is chosen."""
    wrong = point_to_whole(str(folder), str(folder), 'epoch_{}.pth')
    pointer = folder / 'last_checkpoint'
    return wrong, os.path.basename(pointer.read_text()) if pointer.exists() else ''


def test_a_whole_checkpoint_is_taken_without_a_word(folder):
    (folder / 'last_checkpoint').write_text(f'{folder / "epoch_2.pth"}\n')
    assert choose(folder) == ('', 'epoch_2.pth\n')


@pytest.mark.parametrize('damage', DAMAGES)
def test_the_newest_whole_one_is_taken_for_a_damaged_one(folder, damage):
    DAMAGES[damage](folder / 'epoch_3.pth')
    assert not is_whole(folder / 'epoch_3.pth')
    wrong, chosen = choose(folder)
    assert chosen == 'epoch_2.pth'
    assert str(folder / 'epoch_3.pth') in wrong and 'goes on from' in wrong
    assert choose(folder) == ('', 'epoch_2.pth')


@pytest.mark.parametrize('damage', DAMAGES)
def test_without_a_whole_one_the_training_starts_anew(folder, damage):
    for epoch in (1, 2, 3):
        DAMAGES[damage](folder / f'epoch_{epoch}.pth')
    wrong, chosen = choose(folder)
    assert chosen == '' and 'starts anew' in wrong


@pytest.mark.parametrize('damage', POINTERS)
def test_the_newest_one_is_taken_where_none_is_named(folder, damage):
    POINTERS[damage](folder / 'last_checkpoint')
    wrong, chosen = choose(folder)
    assert chosen == 'epoch_3.pth' and 'goes on from' in wrong


def test_an_older_training_of_more_epochs_is_not_gone_on_with(folder):
    shutil.copy(folder / 'epoch_1.pth', folder / 'epoch_9.pth')
    DAMAGES['cut'](folder / 'epoch_3.pth')
    assert choose(folder)[1] == 'epoch_2.pth'


def test_a_new_folder_has_nothing_to_tell(tmp_path):
    assert choose(tmp_path) == ('', '')


def test_a_checkpoint_elsewhere_is_left_to_its_backend(folder):
    (folder / 'last_checkpoint').write_text('s3://bucket/epoch_3.pth')
    assert choose(folder) == ('', 'epoch_3.pth')
