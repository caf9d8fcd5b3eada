"""Runs under several seeds: sums, restarts, refusals."""

import functools
import json
import os
import sys
import time
from pathlib import Path

import filelock
import numpy as np
import pytest
from fork_server import Forked
from mmengine.config import Config

from mmseg_picie.apis.seed_runs import (
    RunError,
    has_centroids,
    read_best,
    read_last_scores,
    summarise,
)
from mmseg_picie.cli import main

ROOT = Path(__file__).parents[2]


def seed(mean_iou, seconds=1.0):
    return dict(metrics=dict(mIoU=mean_iou, aAcc=50.0), seconds=seconds)


def test_mean_and_sample_standard_deviation_are_numpys():
    values = [20.5, 24.0, 31.0]
    row = summarise([seed(value) for value in values])
    assert row['metrics']['mIoU']['mean'] == pytest.approx(np.mean(values))
    assert row['metrics']['mIoU']['std'] == pytest.approx(np.std(values, ddof=1))
    assert row['metrics']['aAcc'] == dict(mean=50.0, std=0.0)


def test_one_seed_has_no_deviation_and_a_resumed_one_no_time():
    row = summarise([seed(20.0, None)])
    assert row['metrics']['mIoU']['std'] is None and row['seconds'] is None
    assert summarise([seed(1, 4.0), seed(2, None)])['seconds'] == 4.0


def test_only_scores_of_all_seeds_are_summed_up():
    other = dict(metrics=dict(mIoU=1.0), seconds=1.0)
    assert list(summarise([seed(2.0), other])['metrics']) == ['mIoU']


def test_the_last_validation_of_the_last_start_counts(tmp_path):
    for start, lines in (
        ('20260101_000000', [dict(mIoU=1.0, step=1), dict(mIoU=2.0, time=0.1, step=2)]),
        (
            '20260102_000000',
            [dict(loss=1.0), dict(mIoU=3.0, aAcc=4.0, mAcc=float('nan'), step=3), dict(loss=0.5)],
        ),
    ):
        folder = tmp_path / start / 'vis_data'
        folder.mkdir(parents=True)
        (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)) + '\n')
    assert read_last_scores(tmp_path) == dict(mIoU=3.0, aAcc=4.0)


def test_the_best_epoch_is_that_of_the_highest_miou(tmp_path):
    folder = tmp_path / '20260101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    lines = [dict(mIoU=m, aAcc=a, step=i) for i, (m, a) in enumerate([(1, 9), (3, 5), (2, 7)])]
    (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)) + '\n')
    assert read_best(tmp_path) == {'best-by-labels/aAcc': 5, 'best-by-labels/mIoU': 3}


def test_a_folder_without_scores_is_named(tmp_path):
    with pytest.raises(RunError, match=str(tmp_path)):
        read_last_scores(tmp_path)


@pytest.mark.parametrize(
    ('config', 'expected'),
    [('picie-h_fpn_r18_cocostuff', True), ('mdc_fpn_r18_cocostuff', True)]
    + [('iic_fpn_r18_cocostuff', False), ('linear-probe_fpn_r18_cocostuff', False)],
)
def test_fresh_centroids_are_for_methods_that_have_centroids(config, expected):
    assert has_centroids(Config.fromfile(ROOT / 'configs' / f'{config}.py')) == expected


