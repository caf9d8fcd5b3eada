"""Figures without labels, by hand and against other code; the choice of a seed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from scipy.stats import entropy
from sklearn.metrics import adjusted_rand_score

from mmseg_picie.apis.judged_runs import correlate, judge_rows, pick, write_judgement
from mmseg_picie.apis.judgement import edge_share, rand_index, silhouette, size_entropy
from mmseg_picie.apis.seed_runs import is_picie
from mmseg_picie.cli import main

ROOT = Path(__file__).parents[2]


def test_borders_on_colour_edges_count_and_others_do_not():
    """By hand: left half black, right half white; one segmentation along it, one across."""
    image = torch.zeros(1, 3, 9, 9)
    image[..., 5:] = 1
    along, across = torch.zeros(1, 9, 9).long(), torch.zeros(1, 9, 9).long()
    along[..., 5:] = 1
    across[:, 5:] = 1
    # The edge is 8 of 8 x 8 pixels; the line across meets it once.
    assert edge_share(image, along) == 1
    assert edge_share(image, across) == pytest.approx(1 / 8)
    assert np.isnan(edge_share(image, torch.zeros(1, 9, 9).long()))


def test_chance_gives_the_share_of_edges():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, 3, 65, 65, generator=generator)
    clusters = torch.randint(5, (4, 65, 65), generator=generator)
    assert edge_share(images, clusters) == pytest.approx(0.25, abs=0.02)


def test_entropy_is_scipys_over_that_of_equal_shares():
    clusters = np.random.default_rng(0).integers(0, 4, (3, 5, 6)) ** 2 // 3
    shares = np.bincount(clusters.ravel(), minlength=7) / clusters.size
    assert size_entropy(clusters, 7) == pytest.approx(entropy(shares) / np.log(7))
    assert size_entropy(np.arange(8), 8) == pytest.approx(1)
    assert size_entropy(np.zeros(8, int), 8) == 0


def test_two_tight_directions_have_a_silhouette_of_one_and_one_cluster_none():
    points = np.array([[1, 0], [1, 1e-4], [0, 1], [1e-4, 1]])
    assert silhouette(points, np.array([0, 0, 1, 1])) == pytest.approx(1, abs=1e-3)
    assert silhouette(points, np.array([0, 1, 0, 1])) < 0
    assert np.isnan(silhouette(points, np.zeros(4, int)))


def test_agreement_does_not_depend_on_the_numbers_of_clusters():
    clusters = np.random.default_rng(0).integers(0, 5, (2, 8, 8))
    assert rand_index(clusters, (clusters + 3) % 5) == 1
    other = np.random.default_rng(1).integers(0, 5, (2, 8, 8))
    assert rand_index(clusters, other) == adjusted_rand_score(clusters.ravel(), other.ravel())


def runs(figures, scores):
    return {
        seed: dict(silhouette=figure, mIoU=score)
        for seed, (figure, score) in enumerate(zip(figures, scores, strict=True), 1)
    }


def test_the_seed_with_the_largest_figure_is_picked_and_weighed():
    judged = dict(a=runs([0.1, 0.5, 0.3], [20.0, 24.0, 28.0]))
    (chosen,) = pick(judged, 'silhouette').values()
    assert chosen == dict(seed=2, mIoU=24.0, gain=0.0, loss=4.0)


def test_a_figure_that_nobody_has_chooses_nothing():
    assert pick(dict(a=runs([float('nan')] * 2, [1.0, 2.0])), 'silhouette') == {}


def test_without_labels_a_seed_is_picked_all_the_same():
    assert pick(dict(a={1: dict(silhouette=0.1), 4: dict(silhouette=0.2)}), 'silhouette') == dict(
        a=dict(seed=4)
    )


def test_rank_correlations_are_over_all_runs_and_within_rows():
    """By hand: within each row the order is the opposite of that of mIoU, over all it is not."""
    judged = dict(a=runs([1, 2, 3], [12, 11, 10]), b=runs([7, 8, 9], [22, 21, 20]))
    found = correlate(judged)['silhouette']
    assert found['within'] == pytest.approx(-1)
    # Ranks 1-6 against 3, 2, 1, 6, 5, 4: sum of squared differences 16.
    assert found['all'] == pytest.approx(1 - 6 * 16 / (6 * 35))


def test_seeds_that_find_the_same_segments_agree(tmp_path):
    rng = np.random.default_rng(0)
    first = rng.integers(0, 4, (3, 5, 5))
    folders = {}
    for seed, clusters in enumerate((first, 3 - first, rng.integers(0, 4, (3, 5, 5)))):
        folders[seed] = tmp_path / str(seed)
        folders[seed].mkdir()
        np.save(folders[seed] / 'clusters.npy', clusters)
    row = {
        seed: dict(
            metrics=dict(mIoU=10.0 + seed), judgement=dict(silhouette=[None, 0.2, 0.1][seed])
        )
        for seed in folders
    }
    judged = judge_rows(dict(a=row), dict(a=folders))['a']
    other = judged[2]['seed agreement']
    assert judged[0]['seed agreement'] == pytest.approx((1 + other) / 2, abs=0.02)
    assert other < 0.1
    text, chosen = write_judgement(tmp_path, dict(a=judged))
    assert chosen['a']['seed'] == 1
    assert '| a   | 1    |' in text and Path(tmp_path, 'judgement.md').read_text() == text + '\n'
    assert json.loads(Path(tmp_path, 'judgement.json').read_text())['runs']['a']['0']['mIoU'] == 10


@pytest.mark.parametrize('head', ['CentroidHead', 'IICHead', 'DeepClusterHead'])
def test_the_command_judges_any_head_and_repeats_itself(tiny_config, tmp_path, head, capsys):
    config = tiny_config({'train_cfg.max_epochs': 1})
    config.model.decode_head = dict(type=head, num_clusters=9, in_channels=16)
    if head == 'DeepClusterHead':
        config.train_dataloader.dataset.pipeline[1].num_views = 1
    Runner.from_cfg(config).train()
    config.dump(tmp_path / 'head.py')
    found = []
    for name in ('one', 'two'):
        words = [str(tmp_path / 'head.py'), str(Path(config.work_dir) / 'epoch_1.pth')]
        words += ['--clusters', str(tmp_path / f'{name}.npy'), '--work-dir', str(tmp_path / name)]
        words += ['--json', str(tmp_path / f'{name}.json')]
        found.append(main(['judge', *words, '--cfg-options', f'randomness.seed={len(found)}']))
    assert found[0] == pytest.approx(found[1], nan_ok=True)
    assert np.isnan(found[0]['view agreement']) == (head == 'DeepClusterHead')
    assert 0 < found[0]['size entropy'] <= 1
    clusters = np.load(tmp_path / 'one.npy')
    assert clusters.shape == (20, 8, 16) and clusters.max() < 9
    assert np.array_equal(clusters, np.load(tmp_path / 'two.npy'))
    assert json.loads((tmp_path / 'one.json').read_text()).keys() == found[0].keys()


def test_broken_clusters_are_refused_by_their_file(tmp_path):
    (tmp_path / 'clusters.npy').write_bytes(b'nothing')
    row = {1: dict(metrics={}, judgement=dict(silhouette=0.1))}
    with pytest.raises(ValueError, match=r'clusters\.npy must hold the clusters .* remove it'):
        judge_rows(dict(a=row), dict(a={1: tmp_path}))


@pytest.mark.parametrize(
    ('config', 'expected'),
    [('picie-m_fpn_efficientnet-lite0_camvid', True), ('iic_fpn_r18_cocostuff', True)]
    + [('linear-probe_fpn_r18_cocostuff', False), ('finetune/fcn_r18_camvid', False)],
)
def test_only_a_picie_is_judged(config, expected):
    assert is_picie(Config.fromfile(ROOT / 'configs' / f'{config}.py')) == expected


def test_a_figure_that_is_the_same_of_all_seeds_chooses_none():
    """The agreement of two seeds is that of each of them."""
    judged = dict(a={1: dict(agreement=0.3, mIoU=20.0), 2: dict(agreement=0.3, mIoU=10.0)})
    assert pick(judged, 'agreement') == {}
