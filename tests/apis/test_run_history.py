"""Properties of what is read from a work folder."""

import json

import pytest
import torch

from mmseg_picie.apis.run_history import find_run, read_history, read_history_of
from mmseg_picie.apis.score_logs import read_all_starts, read_curves
from mmseg_picie.apis.training_logs import read_training


@pytest.fixture
def folder(tmp_path):
    """A work folder of two starts, as mmengine and this project's hooks leave it."""
    work = tmp_path / 'work'
    for start, first in (('20260101_000000', 0), ('20260102_000000', 2)):
        logs = work / start / 'vis_data'
        logs.mkdir(parents=True)
        records = [
            {'kmeans/decode/view0/inertia': 0.5 - first / 10, 'kmeans/decode/view0/share_000': 1.0,
             'step': 10 * first},
            {'kmeans/decode/view1/inertia': 0.4 - first / 10, 'step': 10 * first},
            {'loss': 3.0 - first, 'lr': 0.1, 'epoch': first + 1, 'iter': 10 * first + 5,
             'step': 10 * first + 5},
            {'aAcc': 50.0 + first, 'mIoU': 20.0 + first, 'time': 1.0, 'step': first + 1},
        ]  # fmt: skip
        (logs / 'scalars.json').write_text('\n'.join(map(json.dumps, records)))
        day = start[6:8]
        (work / start / f'{start}.log').write_text(
            f'2026/01/{day} 10:00:00 - mmengine - INFO - a\nmore\n'
            f'2026/01/{day} 10:01:30 - mmengine - INFO - b\n'
        )
    (work / 'run.py').write_text('model = dict()\n')
    (work / 'last_checkpoint').write_text('/gone/epoch_3.pth')
    counts = dict(epoch=3, classes=['a', 'b'], confusions=[[[5, 1], [0, 4]]], views=[0])
    counts['cluster_to_class'] = [[0, 1]]
    (work / 'last_validation.json').write_text(json.dumps(counts))
    for epoch in (2, 3):
        torch.save(dict(meta=dict(epoch=epoch), state_dict={}), work / f'epoch_{epoch}.pth')
    return work


def test_curves_go_on_over_all_starts(folder):
    history = read_history(folder)
    loss, inertia, scores = history.curves
    assert [(line.name, line.xs, line.ys) for line in loss.lines] == [('loss', [5, 25], [3.0, 1.0])]
    assert [(line.name, line.xs) for line in inertia.lines] == [
        ('view 0', [1, 3]),
        ('view 1', [1, 3]),
    ]
    assert inertia.lines[0].ys == pytest.approx([0.5, 0.3])
    assert [(line.name, line.xs, line.ys) for line in scores.lines] == [
        ('pixel accuracy', [1, 3], [50.0, 52.0]),
        ('mIoU', [1, 3], [20.0, 22.0]),
    ]
    assert history.scores == {'pixel accuracy': 52.0, 'mIoU': 22.0}
    assert history.seconds == 180  # what lies between the starts does not count


def test_what_a_later_start_has_not_taken_up_does_not_count(folder):
    """A training went back to its second epoch, and was stopped in the third."""
    logs = folder / '20260103_000000' / 'vis_data'
    logs.mkdir(parents=True)
    records = [
        {'kmeans/decode/view0/inertia': 0.7, 'epoch': 2, 'step': 10},
        {'loss': 2.5, 'epoch': 2, 'iter': 15, 'step': 15},
        {'aAcc': 44.0, 'mIoU': 22.5, 'step': 2},
    ]
    (logs / 'scalars.json').write_text('\n'.join(map(json.dumps, records)))
    loss, inertia, scores = read_history(folder).curves
    assert loss.lines[0].xs == [5, 15]
    assert [(line.name, line.xs) for line in inertia.lines] == [('view 0', [1, 2]), ('view 1', [1])]
    assert scores.lines[1].xs == [1, 2] and scores.lines[1].ys == [20.0, 22.5]
    # The other command draws the same.
    assert list(read_training(folder).losses['loss']) == [5, 15]
    assert list(read_curves(folder)) == [1, 2]
    kept = read_all_starts(folder)
    assert [record['iter'] for record in kept if 'iter' in record] == [5, 15]
    assert [record['step'] for record in kept if 'mIoU' in record] == [1, 2]


def test_what_counts_of_iterations_without_epochs(tmp_path):
    for start, steps in (('1', (5, 10, 15)), ('2', (10,))):
        logs = tmp_path / start / 'vis_data'
        logs.mkdir(parents=True)
        records = [[dict(loss=1.0, iter=i, step=i), dict(mIoU=i, step=i)] for i in steps]
        (logs / 'scalars.json').write_text('\n'.join(map(json.dumps, sum(records, []))))
    assert list(read_curves(tmp_path)) == [5, 10]


def test_a_training_without_labels_has_no_scores(folder):
    for path in folder.glob('*/vis_data/scalars.json'):
        lines = [line for line in path.read_text().splitlines() if 'mIoU' not in line]
        path.write_text('\n'.join(lines))
    (folder / 'last_validation.json').unlink()
    history = read_history(folder)
    assert [curve.title.split()[0] for curve in history.curves] == ['Loss', 'Inertia']
    assert history.scores == {} and history.counts is None


def test_a_folder_that_was_moved_gives_its_config_and_last_checkpoint(folder):
    run = find_run(folder)
    assert (run.config, run.checkpoint) == (folder / 'run.py', folder / 'epoch_3.pth')
    (folder / 'last_checkpoint').unlink()
    assert find_run(folder).checkpoint == folder / 'epoch_3.pth'


def test_counts_are_those_of_their_epoch_only(folder):
    assert read_history_of(find_run(folder)).counts[0] == ['a', 'b']
    earlier = read_history_of(find_run(folder / 'epoch_2.pth'))
    assert earlier.counts is None and earlier.scores == {} and len(earlier.curves) == 3


def test_what_is_missing_is_said(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match='does not exist'):
        find_run(tmp_path / 'nothing')
    (folder / 'other.py').write_text('')
    with pytest.raises(ValueError, match=r'several configs \(other.py, run.py\)'):
        find_run(folder)
    assert find_run(folder, folder / 'other.py').config == folder / 'other.py'
    for path in folder.glob('*.py'):
        path.unlink()
    with pytest.raises(FileNotFoundError, match='holds no config'):
        find_run(folder)
    for path in folder.glob('*.pth'):
        path.unlink()
    with pytest.raises(FileNotFoundError, match='holds no checkpoint'):
        find_run(folder)
