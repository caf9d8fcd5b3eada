"""Every benchmark runs, and writes the figures that it promises; no test is of speed."""

import argparse
import importlib
import json
import re
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from sklearn.metrics import adjusted_rand_score

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / 'benchmarks').glob('*.py'))
QUESTIONS = [name for name in SCRIPTS if name != 'common']


@pytest.fixture
def load(monkeypatch) -> Callable[[str], ModuleType]:
    """Import a benchmark as its own folder sees it."""
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    yield importlib.import_module
    for name in SCRIPTS:
        sys.modules.pop(name, None)


@pytest.fixture
def config_path(small_run, tmp_path) -> Path:
    """A run of eight scenes in batches that two ranks can share."""
    config: Config = small_run(ROOT / 'configs' / 'picie_fpn_r18_scenes.py')
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
        # A printed table has the header's line, the rule, and a line for every row.
        lines = [line for line in result.stdout.splitlines() if line.startswith('|')]
        rules = [line for line in lines if re.fullmatch(r'[ |:-]+', line)]
        assert len(lines) == 2 * len(rules) + len(content['rows'])
        return content

    return run


def test_sizes_are_read_and_refused(load):
    common = load('common')
    assert common.parse_sizes('160:320') == (160, 320)
    for text in ('160', '320:160', '0:10', 'a:b', '1:2:3'):
        with pytest.raises(argparse.ArgumentTypeError, match='RES:BASE'):
            common.parse_sizes(text)


def test_a_config_is_read_once_for_each_size_and_changed_as_the_options_say(load):
    common = load('common')
    parser = common.make_parser('Try.')
    common.add_config(parser)
    config = str(ROOT / 'configs' / 'picie_fpn_r18_camvid.py')
    options = '--sizes 32:48 64:96 --workers 0 --seed 7 --cfg-options train_cfg.max_epochs=5'
    small, large = common.read_configs(parser.parse_args([config, *options.split()]))
    assert common.size_of(small) == (32, 32)
    assert common.size_of(small, key='base_size') == (48, 48)
    assert common.size_of(large, 'ResizeCenterCrop', 'size') == (64, 64)
    assert large.train_cfg.max_epochs == 5
    assert large.randomness.seed == 7
    assert large.model.backbone.init_cfg is None  # it would be downloaded
    for name in common.LOADERS:
        assert (large[name].num_workers, large[name].persistent_workers) == (0, False)


def test_ways_take_turns(load):
    calls: list[str] = []
    ways = {name: lambda name=name: calls.append(name) or len(calls) for name in 'AB'}
    assert load('common').in_turn(ways, 2) == dict(A=[1, 3], B=[2, 4])
    assert calls == ['A', 'B', 'A', 'B']


def test_medians_and_ratios_are_of_rounds(load):
    common = load('common')
    records = [dict(a=1.0, b=9.0), dict(a=3.0, b=8.0), dict(a=2.0, b=1.0)]
    assert common.medians(records) == dict(a=2.0, b=8.0)
    assert common.round_ratios([2.0, 3.0], [1.0, 6.0]) == [2.0, 0.5]


def test_a_table_rounds_numbers_and_leaves_unknown_cells_empty(load):
    rows = [dict(way='ours', s=1.23456, r=[0.5, 2.0]), dict(way='other', s=0.00123456, r=None)]
    lines = load('common').make_table(rows).splitlines()
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert cells[0] == ['way', 's', 'r']
    assert cells[2:] == [['ours', '1.235', '0.500 2.000'], ['other', '0.00123', '']]


def test_ratios_of_measures_are_medians_over_the_same_round(load):
    tricks = load('tricks')
    on = [dict(seconds=s, first_epoch=9.0, peak_mib=100.0) for s in (1.0, 2.0, 4.0)]
    off = [dict(seconds=s, first_epoch=8.0, peak_mib=150.0) for s in (3.0, 3.0, 4.0)]
    first, second = tricks.make_rows({tricks.ON: on, 'loading off': off})
    assert (first['ratio'], first['peak_ratio']) == (1, 1)
    assert (second['seconds'], second['ratio']) == (3, 1.5)
    assert (second['first_epoch'], second['peak_ratio']) == (8, 1.5)


def test_an_epoch_is_divided_by_the_bound_of_its_round(load):
    epoch = load('epoch')
    assert epoch.batch_sizes(10, 4) == [4, 4, 2]
    parts = dict(clustering=2.0, training=3.0, saving=1.0, evaluation=2.0)
    bound = dict(clustering=1.0, labelling=1.0, training=1.0, evaluation=1.0)
    found = dict(epochs=[parts, parts], bound=bound, layout='contiguous')
    (row,) = epoch.make_rows(dict(epoch=[found]))
    assert (row['ratio'], row['with_evaluation'], row['first_epoch']) == (2, 2, 8)


