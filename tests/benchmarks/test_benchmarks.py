"""Every benchmark runs, and writes the figures that it promises; no test is of speed."""

import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from mmengine.config import Config

CONFIGS = Path(__file__).parents[2] / 'configs'

pytestmark = pytest.mark.slow


@pytest.fixture
def config_path(small_run, tmp_path) -> Path:
    """A run of eight scenes in batches that two ranks can share."""
    config: Config = small_run(CONFIGS / 'picie_fpn_r18_scenes.py')
    config.train_dataloader.dataset.num_images = 8
    config.train_dataloader.batch_size = 4
    config.default_hooks.clustering.update(batch_size=4)
    path = tmp_path / 'scenes.py'
    config.dump(path)
    return path


@pytest.fixture
def measure(run_tool, tmp_path) -> Callable[..., dict]:
    """Run a benchmark in its quick mode; the content of its JSON file."""

    def run(name: str, *args: object) -> dict:
        out = tmp_path / 'out' / f'{name}.json'
        result = run_tool(f'../benchmarks/{name}.py', *args, '--quick', '--out', out)
        content = json.loads(out.read_text())
        header = content['header']
        assert {'cpu', 'cores', 'torch_threads', 'seed', 'load_at_start'} <= header.keys()
        assert header['versions']['torch'] == metadata.version('torch')
        assert header['command'].startswith('python') and '--quick' in header['command']
        # The printed tables have the header's line, the rule, and a line for every row.
        lines = [line for line in result.stdout.splitlines() if line.startswith('|')]
        assert len(lines) % (2 + len(content['rows'])) == 0
        return content

    return run


def test_an_epoch_is_the_sum_of_its_parts_and_compared_with_the_passes_it_needs(
    measure, config_path
):
    options = ('--workers', 0, '--subset', 1, 0.5, '--sizes', '32:48')
    content = measure('epoch', config_path, *options)
    assert content['header']['images'] == dict(train=8, val=6)
    rows = content['rows']
    assert [row['subset'] for row in rows] == [1.0, 0.5]
    for row in rows:
        assert row['view'] == '32x32'
        parts = [row[name] for name in ('clustering', 'training', 'saving', 'evaluation')]
        assert min(parts) > 0
        assert 0.9 * row['whole'] < sum(parts) <= row['whole']
        for share, whole in (
            ('labelling', 'training'),
            ('training_data', 'training'),
            ('clustering_forward', 'clustering'),
            ('clustering_data', 'clustering'),
            ('evaluation_data', 'evaluation'),
        ):
            assert 0 < row[share] < row[whole]
        assert row['clustering_forward'] + row['clustering_data'] < row['clustering']
        needed = [row[f'bound_{name}'] for name in ('clustering', 'labelling', 'training')]
        assert min(needed) > 0
        assert row['bound'] == pytest.approx(sum(needed))
        assert row['layout'] in ('contiguous', 'channels_last')
        without = row['whole'] - row['evaluation']
        assert row['ratio'] == pytest.approx(without / row['bound'])
        with_evaluation = row['whole'] / (row['bound'] + row['bound_evaluation'])
        assert row['with_evaluation'] == pytest.approx(with_evaluation)
    assert [len(epochs) for found in content['repetitions'] for epochs in found['epochs']] == [2, 2]


def test_all_ways_of_kmeans_reach_the_same_inertia(measure):
    rows = measure('kmeans', '--clusters', 5)['rows']
    fits = {row['way']: row for row in rows if row['what'] == 'fit'}
    assert {'mmseg_picie', 'mmseg_picie without faiss'} <= fits.keys()
    for row in fits.values():
        assert row['inertia_ratio'] == pytest.approx(1, abs=0.05)
    steps = [row for row in rows if row['what'] == 'step']
    assert [(row['way'], row['points']) for row in steps] == [
        (way, points)
        for points in (500, 2000)
        for way in ('mmseg_picie', 'scikit-learn', 'scikit-learn without labels')
    ]
    for row in steps:  # the same rule from the same centroids on the same batches
        assert row['inertia_ratio'] == pytest.approx(1, abs=1e-4)
    for row in rows:
        assert 0 < row['inertia'] < 2
        assert row['ns_per_point'] == pytest.approx(1e9 * row['seconds'] / row['points'])


def test_the_pipeline_and_the_pillow_chain_make_the_same_views(measure):
    rows = measure('views', '--sizes', '64:128')['rows']
    assert [row['files'] for row in rows] == ['480x360', '640x480']
    for row in rows:
        assert (row['base'], row['view'], row['images']) == ('128x128', '64x64', 3)
        assert row['difference'] < 4  # grey levels; of other draws it is tens
        speeds = row['images_per_second'], row['pillow_images_per_second']
        assert min(speeds) > 0
        assert row['times_faster'] == pytest.approx(speeds[0] / speeds[1])


def test_labels_in_two_precisions_are_compared(measure, config_path, run_tool, tmp_path):
    folder = tmp_path / 'trained'
    run_tool('train.py', config_path, '--work-dir', folder)
    (checkpoint,) = folder.glob('epoch_*.pth')
    exact, low = measure('precision', config_path, checkpoint)['rows']
    assert (exact['dtype'], low['dtype']) == ('float32', 'bfloat16')
    assert exact['agreement'] == 1
    assert 0.8 < low['agreement'] < 1
    assert low['times_faster'] == pytest.approx(exact['milliseconds'] / low['milliseconds'])


def test_memory_is_told_for_the_bare_toolbox_and_for_more_images(measure, config_path):
    bare, once, more = measure('memory', config_path)['rows']
    assert (bare['images'], once['images'], more['images']) == (0, 8, 32)
    assert 100 < bare['peak_mib'] < once['peak_mib']
    for row in (once, more):
        assert row['above_bare_mib'] == pytest.approx(row['peak_mib'] - bare['peak_mib'])
        assert 0 < row['clustering_above_bare_mib'] <= row['above_bare_mib']
        assert row['ratio'] == pytest.approx(row['peak_mib'] / once['peak_mib'])


def test_files_are_listed_several_times(measure, small_run, tmp_path):
    config = small_run(CONFIGS / 'picie_fpn_efficientnet-lite0_camvid.py')
    path = tmp_path / 'camvid.py'
    config.dump(path)
    bare, more = measure('memory', path, '--times', 2)['rows']
    assert (bare['images'], more['images']) == (0, 12)


def test_two_ranks_have_the_centroids_and_scores_of_one_process(measure, config_path):
    one, two = measure('ddp', config_path, '--threads', 2)['rows']
    assert (one['ranks'], one['threads_per_rank']) == (1, 2)
    assert (two['ranks'], two['threads_per_rank']) == (2, 1)
    assert two['centroid_difference'] < 1e-4
    assert two['score_difference'] < 1e-3
    assert two['parameters_between_ranks'] < 1e-6
    assert min(one['epoch_seconds'], two['epoch_seconds']) > 0
