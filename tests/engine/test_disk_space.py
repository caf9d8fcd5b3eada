"""The room that checkpoints need, before a training starts."""

import os
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmseg_picie.engine import disk_space
from mmseg_picie.engine.checkpoint_files import save_whole
from mmseg_picie.engine.disk_space import check_disk_space, estimate_checkpoint

OPTIMIZERS = {
    'Adam': {},
    'AdamW': dict(amsgrad=True),
    'Adamax': {},
    'SGD': dict(lr=0.1),
    'RMSprop': {},
}


@pytest.mark.parametrize('momentum', [0, 0.9])
@pytest.mark.parametrize('kind', OPTIMIZERS)
def test_the_size_is_that_of_the_file(tmp_path, kind, momentum):
    model = nn.Sequential(nn.Linear(300, 300), nn.BatchNorm1d(300), nn.Linear(300, 200))
    model[2].weight.requires_grad = False
    options = dict(
        OPTIMIZERS[kind], **(dict(momentum=momentum) if kind in ('SGD', 'RMSprop') else {})
    )
    optimizer = getattr(torch.optim, kind)(model.parameters(), **options)
    size = estimate_checkpoint(model, [optimizer])
    model(torch.randn(4, 300)).sum().backward()
    optimizer.step()
    path = tmp_path / 'epoch_1.pth'
    save_whole(dict(state_dict=model.state_dict(), optimizer=optimizer.state_dict()), path)
    assert size == pytest.approx(os.path.getsize(path), rel=0.05)


@pytest.fixture
def said(monkeypatch):
    """Warnings that are given."""
    found = []
    monkeypatch.setattr(disk_space, 'print_log', lambda text, **_: found.append(text))
    return found


def free(monkeypatch, megabytes: float) -> None:
    usage = SimpleNamespace(free=int(megabytes * 1e6))
    monkeypatch.setattr(disk_space.shutil, 'disk_usage', lambda folder: usage)


def test_enough_room_is_not_spoken_of(monkeypatch, said):
    free(monkeypatch, 50)
    check_disk_space('work', 10_000_000, 5, 2)
    assert said == []


def test_too_little_for_all_is_warned_of_with_figures(monkeypatch, said):
    free(monkeypatch, 49)
    check_disk_space('work', 10_000_000, 5, 2)
    (text,) = said
    assert 'work has 49.0 MB free' in text and '5 checkpoints of 10.0 MB' in text
    assert 'max_keep_ckpts' in text


def test_too_little_to_go_on_is_refused_with_figures(monkeypatch, said):
    free(monkeypatch, 19)
    with pytest.raises(OSError, match=r'work has 19.0 MB free, .* 2 checkpoints of 10.0 MB'):
        check_disk_space('work', 10_000_000, 5, 2)