def test_a_process_tree_is_the_root_and_its_descendants(load):
    parents = {1: 0, 5: 1, 6: 5, 7: 6, 8: 1}
    assert load('commands').find_tree(5, parents) == {5, 6, 7}
    assert load('commands').find_tree(9, parents) == set()


@pytest.mark.slow
@pytest.mark.parametrize('name', QUESTIONS)
def test_every_script_says_what_it_takes(run_tool, name):
    text = run_tool(f'../benchmarks/{name}.py', '--help').stdout
    for option in ('--repeats', '--seed', '--out', '--quick'):
        assert option in text


@pytest.mark.slow
def test_an_epoch_is_compared_with_the_passes_it_needs(measure, config_path):
    content = measure('epoch', config_path, '--workers', 0, '--sizes', '32:48')
    (row,) = content['rows']
    assert row['view'] == '32x32'
    for name in ('clustering', 'training', 'saving', 'evaluation'):
        assert row[name] > 0
    for name in ('clustering', 'labelling', 'training', 'evaluation'):
        assert row[f'bound_{name}'] > 0
    assert row['layout'] in ('contiguous', 'channels_last')
    assert row['ratio'] > 0 and row['first_epoch'] > 0
    assert [len(record['epochs']) for record in content['rounds']['32x32']['epoch']] == [2]


@pytest.mark.slow
def test_a_frozen_backbone_needs_one_pass(measure, config_path):
    config = Config.fromfile(config_path)
    config.model.frozen = ['backbone']
    config.dump(config_path)
    (row,) = measure('epoch', config_path, '--workers', 0, '--sizes', '32:48')['rows']
    names = ('backbone', 'clustering', 'labelling', 'training', 'evaluation')
    assert all(row[f'bound_{name}'] > 0 for name in names)


@pytest.mark.slow
def test_measures_are_switched_off_one_by_one(measure, config_path):
    names = ['channels last off', 'mimalloc off']
    options = ('--sizes', '32:48', '--epochs', 1, '--rows', *names)
    rows = measure('tricks', config_path, *options)['rows']
    assert [row['row'] for row in rows] == ['everything on', *names]
    assert rows[0]['ratio'] == 1
    for row in rows:
        assert row['seconds'] == row['first_epoch'] > 0
        assert row['peak_mib'] > 100
        assert row['ratio'] == pytest.approx(row['seconds'] / rows[0]['seconds'])


@pytest.mark.slow
def test_steps_are_timed_alone_and_beside_busy_processes(measure, config_path):
    rows = measure('load', config_path, '--sizes', '32:48')['rows']
    names = ['default, alone', 'default, busy', 'ours, alone', 'ours, busy']
    assert [row['setting'] for row in rows] == names
    for row in rows:
        assert row['ratio'] == pytest.approx(row['seconds'] / rows[0]['seconds'])
        is_busy = row['setting'].endswith('busy')
        # On enough cores, a busy process takes nothing from the step.
        assert row['of_fair_share'] <= row['ratio']
        assert is_busy or row['of_fair_share'] == row['ratio']


@pytest.mark.slow
def test_commands_are_timed_with_all_their_processes(measure):
    hold = 'import time; kept = bytearray(100 << 20); time.sleep(3)'
    command = f'{sys.executable} -c "{hold}"'
    one, two = measure('commands', command, f'{command} & {command}; wait')['rows']
    for row in (one, two):
        assert row['seconds'] > 3
        assert 100 < row['main_mib'] < 150
    assert one['seconds_ratio'] == 1
    assert 1.7 < two['tree_mib_ratio'] < 2.1


@pytest.mark.slow
def test_checkouts_are_compared(measure, config_path):
    options = ('--checkouts', ROOT, ROOT, '--config', config_path, '--sizes', '32:48')
    first, second = measure('commands', *options)['rows']
    assert (first['view'], second['view']) == ('32x32', '32x32')
    assert first['tree_mib'] >= first['main_mib'] > 100
    assert second['seconds_ratios'] == [second['seconds_ratio']]


@pytest.mark.slow
def test_all_ways_of_kmeans_reach_the_same_inertia(measure):
    rows = measure('kmeans')['rows']
    ways = ['mmseg_picie', 'faiss', 'scikit-learn']
    assert [row['way'] for row in rows if row['what'] == 'fit'] == ways
    assert [row['way'] for row in rows if row['what'] == 'step'] == 2 * [ways[0], ways[2]]
    for row in rows:  # the same rule from the same centroids on the same points
        assert row['inertia_ratio'] == pytest.approx(1, abs=1e-4)
        assert 0 < row['inertia'] < 2


