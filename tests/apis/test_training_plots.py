"""Plots of a training: what is drawn, from logs of a known content."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from mmengine.runner import Runner
from PIL import Image

from mmseg_picie.apis.training_logs import read_training
from mmseg_picie.apis.training_plots import plot_training
from mmseg_picie.cli import main

CLASSES = ['sky', 'cost in $ and $', '<b>']
STEMS = ['curves', 'cluster_sizes', 'class_scores', 'confusion']


def clustering(epoch: int | None, inertia: float, shares: list[float]) -> dict:
    record = {f'kmeans/decode/view0/share_{k:03d}': share for k, share in enumerate(shares)}
    record['kmeans/decode/view0/inertia'] = inertia
    return record if epoch is None else dict(record, epoch=epoch, step=epoch)


def iteration(number: int, loss: float, epoch: int = 1) -> dict:
    return {'loss': loss, 'decode.loss_within': loss / 4, 'iter': number, 'epoch': epoch}


def write_log(folder: Path, start: str, records: list[dict]) -> None:
    logs = folder / start / 'vis_data'
    logs.mkdir(parents=True)
    (logs / 'scalars.json').write_text('\n'.join(map(json.dumps, records)) + '\n')


def write_counts(folder: Path) -> None:
    content = dict(
        epoch=2,
        classes=CLASSES,
        views=[0],
        confusions=[[[0, 90, 0, 10], [50, 0, 0, 0], [0, 10, 0, 0]]],
        cluster_to_class=[[1, 0, 2, -1]],
    )
    (folder / 'last_validation.json').write_text(json.dumps(content))


@pytest.fixture
def drawn(monkeypatch):
    """Lines and bars that matplotlib is told to draw, by label."""
    found: dict[str, list] = {}
    for name in ('plot', 'barh'):
        original = getattr(Axes, name)

        def record(axes, *args, original=original, **kwargs):
            found.setdefault(kwargs['label'], []).append((*map(np.ma.asarray, args[:2]), kwargs))
            return original(axes, *args, **kwargs)

        monkeypatch.setattr(Axes, name, record)
    return found


def test_all_plots_of_a_training_are_drawn_in_both_formats(tmp_path, drawn):
    run = tmp_path / 'run'
    records = [
        clustering(1, 0.5, [0.1, 0.2, 0.3, 0.4, 0.0]),
        iteration(1, 4.0),
        dict(aAcc=60.0, mIoU=40.0, step=1) | {'view1/mIoU': 41.0},
        clustering(2, 0.25, [0.2] * 5),
        iteration(2, 3.0, 2),
        dict(aAcc=62.0, mIoU=42.0, step=2) | {'view1/mIoU': 43.0},
    ]
    write_log(run, '20260101_000000', records)
    write_counts(run)
    found = plot_training(run, tmp_path / 'out')
    assert [path.name for path in found.files] == [
        f'{stem}.{suffix}' for stem in STEMS for suffix in ('png', 'svg')
    ]
    assert not found.missing
    for path in found.files:
        if path.suffix == '.png':
            assert Image.open(path).format == 'PNG'
        else:
            assert ET.parse(path).getroot().tag.endswith('svg')
    assert drawn['loss'][0][1].tolist() == [4, 3]
    assert drawn['decode view 0'][0][1].tolist() == [0.5, 0.25]
    assert drawn['mIoU'][0][1].tolist() == [40, 42]
    assert drawn['view1/mIoU'][0][1].tolist() == [41, 43]
    assert drawn['largest'][0][1].tolist() == [40, 20]
    assert drawn['smallest'][0][1].tolist() == [0, 20]
    np.testing.assert_allclose(drawn['median'][0][1], [20, 20])
    # By hand: 90 of 100 sky pixels, 10 of others taken for it; all of the next; none of the last.
    np.testing.assert_allclose(drawn['IoU'][0][1], [100 * 90 / 110, 100, 0])
    np.testing.assert_allclose(drawn['recall'][0][1], [90, 100, 0])


def test_lines_and_bars_differ_without_colour(tmp_path, drawn):
    write_log(tmp_path, '20260101_000000', [clustering(1, 0.5, [0.5, 0.5]), iteration(1, 4.0)])
    write_counts(tmp_path)
    plot_training(tmp_path, tmp_path / 'out', ['png'])
    lines = [drawn[name][0][2] for name in ('largest', 'upper quartile', 'median', 'smallest')]
    assert len({(line['linestyle'], line['marker']) for line in lines}) == 4
    assert drawn['IoU'][0][2]['hatch'] != drawn['recall'][0][2]['hatch']


def test_a_name_is_no_formula_and_no_markup(tmp_path):
    """Names stand in the file as they are, and the file is the same each time."""
    write_log(tmp_path, '20260101_000000', [iteration(1, 4.0)])
    write_counts(tmp_path)
    with matplotlib.rc_context({'svg.fonttype': 'none'}):
        contents = []
        for name in ('one', 'two'):
            plot_training(tmp_path, tmp_path / name, ['svg'])
            contents.append((tmp_path / name / 'class_scores.svg').read_text())
    assert contents[0] == contents[1]
    words = [element.text for element in ET.fromstring(contents[0]).iter()]
    assert set(CLASSES) <= set(words)


def test_a_training_without_validation_and_clusters_gets_what_there_is(tmp_path, capsys):
    write_log(tmp_path, '20260101_000000', [iteration(1, 4.0), iteration(2, 3.0)])
    files = main(['plot', str(tmp_path), '--format', 'png'])
    assert [path.name for path in files] == ['curves.png']
    assert files[0] == tmp_path / 'plots' / 'curves.png'
    printed = capsys.readouterr().out
    assert 'no clustering was logged' in printed and 'was not validated' in printed


def test_a_later_start_takes_the_place_of_what_it_repeats(tmp_path):
    write_log(
        tmp_path,
        '20260101_000000',
        [
            clustering(1, 0.5, [0.5, 0.5]),
            *[iteration(i, 4.0) for i in (1, 2, 3)],
            clustering(2, 0.4, [0.5, 0.5]),
            *[iteration(i, 3.0, 2) for i in (4, 5, 7)],
        ],
    )
    write_log(
        tmp_path,
        '20260102_000000',
        [clustering(2, 0.3, [0.6, 0.4]), *[iteration(i, 2.0, 2) for i in (4, 6)]],
    )
    log = read_training(tmp_path)
    assert log.losses['loss'] == {1: 4, 2: 4, 3: 4, 4: 2, 6: 2}
    assert {e: c.inertia for e, c in log.clusterings['decode view 0'].items()} == {1: 0.5, 2: 0.3}
    assert log.clusterings['decode view 0'][2].shares.tolist() == [0.6, 0.4]


def test_logs_of_earlier_versions_have_the_epoch_in_their_next_line(tmp_path):
    write_log(
        tmp_path,
        '20260101_000000',
        [clustering(None, 0.5, [1.0]), iteration(9, 1.0, 3), clustering(None, 0.4, [1.0])],
    )
    assert list(read_training(tmp_path).clusterings['decode view 0']) == [3]


def test_bad_input_is_refused_in_one_sentence(tmp_path, capsys):
    for path, message in ((tmp_path, 'holds no log of a training'), ('nowhere', 'no folder')):
        with pytest.raises(SystemExit) as stop:
            main(['plot', str(path)])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_a_real_training_that_was_resumed_leaves_all_that_is_drawn(tiny_config, tmp_path):
    """Two epochs, then a third by another process's start."""
    for epochs in (2, 3):
        config = tiny_config({'train_cfg.max_epochs': epochs, 'resume': epochs > 2})
        config.experiment_name = config.visualizer.name = f'{tmp_path.name}_{epochs}'
        runner = Runner.from_cfg(config)
        runner.timestamp_dir = str(tmp_path / 'tiny' / f'start_{epochs}')
        runner.train()
    log = read_training(Path(config.work_dir))
    assert sorted(log.losses['loss']) == list(range(1, 16))
    assert sorted(log.clusterings['decode view 0']) == [1, 2, 3]
    for clustered in log.clusterings['decode view 1'].values():
        assert clustered.shares.sum() == pytest.approx(1, abs=1e-5) and clustered.inertia > 0
    found = plot_training(Path(config.work_dir), tmp_path / 'out', ['png'])
    assert [path.stem for path in found.files] == STEMS
