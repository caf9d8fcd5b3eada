"""Properties of names by hand: from the file into the checkpoint and its predictions."""

import json

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.apis import MMSegInferencer, init_model
from mmseg.registry import MODELS

from mmseg_picie.apis.cluster_names import Named, fingerprint, merge_names, name_checkpoint
from mmseg_picie.apis.model_file import read_model, write_model
from mmseg_picie.apis.prediction import find_sources, load_model, predict_files
from mmseg_picie.apis.report import write_report
from mmseg_picie.clustering.naming import distinct_palette
from mmseg_picie.datasets.scenes.synthetic_scenes import draw_scene
from mmseg_picie.evaluation.label_files import write_image

K = 9
RED, BLUE = '#c00000', '#0000c0'


@pytest.fixture
def model(tiny_config):
    """A tiny model with random centroids."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(tiny_config().model)
    head = model.decode_head
    head.set_centroids(torch.randn_like(head.centroids), torch.ones_like(head.cluster_counts))
    return model


@pytest.fixture
def checkpoint(model, tmp_path):
    """Its checkpoint, with an optimiser."""
    path = tmp_path / 'epoch.pth'
    content = dict(meta=dict(epoch=3), state_dict=model.state_dict(), optimizer=dict(state={}))
    torch.save(content, path)
    return path


@pytest.fixture
def write_names(tmp_path, model):
    """Write a file of names for the model; keyword arguments replace its entries."""

    def write(*clusters, **entries):
        found = dict(
            format='mmseg_picie names',
            version=1,
            model=fingerprint(model.state_dict()),
            view=0,
            clusters=list(clusters),
        )
        path = tmp_path / 'names.json'
        path.write_text(json.dumps(found | entries))
        return path

    return write


def named(number, name, colour=RED):
    return dict(id=number, name=name, colour=colour)


def test_the_fingerprint_is_of_the_weights_and_not_of_names(model, checkpoint, tiny_config):
    before = fingerprint(model.state_dict())
    model.decode_head.store_map([0], torch.arange(K)[None], dict(classes=list('abcdefghi')))
    assert fingerprint(model.state_dict()) == before
    loaded = load_model(tiny_config(), str(checkpoint), 'cpu')  # in another memory format
    assert fingerprint(loaded.state_dict()) == before
    with torch.no_grad():
        model.decode_head.centroids[0, 0, 0] += 1e-6
    assert fingerprint(model.state_dict()) != before


def test_the_report_tells_the_fingerprint_of_its_checkpoint(
    model, checkpoint, tiny_config, tmp_path
):
    image, _ = draw_scene(1, 0, 64, 96)
    write_image(str(tmp_path / 'image.png'), image)
    loaded = load_model(tiny_config(), str(checkpoint), 'cpu')
    write_report(tmp_path / 'report.html', loaded, find_sources([str(tmp_path / 'image.png')]))
    assert fingerprint(model.state_dict()) in (tmp_path / 'report.html').read_text()


def test_names_reach_all_that_predicts(write_names, checkpoint, tiny_config, tmp_path):
    names = write_names(named(2, 'grass'), named(5, 'grass'), named(7, 'sky', BLUE))
    out = tmp_path / 'named.pth'
    called = name_checkpoint(checkpoint, names, out)
    expected = [f'cluster {k}' for k in range(K)]
    expected[2] = expected[5] = 'grass'
    expected[7] = 'sky'
    palette = distinct_palette(K)
    palette[2] = palette[5] = [192, 0, 0]
    palette[7] = [0, 0, 192]
    assert called == expected
    config = tiny_config()
    for meta in (
        init_model(config, str(out), 'cpu').dataset_meta,
        torch.load(out, weights_only=False)['meta']['dataset_meta'],
    ):
        assert list(meta['classes']) == expected and meta['palette'] == palette
    for number in range(3):
        write_image(str(tmp_path / f'{number}.png'), draw_scene(1, number, 64, 96)[0])
    inferencer = MMSegInferencer(str(tmp_path / 'tiny.py'), str(out), device='cpu')
    inferencer(str(tmp_path / '0.png'), out_dir=str(tmp_path / 'inferred'))
    assert list(inferencer.visualizer.dataset_meta['classes']) == expected
    model = load_model(config, str(out), 'cpu')
    predict_files(model, find_sources([str(tmp_path / '1.png')]), str(tmp_path / 'out'))
    legend = json.loads((tmp_path / 'out' / 'legend.json').read_text())
    assert {int(key) for key in legend} == {0, 1, 255}
    assert legend['0']['name'] == 'grass' and legend['1'] == legend['1'] | dict(
        name='sky', colour=[0, 0, 192]
    )


def test_the_original_is_kept_unless_it_is_asked_for(write_names, checkpoint, tmp_path):
    names, before = write_names(named(2, 'grass')), checkpoint.read_bytes()
    name_checkpoint(checkpoint, names, tmp_path / 'named.pth')
    assert checkpoint.read_bytes() == before
    assert 'optimizer' not in torch.load(tmp_path / 'named.pth', weights_only=False)
    name_checkpoint(checkpoint, names, checkpoint)
    content = torch.load(checkpoint, weights_only=False)
    assert content['meta']['epoch'] == 3 and 'optimizer' in content


def test_a_model_file_stays_one(model, write_names, tiny_config, tmp_path):
    write_model(tmp_path / 'model.pth', model, tiny_config())
    name_checkpoint(tmp_path / 'model.pth', write_names(named(2, 'grass')), tmp_path / 'named.pth')
    assert read_model(tmp_path / 'named.pth').dataset_meta['classes'][2] == 'grass'


def test_a_hand_goes_before_labels_and_classes_keep_their_numbers():
    meta = dict(classes=['sky', 'road', 'tree'], palette=[[1] * 3, [2] * 3, [3] * 3], dataset='D')
    given = {0: Named('car', (9, 9, 9)), 1: Named('road', (8, 8, 8)), 3: Named(None, None)}
    row, merged = merge_names([1, 0, 2, 2, -1], meta, given)
    assert row == [3, 1, 2, -1, -1]
    assert merged == dict(
        classes=['sky', 'road', 'tree', 'car'],
        palette=[[1] * 3, [8] * 3, [3] * 3, [9, 9, 9]],
        dataset='D',
        num_by_hand=1,
    )


def test_names_of_earlier_hands_go_when_no_cluster_has_them():
    row, meta = merge_names([-1, -1], {}, {0: Named('a', (1, 1, 1)), 1: Named('b', (2, 2, 2))})
    assert (row, meta['classes']) == ([0, 1], ['a', 'b'])
    row, meta = merge_names(row, meta, {0: Named('c', (1, 1, 1))})
    assert (row, meta['classes'], meta['num_by_hand']) == ([0, 1], ['c', 'b'], 2)
    row, meta = merge_names(row, meta, {0: Named(None, None), 1: Named(None, None)})
    assert (row, meta['classes'], meta['num_by_hand']) == ([-1, -1], [], 0)


def test_classes_of_one_name_keep_their_numbers():
    meta = dict(classes=['void', 'sky', 'void'], palette=[[1] * 3, [2] * 3, [3] * 3])
    row, merged = merge_names([2, 0, 1], meta, {1: Named('road', (9, 9, 9))})
    assert (row, merged['classes']) == ([2, 3, 1], ['void', 'sky', 'void', 'road'])


def test_another_view_follows_when_a_name_goes(write_names, checkpoint, tmp_path):
    first, second = tmp_path / 'first.pth', tmp_path / 'second.pth'
    name_checkpoint(checkpoint, write_names(named(0, 'a'), named(1, 'b', BLUE)), first)
    content = torch.load(first, weights_only=False)
    content['state_dict']['decode_head.cluster_to_class'][1, :3] = torch.tensor([0, 1, 1])
    torch.save(content, first)
    name_checkpoint(first, write_names(dict(id=0, name=None)), second)
    table = torch.load(second, weights_only=False)['state_dict']['decode_head.cluster_to_class']
    assert table[0, :3].tolist() == [-1, 0, -1]
    assert table[1, :3].tolist() == [-1, 0, 0]


def test_names_that_are_given_again_change_nothing(write_names, checkpoint, tmp_path):
    names = write_names(named(2, 'grass'), named(5, 'sky', BLUE))
    first, second = tmp_path / 'first.pth', tmp_path / 'second.pth'
    name_checkpoint(checkpoint, names, first)
    name_checkpoint(first, names, second)
    states = [torch.load(path, weights_only=False)['state_dict'] for path in (first, second)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_clusters_that_are_not_listed_stay_and_other_views_keep_their_classes(
    model, write_names, checkpoint, tmp_path
):
    head = model.decode_head
    rows = torch.stack([torch.arange(K), torch.arange(K).flip(0)])
    head.store_map([0, 1], rows, dict(classes=[f'class {i}' for i in range(K)]))
    torch.save(dict(meta={}, state_dict=model.state_dict()), checkpoint)
    out = tmp_path / 'named.pth'
    called = name_checkpoint(checkpoint, write_names(named(4, 'mine')), out)
    assert called == [f'class {i}' if i != 4 else 'mine' for i in range(K)]
    state = torch.load(out, weights_only=False)['state_dict']
    assert torch.equal(state['decode_head.cluster_to_class'][1], rows[1])


def test_another_model_is_refused(write_names, model, checkpoint, tmp_path):
    names = write_names(named(2, 'grass'))
    state = model.state_dict()
    state['decode_head.centroids'] = state['decode_head.centroids'] + 1
    torch.save(dict(meta={}, state_dict=state), checkpoint)
    with pytest.raises(ValueError, match='is for another model'):
        name_checkpoint(checkpoint, names, tmp_path / 'out.pth')
    assert not (tmp_path / 'out.pth').exists()
    torch.save(dict(weight=torch.zeros(3)), checkpoint)
    with pytest.raises(ValueError, match='no clusters that could be named'):
        name_checkpoint(checkpoint, names, tmp_path / 'out.pth')


FAULTS = {
    'unknown id': ([named(9, 'a')], 'only the clusters 0 to 8'),
    'negative id': ([named(-1, 'a')], 'must have an "id"'),
    'id of text': ([named('2', 'a')], 'must have an "id"'),
    'no id': ([dict(name='a')], 'must have an "id"'),
    'no entry': (['grass'], 'must have an "id"'),
    'twice': ([named(2, 'a'), named(2, 'b')], 'names cluster 2 twice'),
    'empty name': ([named(2, '')], 'must not be empty'),
    'blank name': ([named(2, '  ')], 'must not be empty'),
    'name of a number': ([named(2, 7)], 'must not be empty'),
    'long name': ([named(2, 'x' * 61)], 'at most 60 letters'),
    'two lines': ([named(2, 'a\nb')], 'can be printed'),
    'default of another': ([named(2, 'cluster 3')], 'what another cluster is called'),
    'colour of words': ([named(2, 'a', 'red')], 'must be written as #rrggbb'),
    'no colour': ([dict(id=2, name='a')], 'must be written as #rrggbb'),
    'one name': ([named(2, 'a', RED), named(3, 'a', BLUE)], 'both called .a., .* two colours'),
    'one colour': ([named(2, 'a', RED), named(3, 'b', RED)], 'have the same colour, #c00000'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_what_makes_no_sense_is_refused_in_a_sentence(write_names, checkpoint, tmp_path, fault):
    clusters, message = FAULTS[fault]
    with pytest.raises(ValueError, match=message) as error:
        name_checkpoint(checkpoint, write_names(*clusters), tmp_path / 'out.pth')
    assert 'names.json' in str(error.value) and '\n' not in str(error.value)
    assert not (tmp_path / 'out.pth').exists()


@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        (dict(format='other'), "its format is 'other'"),
        (dict(version=2), 'must be of version 1'),
        (dict(view=5), 'for the clusters of view 5'),
        (dict(view='x'), 'must hold "model"'),
        (dict(clusters={}), 'must hold "model"'),
        (dict(model=3), 'must hold "model"'),
    ],
)
def test_a_file_of_another_kind_is_refused(write_names, checkpoint, tmp_path, entries, message):
    with pytest.raises(ValueError, match=message):
        name_checkpoint(checkpoint, write_names(**entries), tmp_path / 'out.pth')


def test_two_classes_that_had_one_colour_before_are_let_be(
    model, write_names, checkpoint, tmp_path
):
    palette = np.full((K, 3), 192)
    palette[:, 1:] = 0
    meta = dict(classes=[f'class {i}' for i in range(K)], palette=palette.tolist())
    model.decode_head.store_map([0], torch.arange(K)[None], meta)
    torch.save(dict(meta={}, state_dict=model.state_dict()), checkpoint)
    names = write_names(named(1, 'class 1'), named(2, 'class 2'))
    assert name_checkpoint(checkpoint, names, tmp_path / 'out.pth')[1:3] == ['class 1', 'class 2']
