"""Plots of compared runs: what is drawn, from files of a known content."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from mmseg_picie.apis.comparison_plots import plot_runs, read_counts
from mmseg_picie.apis.score_logs import read_curves

CLASSES = ['sky', 'road', 'car']


def write_run(folder: Path, scores: dict[int, float], counts=None, match=(0, 1, 2, -1)) -> Path:
    logs = folder / '20260101_000000' / 'vis_data'
    logs.mkdir(parents=True)
    lines = [dict(mIoU=value, aAcc=2 * value, step=epoch) for epoch, value in scores.items()]
    (logs / 'scalars.json').write_text('\n'.join(map(json.dumps, [dict(loss=1.0), *lines])) + '\n')
    if counts is not None:
        content = dict(
            epoch=2, classes=CLASSES, views=[0], confusions=[counts], cluster_to_class=[match]
        )
        (folder / 'last_validation.json').write_text(json.dumps(content))
    return folder


@pytest.fixture
def drawn(monkeypatch):
    """What matplotlib is told to draw: lines, bands, and texts of cells."""
    calls: dict[str, list] = dict(plot=[], fill_between=[], text=[], imshow=[])
    for name in calls:
        original = getattr(Axes, name)

        def record(axes, *args, name=name, original=original, **kwargs):
            calls[name].append((args, kwargs))
            return original(axes, *args, **kwargs)

        monkeypatch.setattr(Axes, name, record)
    return calls


def test_curves_are_means_of_seeds_within_their_range(tmp_path, drawn):
    folders = dict(
        a={
            1: write_run(tmp_path / 'a1', {1: 10.0, 2: 20.0}),
            2: write_run(tmp_path / 'a2', {1: 30.0, 2: 40.0}),
        }
    )
    (path,) = plot_runs(tmp_path / 'plots', folders)
    assert Image.open(path).format == 'PNG'
    (accuracy, mean_iou), bands = drawn['plot'], drawn['fill_between']
    assert list(mean_iou[0][0]) == [1, 2] and mean_iou[0][1].tolist() == [20, 30]
    assert accuracy[0][1].tolist() == [40, 60]
    assert bands[1][0][1].tolist() == [10, 20] and bands[1][0][2].tolist() == [30, 40]


def test_a_seed_that_lacks_an_epoch_is_left_out_there(tmp_path, drawn):
    folders = dict(
        a={1: write_run(tmp_path / 'a1', {1: 10.0}), 2: write_run(tmp_path / 'a2', {1: 30, 2: 40})}
    )
    plot_runs(tmp_path / 'plots', folders)
    assert drawn['plot'][1][0][1].tolist() == [20, 40]


def test_iou_and_confusion_are_those_of_the_counts(tmp_path, drawn):
    """By hand: 90 of 100 sky pixels, all 50 road ones; cluster 3 has no class."""
    counts = [[0, 90, 0, 10], [50, 0, 0, 0], [0, 10, 0, 0]]
    run = write_run(tmp_path / 'a1', {1: 10.0}, counts, match=(1, 0, 2, -1))
    written = plot_runs(tmp_path / 'plots', dict(a={1: run}))
    assert [path.name for path in written] == ['curves.png', 'confusion_a.png', 'class_iou.png']
    confusion, iou = (call[0][0] for call in drawn['imshow'])
    # Columns in the order of their classes: clusters 1, 0, 2, and 3 without one.
    np.testing.assert_allclose(confusion, [[90, 0, 0, 10], [0, 100, 0, 0], [100, 0, 0, 0]])
    np.testing.assert_allclose(iou, [[100 * 90 / 110, 100, 0]])
    assert [call[0][2] for call in drawn['text'][-2:]] == ['82', '100']


def test_rows_of_other_classes_get_a_table_of_their_own(tmp_path):
    counts = [[5, 0, 0, 0], [0, 5, 0, 0], [0, 0, 5, 0]]
    first = write_run(tmp_path / 'a', {1: 1.0}, counts)
    second = write_run(tmp_path / 'b', {1: 1.0}, counts)
    path = second / 'last_validation.json'
    path.write_text(path.read_text().replace('sky', 'water'))
    names = [p.name for p in plot_runs(tmp_path / 'plots', dict(a={1: first}, b={1: second}))]
    assert names[-2:] == ['class_iou.png', 'class_iou_2.png']


@pytest.mark.parametrize(
    'content',
    ['{}', '{"classes": ["a"], "confusions": [[[1, 2]]], "cluster_to_class": [[0]]}', '[]', '{'],
)
def test_broken_counts_are_refused_by_their_file(tmp_path, content):
    path = tmp_path / 'last_validation.json'
    path.write_text(content)
    with pytest.raises(ValueError, match='last_validation.json must '):
        read_counts(path)


def test_the_later_start_counts_for_an_epoch_that_was_scored_twice(tmp_path):
    write_run(tmp_path, {1: 10.0, 2: 20.0})
    later = tmp_path / '20260102_000000' / 'vis_data'
    later.mkdir(parents=True)
    (later / 'scalars.json').write_text(json.dumps(dict(mIoU=25.0, step=2)) + '\n')
    found = read_curves(tmp_path)
    assert {epoch: scores['mIoU'] for epoch, scores in found.items()} == {1: 10.0, 2: 25.0}
