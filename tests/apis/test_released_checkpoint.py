"""A file that claims to be a released checkpoint runs nothing, whatever it holds."""

import argparse
from pathlib import Path

import pytest
import torch

from mmseg_picie.apis.released_checkpoint import read_released


@pytest.mark.parametrize('place', ['epoch', 'args', 'state_dict'])
def test_a_file_with_more_than_data_is_refused(tmp_path, place):
    """`tests/test_hostile_files.py` tries many kinds; here, that this reader is that one."""
    torch.save({place: argparse.Namespace(comment=Path('a'))}, tmp_path / 'hostile.pth')
    with pytest.raises(ValueError, match='hostile.pth is refused, as it names pathlib'):
        read_released(tmp_path / 'hostile.pth')
