"""Advice about the number of clusters: of points whose clusters are known, and of folders."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.runner import Runner
from PIL import Image
from sklearn.metrics import silhouette_score

from mmseg_picie.apis.cluster_figures import limit_number, measure_numbers
from mmseg_picie.apis.feature_sample import (
    FeatureSample,
    build_untrained,
    embed,
    gather_features,
    use_folder,
)
from mmseg_picie.apis.suggest_k import choose, suggest_k, write_advice
from mmseg_picie.cli import main
from mmseg_picie.clustering.cluster_numbers import fit_clusters, predict_clusters
from mmseg_picie.datasets import SampleKey
from mmseg_picie.datasets.scenes import draw_scene
from mmseg_picie.engine.distributed import unwrap_model


def bunches(number: int, ratio: int, images: int = 20, spread: float = 0.05) -> FeatureSample:
    """Pixels around some directions that are at right angles."""
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(number, (images, 50), generator=generator)
    points = torch.eye(32)[chosen] + spread * torch.randn(images, 50, 32, generator=generator)
    columns = torch.arange(50).expand(images, 50)
    return FeatureSample(F.normalize(points, dim=2), columns, ratio, 1000)


@pytest.mark.parametrize('ratio', [1, 5])
def test_bunches_that_lie_apart_are_counted(ratio):
    table = measure_numbers(bunches(6, ratio), range(2, 10), (0, 1))
    advice = choose(table)
    assert advice.k == 6
    assert advice.reason.startswith('6 clusters: their clusters lie apart, ')
    by_number = {row['K']: row for row in advice.table}
    assert max(by_number, key=lambda k: by_number[k]['silhouette']) == 6
    if ratio > 1:  # k-means alone may end with two of its centroids in one bunch
        assert by_number[6]['seed agreement'] == by_number[6]['prediction strength'] == 1
    assert by_number[9]['prediction strength'] < 1
    assert by_number[6]['size entropy'] > 0.95


def test_figures_are_means_over_seeds_and_the_silhouette_is_scikit_learns():
    sample = bunches(4, 2, spread=0.3)
    (row,) = measure_numbers(sample, [5], [3, 4])
    points, found = sample.points.flatten(0, 1), []
    for seed in (3, 4):
        clusters = predict_clusters(points, fit_clusters(points, 5, 2, 20, seed))
        found.append(silhouette_score(points.numpy(), clusters, metric='cosine'))
    assert row['silhouette'] == pytest.approx(np.mean(found), abs=1e-5)
    one = [measure_numbers(sample, [5], [seed])[0] for seed in (3, 4)]
    assert np.isnan(one[0]['seed agreement']) and not np.isnan(row['seed agreement'])
    for name in ('inertia', 'prediction strength', 'size entropy'):
        assert row[name] == pytest.approx(np.mean([of_seed[name] for of_seed in one]))


def test_halves_are_of_images_so_that_what_is_of_one_image_is_not_found_again():
    """Four directions, one an image or all in every image, that lie apart."""
    generator = torch.Generator().manual_seed(0)
    points = torch.eye(32)[torch.arange(4)[:, None].expand(4, 50)]
    points = F.normalize(points + 0.05 * torch.randn(points.shape, generator=generator), dim=2)
    columns = torch.zeros(4, 50)
    alone = measure_numbers(FeatureSample(points, columns, 5, 99), [4], [0])[0]
    turned = FeatureSample(points.transpose(0, 1), columns.T, 5, 99)
    mixed = measure_numbers(turned, [4], [0])[0]
    assert mixed['prediction strength'] == 1 and alone['prediction strength'] < 0.8
    assert alone['silhouette'] == pytest.approx(mixed['silhouette'])


def test_neighbours_are_in_one_half():
    """Images of which each two neighbours alone show the same, as in a video of few scenes."""
    generator = torch.Generator().manual_seed(0)
    points = torch.eye(32)[torch.arange(4).repeat_interleave(2)[:, None].expand(8, 50)]
    points = F.normalize(points + 0.05 * torch.randn(points.shape, generator=generator), dim=2)
    sample = FeatureSample(points, torch.zeros(8, 50), 5, 99)
    (video,) = measure_numbers(sample, [4], [0])
    (shuffled,) = measure_numbers(
        sample._replace(points=points[[0, 2, 4, 6, 1, 3, 5, 7]]), [4], [0]
    )
    assert video['prediction strength'] < 0.8 < shuffled['prediction strength'] == 1


def test_images_are_gathered_in_their_order(tiny_config):
    runner = build_untrained(tiny_config(), verbose=False)
    found = gather_features(runner, 20, 20 * 8)
    dataset = runner.train_dataloader.dataset
    for index in (0, 7, 19):
        item = dataset[SampleKey(0, 0, index)]
        batch = dict(
            inputs=[[view] for view in item['inputs']], data_samples=[item['data_samples']]
        )
        maps = embed(unwrap_model(runner), batch)[0]
        assert found.points.shape == (20, 8, 16)
        near = torch.cdist(found.points[index], maps.flatten(1).T)
        assert near.min(1).values.max() < 1e-3
        assert torch.equal(near.argmin(1) % maps.shape[2], found.columns[index])


def test_one_image_is_halved_from_left_to_right():
    """Four directions: all over the image, or two to the left and two to the right."""
    sample = bunches(4, 5, images=1)._replace(
        points=bunches(4, 5, images=4).points.view(1, 200, 32)
    )
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    direction = sample.points[0].argmax(1)
    (spread,) = measure_numbers(sample._replace(columns=order[None]), [4], [0])
    (parted,) = measure_numbers(sample._replace(columns=direction[None]), [4], [0])
    assert spread['prediction strength'] == 1 and parted['prediction strength'] < 0.9


def test_no_more_clusters_are_tried_than_there_can_be():
    sample = bunches(3, 5, images=2)  # 100 pixels, so 50 in a half
    assert limit_number(sample, 2, 40) == 10
    assert limit_number(sample, 2, 4) == 4
    odd = bunches(3, 5, images=5)  # the smaller half has two images
    assert limit_number(odd, 2, 40) == 20
    assert measure_numbers(odd, [20], [0])[0]['K'] == 20
    assert limit_number(sample._replace(num_colours=3), 2, 40) == 3
    with pytest.raises(
        ValueError, match=r'^2 clusters or more .* 2, show 1 colour, which .* images\.$'
    ):
        limit_number(sample._replace(num_colours=1), 2, 40)
    with pytest.raises(
        ValueError, match='11 clusters or more .* 2, have 100 pixels .* for 5 .* fewer'
    ):
        limit_number(sample, 11, 40)


def rows(strengths: dict[int, float], silhouettes: dict[int, float] | None = None) -> list[dict]:
    known = silhouettes or dict.fromkeys(strengths, 0.2)
    return [
        {'K': number, 'prediction strength': value, 'silhouette': known[number]}
        for number, value in strengths.items()
    ]


def test_as_many_clusters_are_advised_as_other_images_confirm():
    advice = choose(rows({2: 0.9, 3: 0.4, 5: 0.51, 8: 0.49}))
    assert advice.k == 5 and advice.reason == (
        '5 clusters: the most of which pixels of a cluster stay together more often than not when '
        'other images are clustered (prediction strength 0.51).'
    )
    assert choose(rows({2: 0.9, 3: 0.6})).reason.startswith('3 clusters: even of the largest')
    none = choose(rows({2: 0.3, 3: 0.4, 4: 0.2}))
    assert none.k == 3 and none.reason.startswith('3 clusters: of no number that was tried do')
    assert choose(rows({7: 0.8})).k == 7


def test_enough_clusters_are_advised_to_tell_things_apart():
    strengths = {5: 0.9, 9: 0.6, 18: 0.4, 21: 0.3, 24: 0.2}
    advice = choose(rows(strengths))
    assert advice.k == 21 and 'other images confirm 9 (prediction strength 0.60)' in advice.reason
    assert choose(rows(strengths | {24: 0.5})).k == 24
    assert choose(rows({k: v for k, v in strengths.items() if k < 20})).k == 9
    apart = {5: 0.6, 9: 0.4, 18: 0.3, 21: 0.2, 24: 0.1}
    assert choose(rows(strengths, apart)).k == 5


def test_of_clusters_that_lie_apart_the_silhouette_tells_the_number():
    strengths = {2: 0.9, 3: 0.8, 4: 0.7}
    assert choose(rows(strengths, {2: 0.4, 3: 0.6, 4: float('nan')})).k == 3
    assert choose(rows(strengths, {2: 0.4, 3: 0.5, 4: float('nan')})).k == 4
    assert choose(rows(strengths, dict.fromkeys(strengths, float('nan')))).k == 4


@pytest.mark.parametrize('numbers', [(1, 5), (6, 5), (0, 0)])
def test_ranges_that_make_no_sense_are_refused_before_anything_is_read(numbers):
    with pytest.raises(ValueError, match=f'at least 2, .* got {numbers[0]} to {numbers[1]}'):
        suggest_k(None, (0,), *numbers)


@pytest.mark.parametrize('seeds', [(), (-1,), (1, 1), (1 << 31,)])
def test_seeds_that_make_no_sense_are_refused(seeds):
    with pytest.raises(ValueError, match='seeds must be different numbers'):
        suggest_k(None, seeds)


def test_an_advice_is_written_with_its_figures(tmp_path):
    advice = choose(measure_numbers(bunches(3, 1), range(2, 6), (0,)))
    text, plot = write_advice(tmp_path / 'new', advice, 'photos', [0])
    content = json.loads(text.read_text())
    assert content['k'] == advice.k and content['reason'] == advice.reason
    assert content['images'] == 'photos' and content['seeds'] == [0]
    assert [found['K'] for found in content['table']] == [2, 3, 4, 5]
    assert content['table'][0]['seed agreement'] is None
    assert Image.open(plot).format == 'PNG'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / 'photos').mkdir()
    for index in range(5):
        Image.fromarray(draw_scene(4, index, 60, 80)[0]).save(tmp_path / f'photos/{index}.png')
    return tmp_path / 'photos'


RECIPE = {
    'default_hooks.decoder.type': 'PrincipalDecoderHook',
    'model.decode_head.centroids_per_cluster': 3,
}


@pytest.mark.slow
def test_the_command_advises_for_a_folder_and_repeats_itself(
    tiny_config, folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    tiny_config(RECIPE)
    (folder / 'broken.jpg').write_bytes(b'nothing')
    words = ['suggest-k', str(folder), '--config', str(tmp_path / 'tiny.py'), '--max', '6']
    first = main([*words, '--seeds', '0', '1'])
    out = capsys.readouterr().out
    assert first.reason in out and '| 6 |' in out.replace('  ', ' ')
    again = main([*words, '--seeds', '0', '1', '--out', 'again'])
    assert again == first and 2 <= first.k <= 6
    for place in ('work_dirs/suggest-k/photos', 'again'):
        assert json.loads(Path(place, 'suggest_k.json').read_text())['k'] == first.k
        assert Path(place, 'suggest_k.png').is_file()
    assert not np.isnan([list(line.values()) for line in first.table]).any()


@pytest.mark.slow
def test_the_images_of_a_config_do_as_well(tiny_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_config()
    advice = main(['suggest-k', '--config', 'tiny.py', '--min', '3', '--max', '4', '--seeds', '5'])
    assert [line['K'] for line in advice.table] == [3, 4]
    assert Path('work_dirs/suggest-k/tiny/suggest_k.json').is_file()


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['one', 'specks', 'masks'])
def test_odd_folders_have_a_sensible_advice(tiny_config, tmp_path, kind):
    """One photograph; 2 x 2 pixels; two colours in halves, which resizing mixes at the seam."""
    root = tmp_path / 'odd'
    root.mkdir()
    rng = np.random.default_rng(0)
    for index in range(1 if kind == 'one' else 4):
        if kind == 'one':
            image = draw_scene(4, index, 60, 80)[0]
        elif kind == 'specks':
            image = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
        else:
            image = np.repeat(np.repeat([[0, 255]], 40, 1), 60, 0).astype(np.uint8)
        Image.fromarray(image).save(root / f'{index}.png')
    config = tiny_config(RECIPE)
    use_folder(config, root)
    advice = suggest_k(config, (0,), largest=8, verbose=False)
    assert 2 <= advice.k <= 8


def test_a_training_of_the_same_process_is_not_disturbed(tiny_config, tmp_path):
    """Else mmengine would write the scores of the training where the advice was made."""
    config = tiny_config()
    other = copy.deepcopy(config)
    other.work_dir = str(tmp_path / 'advice')
    suggest_k(other, (0,), largest=3, verbose=False)
    runner = Runner.from_cfg(config)
    (backend,) = runner.visualizer._vis_backends.values()
    assert Path(backend._save_dir).is_relative_to(config.work_dir)
    assert other.model == config.model and 'num_views' not in str(other.train_dataloader)


@pytest.mark.parametrize('colour', [0, 130])
def test_images_of_one_colour_are_refused(tiny_config, folder, colour):
    for path in folder.iterdir():
        Image.new('RGB', (80, 60), (colour, 0, colour)).save(path)
    config = tiny_config(RECIPE)
    use_folder(config, folder)
    with pytest.raises(ValueError, match='5, show 1 colour, which is too few; give other'):
        suggest_k(config, verbose=False)


def test_a_head_that_does_not_cluster_is_refused(tiny_config):
    config = tiny_config()
    config.model.decode_head = dict(type='IICHead', num_clusters=9, in_channels=16)
    with pytest.raises(ValueError, match='decode_head that clusters, .* but it is a IICHead'):
        suggest_k(config, verbose=False)


def test_bad_words_end_in_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path('empty').mkdir()
    refused = {
        '': 'argument folder: there are no images to look at; give a folder of photographs',
        'nowhere': 'argument folder: there is no folder nowhere; check the path',
        'empty --config nowhere.py': 'argument config: there is no file nowhere.py',
        'empty --min 1': 'argument --min: must be at least 2, but got 1',
        'empty --max 1': 'argument --max: must be at least --min, 2, but got 1',
        'empty --seeds 1 1': 'argument --seeds: must be different numbers',
        'empty --device nothing': 'argument --device: nothing cannot be used',
        'empty': 'folder empty holds no image',
    }
    for words, sentence in refused.items():
        with pytest.raises(SystemExit) as end:
            main(['suggest-k', *words.split()])
        assert end.value.code == 2
        told = capsys.readouterr().err
        assert sentence in told and told.count('\n') == 1, told