@pytest.mark.slow
def test_the_pipeline_and_the_pillow_chain_make_the_same_views(measure):
    rows = measure('views', '--sizes', '64:128')['rows']
    assert [row['files'] for row in rows] == ['480x360', '640x480']
    for row in rows:
        assert (row['base'], row['view'], row['images']) == ('128x128', '64x64', 3)
        assert row['difference'] < 4  # grey levels; of other draws it is tens
        speeds = row['images_per_second'], row['pillow_images_per_second']
        assert row['times_faster'] == pytest.approx(speeds[0] / speeds[1])


@pytest.mark.slow
def test_labels_in_two_precisions_are_compared(measure, config_path, run_tool, tmp_path):
    folder = tmp_path / 'trained'
    run_tool('train.py', config_path, '--work-dir', folder)
    (checkpoint,) = folder.glob('epoch_*.pth')
    exact, low = measure('precision', config_path, checkpoint)['rows']
    assert (exact['dtype'], low['dtype']) == ('float32', 'bfloat16')
    assert exact['agreement'] == 1
    assert 0.8 < low['agreement'] < 1
    assert low['times_faster'] == pytest.approx(exact['milliseconds'] / low['milliseconds'])


@pytest.mark.slow
def test_memory_is_told_for_the_bare_toolbox_and_for_more_images(measure, config_path):
    bare, once, more = measure('memory', config_path)['rows']
    assert (bare['images'], once['images'], more['images']) == (0, 8, 32)
    assert 100 < bare['peak_mib'] < once['peak_mib']
    for row in (once, more):
        assert row['above_bare_mib'] == pytest.approx(row['peak_mib'] - bare['peak_mib'])
        assert 0 < row['clustering_above_bare_mib'] <= row['above_bare_mib']
        assert row['ratio'] == pytest.approx(row['peak_mib'] / once['peak_mib'])


@pytest.mark.slow
def test_a_report_has_a_size_and_a_time(measure, config_path, tmp_path):
    init_default_scope('mmseg')
    model = MODELS.build(Config.fromfile(config_path).model)
    head = model.decode_head
    head.set_centroids(torch.randn_like(head.centroids), torch.ones_like(head.cluster_counts))
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'fitted.pth')
    (row,) = measure('report', config_path, tmp_path / 'fitted.pth')['rows']
    assert (row['images'], row['shown']) == (3, 3)
    assert 0 < row['megabytes'] < 15 and row['seconds'] > 0 and row['above_bare_mib'] >= 0


@pytest.mark.slow
def test_files_are_listed_several_times(measure, small_run, tmp_path):
    config = small_run(ROOT / 'configs' / 'picie_fpn_efficientnet-lite0_camvid.py')
    path = tmp_path / 'camvid.py'
    config.dump(path)
    bare, more = measure('memory', path, '--times', 2)['rows']
    assert (bare['images'], more['images']) == (0, 12)


@pytest.mark.slow
def test_two_ranks_have_the_centroids_and_scores_of_one_process(measure, config_path):
    one, two = measure('ddp', config_path, '--threads', 2)['rows']
    assert (one['ranks'], one['threads_per_rank']) == (1, 2)
    assert (two['ranks'], two['threads_per_rank']) == (2, 1)
    assert two['centroid_difference'] < 1e-4
    assert two['score_difference'] < 1e-3
    assert two['parameters_between_ranks'] < 1e-6
    assert min(one['epoch_seconds'], two['epoch_seconds']) > 0
    assert 0 < one['clustering_seconds'] < one['epoch_seconds']
    # Of 2 views, 2 of the 4 images of the initial fit, with 16 x 16 pixels of 128 channels.
    assert two['bytes_for_initial_fit'] == 2 * 2 * 256 * 128 * 4
    # The fit and one update, each of 9 sums, counts and a distance.
    assert two['bytes_for_updates'] == 2 * 2 * (9 * 128 * 4 + 9 * 8 + 8)
    assert one['bytes_for_initial_fit'] == one['bytes_for_updates'] == 0


def test_kmeans_on_tokens_scores_every_kind_of_them(measure, config_path):
    words = ['--model', 'vit_tiny_patch16_224', '--weights', 'none', '--side', 32, '--seeds', 1, 2]
    rows = measure('dino_kmeans', config_path, *words)['rows']
    kinds = [(block, kind) for block in (9, 12) for kind in ('patch', 'patch, last norm', 'key')]
    assert [(row['block'], row['tokens']) for row in rows] == kinds
    assert all(0 < row['mIoU'] < row['accuracy'] < 100 for row in rows)