@pytest.fixture
def compare(monkeypatch, tmp_path, quick_children):
    """The command, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    return lambda words: main(['compare', *words])


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--seeds', '1', '1'], 'argument --seeds: each must be given once'),
        (['--seeds', '-1'], 'a seed must be at least 0, but got -1'),
    ],
)
def test_seeds_that_make_no_sense_are_refused(
    compare, tiny_config, tmp_path, capsys, words, message
):
    tiny_config()
    with pytest.raises(SystemExit):
        compare([str(tmp_path / 'tiny.py'), *words])
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_runs_are_summed_up_and_not_repeated(compare, tiny_config, tmp_path, capsys):
    """A second call reads, a third seed is added, another config is refused."""
    tiny_config({'train_cfg.max_epochs': 1})
    path = str(tmp_path / 'tiny.py')
    words = [path, '--seeds', '1', '2', '--work-dir', 'runs', '--fresh', '--baselines']
    words += ['--fresh-on-val', '--best-epoch']
    report = compare(words)
    row = report['rows']['tiny']
    assert {'mIoU', 'aAcc', 'view1/mIoU', 'fresh/mIoU'} <= row['metrics'].keys()
    fresh = [row['metrics'][f'{name}/mIoU']['mean'] for name in ('fresh', 'fresh-on-val')]
    assert fresh[0] != fresh[1]
    # There is one epoch, so it is the best one.
    assert row['metrics']['best-by-labels/mIoU'] == row['metrics']['mIoU']
    assert row['by_seed'][1]['metrics'] != row['by_seed'][2]['metrics']
    means = np.mean([row['by_seed'][s]['metrics']['mIoU'] for s in (1, 2)])
    assert row['metrics']['mIoU']['mean'] == pytest.approx(means)
    assert len(report['rows']) == 3  # with two baselines
    table = Path('runs/seeds.md').read_text()
    assert f'{means:.2f} ± ' in table and 'k-means on raw colours' in table
    stamps = {p: p.stat().st_mtime_ns for p in Path('runs').rglob('epoch_1.pth')}
    again = compare([*words, '--plots', 'plots', '--pick'])
    plots = {path.name for path in Path('plots').iterdir()}
    assert plots == {'curves.png', 'class_iou.png', 'confusion_tiny.png'}
    judged = json.loads(Path('runs/judgement.json').read_text())
    assert judged['runs']['tiny']['1']['mIoU'] == row['by_seed'][1]['metrics']['mIoU']
    assert 'Picked      tiny: seed ' in capsys.readouterr().out
    counts = json.loads(Path('runs/tiny/seed_1/last_validation.json').read_text())
    assert np.shape(counts['confusions'])[1:] == (9, 9) and counts['epoch'] == 1
    assert again['rows']['tiny']['metrics'] == row['metrics']
    assert stamps == {p: p.stat().st_mtime_ns for p in Path('runs').rglob('epoch_1.pth')}
    with pytest.raises(SystemExit):
        compare([*words, '--cfg-options', 'default_hooks.clustering.num_iters=6'])
    assert 'is the result of another config' in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_comparison_goes_on_to_the_scores_of_one_that_was_not(
    tiny_config, tmp_path, monkeypatch, fork_server
):
    monkeypatch.chdir(tmp_path)
    tiny_config({'train_cfg.max_epochs': 3})
    words = [str(tmp_path / 'tiny.py'), '--seeds', '1', '--work-dir']
    program = [sys.executable, '-m', 'picie_command', 'compare', *words]
    start = functools.partial(
        Forked, env=os.environ | {'PYTHONPATH': str(ROOT)}, server=fork_server
    )
    with start([*program, 'killed']) as process:
        deadline = time.monotonic() + 120
        while not list(Path('killed').rglob('epoch_1.pth')) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    assert not Path('killed/seeds.md').exists()
    # What it had started ends a moment later.
    with filelock.FileLock(next(Path('killed').rglob('.training.lock')), timeout=60):
        pass
    found = []
    for folder in ('killed', 'whole'):
        assert start([*program, folder]).wait() == 0
        found.append(json.loads(Path(folder, 'seeds.json').read_text())['rows']['tiny']['metrics'])
    assert found[0] == found[1]


def test_an_interrupted_run_is_not_resumed_by_another_config(
    compare, tiny_config, tmp_path, capsys, monkeypatch
):
    tiny_config()
    words = [str(tmp_path / 'tiny.py'), '--seeds', '1', '--work-dir', 'runs']

    def interrupted(*args):
        raise OSError('interrupted')

    monkeypatch.setattr('mmseg_picie.apis.seed_runs._train', interrupted)
    with pytest.raises(OSError, match='interrupted'):
        compare(words)
    with pytest.raises(SystemExit):
        compare([*words, '--cfg-options', 'optim_wrapper.optimizer.lr=0.1'])
    assert 'is the result of another config' in capsys.readouterr().err


def test_a_call_without_a_score_leaves_the_table_of_earlier_ones(
    compare, tiny_config, tmp_path, monkeypatch
):
    def failing(*args):
        raise RunError('it failed')

    tiny_config()
    Path('runs').mkdir()
    Path('runs/seeds.md').write_text('scores')
    monkeypatch.setattr('mmseg_picie.apis.seed_runs.run_once', failing)
    with pytest.raises(SystemExit):
        compare([str(tmp_path / 'tiny.py'), '--seeds', '1', '--work-dir', 'runs'])
    assert Path('runs/seeds.md').read_text() == 'scores'


@pytest.mark.slow
def test_a_failing_run_is_reported_with_its_log_and_the_rest_goes_on(
    compare, tiny_config, tmp_path, capsys
):
    tiny_config({'train_cfg.max_epochs': 1})
    broken = tiny_config({'train_cfg.max_epochs': 1}, name='broken')
    broken.train_dataloader.dataset.pipeline[1].base_size = -1
    broken.dump(tmp_path / 'broken.py')
    with pytest.raises(SystemExit) as stop:
        compare(
            [str(tmp_path / 'broken.py'), str(tmp_path / 'tiny.py'), '--seeds', '1']
            + ['--work-dir', 'runs']
        )
    assert stop.value.code == 1
    assert 'train.log' in capsys.readouterr().err
    assert list(json.loads(Path('runs/seeds.json').read_text())['rows']) == ['tiny']