def test_tokens_that_tell_the_classes_apart_score_all(load):
    labels = np.random.default_rng(0).integers(0, 4, (3, 5, 5))
    tokens = np.eye(4, dtype=np.float32)[labels]
    wanted = list(labels.repeat(8, 1).repeat(8, 2))
    assert load('dino_kmeans').score(tokens, tokens, wanted, 4, seed=0) == (100, 100)


@pytest.mark.slow
def test_variants_are_scored_by_what_compare_has_written(measure, config_path, tmp_path):
    options = ('--work-dir', tmp_path / 'variants', '--epochs', 2, '--rows')
    rows = measure('variants', config_path, *options, 'PiCIE', 'merged centroids')['rows']
    assert [row['variant'] for row in rows] == ['PiCIE', 'merged centroids']
    table = json.loads((tmp_path / 'variants' / 'seeds.json').read_text())['rows']
    for row, name in zip(rows, ('picie', 'merged-centroids'), strict=True):
        assert row['mIoU'] == table[name]['metrics']['mIoU']['mean'] <= row['best mIoU']
        config = Config.fromfile(tmp_path / 'variants' / f'{name}.py')
        assert config.train_cfg.max_epochs == 2
    assert config.model.decode_head.centroids_per_cluster == 5


def test_every_variant_changes_what_the_config_has(load, tmp_path):
    """A key that nothing reads would make a row of PiCIE itself."""
    variants = load('variants')
    path = ROOT / 'configs' / 'picie_fpn_efficientnet-lite0_camvid.py'
    parser = load('common').make_parser('Try.')
    load('common').add_config(parser)
    args = parser.parse_args([str(path)])
    args.epochs = None
    texts = set()
    for name in variants.VARIANTS:
        config = Config.fromfile(variants.write_config(args, tmp_path, name))
        assert config.model.backbone.init_cfg.checkpoint == 'efficientnet-lite0://imagenet'
        texts.add(config.pretty_text)
    assert len(texts) == len(variants.VARIANTS)


@pytest.mark.slow
def test_numbers_of_clusters_are_weighed_by_labels(measure, config_path, tmp_path):
    words = ('--workers', 0, '--sizes', '32:48', '--work-dir', tmp_path / 'numbers')
    rows = measure('suggest_k', config_path, *words)['rows']
    numbers = [row for row in rows if 'inertia' in row]
    assert [row['K'] for row in numbers] == [2, 3, 4]
    assert all(0 < row['mIoU'] < 100 and -1 < row['Rand'] < 1 for row in numbers)
    rules = {row['rule']: row for row in rows if 'rule' in row}
    scores = {row['K']: row['mIoU'] for row in numbers}
    for row in rules.values():
        assert row['mIoU'] == scores[row['K']]
        assert row['loss of mIoU'] == max(scores.values()) - row['mIoU']
    assert rules['best mIoU']['loss of mIoU'] == rules['best Rand']['loss of Rand'] == 0
    assert rules['always 12']['K'] == 4


def test_clusters_and_classes_are_compared_by_their_counts(load):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 500)
    clusters = np.where(rng.random(500) < 0.5, labels, rng.integers(0, 6, 500))
    script = load('suggest_k')
    counts = np.zeros((4, 6), np.int64)
    np.add.at(counts, (labels, clusters), 1)
    assert script.rand_of_counts(counts) == pytest.approx(adjusted_rand_score(labels, clusters))
    # Clusters that are left over are errors: each class has lost half of its pixels to another.
    split = script.score([np.array([[5, 5, 0, 0], [0, 0, 5, 5]])])
    assert (split['mIoU'], split['mIoU dev']) == (50, 0)
    # A class without a cluster has an IoU of 0: 10 of 20 pixels, and 0.
    assert script.score([np.array([[10], [10]])])['mIoU'] == 25


@pytest.mark.slow
def test_large_images_are_measured_beside_their_forward_passes(measure, config_path):
    rows = measure('large_images', config_path, '--most-whole', 1e9)['rows']
    assert [row['scale'] for row in rows] == ['full', 'whole']
    for row in rows:
        assert row['image'] == '300x200' and row['K'] == 3
        assert row['base_mib'] > 100 and row['peak_mib'] > 0 and row['files'] > 0
    assert 0 < rows[0]['network'] < rows[0]['labels']
    assert rows[0]['ratio'] == pytest.approx(rows[0]['labels'] / rows[0]['network'])


def test_a_knee_is_farthest_below_the_line_between_the_ends(load):
    """By hand: from (2, 10) steeply to (4, 2), then flatly to (10, 0)."""
    curve = {2: 10, 3: 6, 4: 2, 7: 1, 10: 0}
    heights = load('suggest_k').knee_heights([dict(K=k, inertia=y) for k, y in curve.items()])
    assert heights == pytest.approx([0, 0.4 - 1 / 8, 0.8 - 2 / 8, 0.9 - 5 / 8, 0])
