"""A release holds the model of a training, and figures of that model alone."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.apis import inference_model, init_model
from mmseg.registry import MODELS

import mmseg_picie
from mmseg_picie.apis.model_file import read_facts, read_model
from mmseg_picie.apis.model_index import read_index
from mmseg_picie.apis.release import make_release
from mmseg_picie.cli import main
from mmseg_picie.datasets.scenes import draw_scene

SCORES = {'aAcc': 61.25, 'mIoU': 33.5, 'mAcc': 40.0}
#: A match of 9 clusters with classes, of both views.
MATCH = [[3, 1, -1, 0, 2, -1, -1, 4, -1], [0, 1, 2, 3, 4, 5, 6, 7, 8]]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('MMSEG_PICIE_HOME', str(tmp_path / 'home'))
    monkeypatch.delenv('MMSEG_PICIE_MODELS', raising=False)
    monkeypatch.chdir(tmp_path)


def write_log(work: Path, *records: dict, start: str = '20260102_030405') -> None:
    path = work / start / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(json.dumps(record) + '\n' for record in records))


def write_checkpoint(work: Path, state: dict, **meta: object) -> None:
    meta = dict(epoch=3, iter=15, seed=7, time='20260102_030405') | meta
    optimizer = dict(state=torch.zeros(10**6))
    torch.save(dict(meta=meta, state_dict=state, optimizer=optimizer), work / 'epoch_3.pth')


@pytest.fixture
def work(tmp_path, tiny_config) -> Path:
    """The work folder of a training that is over, as mmengine and this project's hooks leave it."""
    config = tiny_config({'train_cfg.max_epochs': 3}, 'mine')
    work = Path(config.work_dir)
    work.mkdir()
    config.dump(work / 'mine.py')
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    head = model.decode_head
    head.set_centroids(torch.randn_like(head.centroids), torch.ones_like(head.cluster_counts))
    names = dict(classes=list('abcdefghi'), palette=[[i, 2, 3] for i in range(9)])
    head.store_map([0, 1], torch.tensor(MATCH), names)
    write_checkpoint(work, model.state_dict())
    (work / 'last_checkpoint').write_text('/gone/epoch_3.pth')
    counts = dict(epoch=3, classes=list('abcdefghi'), views=[0, 1], cluster_to_class=MATCH)
    (work / 'last_validation.json').write_text(json.dumps(counts))
    before = dict(aAcc=1.0, mIoU=2.0, step=2)
    write_log(work, dict(loss=3.5, step=5), before, dict(SCORES, time=0.1, data_time=0.2, step=3))
    return work


def test_a_release_holds_all_that_is_to_be_known(work, tmp_path):
    main(['release', str(work), '--out', 'zoo'])
    model = read_index(tmp_path / 'zoo')['mine']
    weights = tmp_path / 'zoo' / model.file
    folder = weights.parent
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert (model.sha256, model.size) == (digest, weights.stat().st_size)
    assert weights.name == f'mine-{digest[:8]}.pth' and folder == tmp_path / 'zoo' / 'mine'
    assert model.scores == {'aAcc': 61.25, 'mIoU': 33.5}
    assert json.loads((folder / 'scores.json').read_bytes())['scores'] == SCORES
    config = Config.fromfile(folder / 'config.py')
    assert config.model == Config.fromfile(work / 'mine.py').model and 'work_dir' not in config
    logged = [json.loads(line) for line in (folder / 'log.jsonl').read_text().splitlines()]
    assert logged[0] == dict(loss=3.5, step=5) and len(logged) == 3
    (entry,) = yaml.safe_load((folder / 'metafile.yml').read_text())['Models']
    assert entry['Results'][0]['Metrics'] == model.scores
    assert entry['Weights'] == weights.name and entry['Metadata']['Epochs'] == 3
    card = (folder / 'README.md').read_text()
    for word in (digest, '61.25', '33.50', 'seed 7', 'Apache-2.0', 'synthetic scenes', '3 epochs'):
        assert word in card, word
    assert '{' not in card.replace('{{', '') and str(tmp_path) not in card
    sums = dict(line.split('  ')[::-1] for line in (folder / 'SHA256SUMS').read_text().splitlines())
    files = {path.name for path in folder.iterdir()} - {'SHA256SUMS'}
    assert set(sums) == files
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_scores_of_commands_that_train_nothing_are_no_scores_of_the_training(work, tmp_path):
    """`picie store-map` and `fit-centroids` log into the work folder."""
    write_log(work, dict(aAcc=9.0, mIoU=9.0, step=0), start='20260103_000000')
    done = make_release(work, tmp_path / 'zoo')
    assert done.model.scores == {'aAcc': 61.25, 'mIoU': 33.5}
    assert 'step": 0' not in (done.folder / 'log.jsonl').read_text()


def test_the_log_is_without_what_no_later_start_has_taken_up(work, tmp_path):
    """A training went back to its second epoch, and then came to its end."""
    first = [dict(loss=9.0, epoch=epoch, iter=5 * epoch, step=5 * epoch) for epoch in (1, 2, 3)]
    write_log(work, *first, dict(SCORES, step=3), start='20260101_000000')
    second = [dict(one, loss=3.0) for one in first[1:]] + [dict(SCORES, step=3)]
    write_log(work, *second)
    lines = (make_release(work, tmp_path / 'zoo').folder / 'log.jsonl').read_text().splitlines()
    assert [json.loads(line) for line in lines] == [first[0], *second]


def test_the_batch_is_that_of_all_ranks_and_accumulated_gradients(work, tmp_path):
    config = Config.fromfile(work / 'mine.py')
    config.optim_wrapper.accumulative_counts = 2
    config.dump(work / 'mine.py')
    stored = torch.load(work / 'epoch_3.pth', weights_only=True)
    write_checkpoint(work, stored['state_dict'], world_size=3)
    folder = make_release(work, tmp_path / 'zoo').folder
    batch = 6 * config.train_dataloader.batch_size
    assert f'steps of {batch} images' in (folder / 'README.md').read_text()
    (entry,) = yaml.safe_load((folder / 'metafile.yml').read_text())['Models']
    assert entry['Metadata']['Batch Size'] == batch


def test_the_model_is_that_of_the_training_without_optimiser(work, tmp_path):
    done = make_release(work, tmp_path / 'zoo')
    path = tmp_path / 'zoo' / done.model.file
    stored = torch.load(path, weights_only=True)
    trained = torch.load(work / 'epoch_3.pth', weights_only=True)['state_dict']
    assert set(stored) == {'meta', 'state_dict'}
    assert stored['state_dict'].keys() == trained.keys()
    for name, value in stored['state_dict'].items():
        assert torch.equal(value, trained[name]), name
    facts = read_facts(path)
    assert (facts['seed'], facts['epochs'], facts['clusters']) == (7, 3, 9)
    assert facts['trained'] == '20260102'


def test_the_same_training_gives_the_same_bytes(work, tmp_path):
    folders = [make_release(work, tmp_path / out, 'net').folder for out in ('a', 'b')]
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    assert contents[0] == contents[1]


def test_its_name_leads_to_config_and_checkpoint(work, tmp_path, monkeypatch):
    """Both halves of mmseg's own `init_model`, and `picie segment`, take the name."""
    done = make_release(work, tmp_path / 'zoo', 'net-1')
    monkeypatch.setenv('MMSEG_PICIE_MODELS', str(tmp_path / 'zoo'))
    config = mmseg_picie.get_config('net-1')
    path = mmseg_picie.get_checkpoint('net-1')
    assert path == str(tmp_path / 'zoo' / done.model.file)
    model = init_model(config, path, device='cpu')
    expected = init_model(str(work / 'mine.py'), str(work / 'epoch_3.pth'), device='cpu')
    image = draw_scene(1, 0, 64, 96)[0].copy()
    given, wanted = (inference_model(one, image).pred_sem_seg.data for one in (model, expected))
    assert torch.equal(given, wanted)
    assert list(model.dataset_meta['classes'])[0] == 'd'
    Path('photos').mkdir()
    torch.set_num_threads(1)
    from PIL import Image

    Image.fromarray(image).save('photos/a.png')
    result = main(['segment', '--model', 'net-1', 'photos', '--out', 'found', '--device', 'cpu'])
    assert result.maps['a'].shape == (64, 96)
    words = r'no ready config net-2.* no released model of that name \(did you mean net-1\?\)'
    with pytest.raises(FileNotFoundError, match=words):
        mmseg_picie.get_config('net-2')
    monkeypatch.setenv('MMSEG_PICIE_MODELS', 'gone')
    words = 'no ready config net-1.* no released model .* MMSEG_PICIE_MODELS: gone must be a folder'
    with pytest.raises(FileNotFoundError, match=words):
        mmseg_picie.get_config('net-1')


def test_rounded_weights_are_scored_anew_and_those_scores_count(work, tmp_path):
    done = make_release(work, tmp_path / 'zoo', half=True)
    folder = done.folder
    path = tmp_path / 'zoo' / done.model.file
    trained = torch.load(work / 'epoch_3.pth', weights_only=True)['state_dict']
    stored = torch.load(path, weights_only=True)['state_dict']
    halves = {name for name, value in stored.items() if value.dtype == torch.float16}
    assert halves == {
        name for name, x in trained.items() if x.ndim > 1 and name.endswith('.weight')
    }
    for name in halves:
        assert torch.equal(stored[name], trained[name].half())
    assert all(torch.equal(stored[name], x) for name, x in trained.items() if name not in halves)
    assert {p.dtype for p in read_model(path).parameters()} == {torch.float32}
    # By `picie test`, which reads the file of the release.
    main(['test', str(work / 'mine.py'), str(path), '--work-dir', 'again', '--out', 'maps'])
    (log,) = Path('again').glob('*/*.json')
    again = json.loads(log.read_text())
    assert done.model.scores == {key: round(again[key], 2) for key in ('aAcc', 'mIoU')}
    told = json.loads((folder / 'scores.json').read_bytes())
    assert told['training'] == SCORES and told['log'] == 'validation.jsonl'
    validation = json.loads((folder / 'validation.jsonl').read_bytes())
    assert told['scores'] == validation
    assert done.rounding['mIoU'] == pytest.approx(validation['mIoU'] - 33.5)


def test_weights_beyond_float16_are_not_rounded(work, tmp_path):
    path = work / 'epoch_3.pth'
    state = torch.load(path, weights_only=True)['state_dict']
    state['backbone.conv1.weight'][0, 0, 0, 0] = 7e4
    write_checkpoint(work, state)
    with pytest.raises(ValueError, match=r'backbone\.conv1\.weight has values beyond'):
        make_release(work, tmp_path / 'zoo', half=True)
    assert not list((tmp_path / 'zoo').glob('[!.]*'))


def spoil_epoch(work: Path) -> None:
    state = torch.load(work / 'epoch_3.pth', weights_only=True)['state_dict']
    write_checkpoint(work, state, epoch=2)


def spoil_match(work: Path) -> None:
    path = work / 'last_validation.json'
    counts = json.loads(path.read_text())
    counts['cluster_to_class'][0][0] = 5
    path.write_text(json.dumps(counts))


def spoil_scores(work: Path) -> None:
    write_log(work, dict(aAcc=1.0, mIoU=2.0, step=2))


def spoil_log(work: Path) -> None:
    write_log(work, dict(loss=1.0, step=5))


@pytest.mark.parametrize(
    ('spoil', 'options', 'words'),
    [
        (spoil_epoch, {}, 'epoch_3.pth is of 2 of 3 epochs'),
        (spoil_match, {}, 'other classes of its clusters than last_validation.json'),
        (spoil_scores, {}, 'must have a validation of epoch_3.pth, but the last one is of step 2'),
        (spoil_log, {}, 'must have a validation of epoch_3.pth, but there is none'),
        (None, dict(name='a/b'), 'the name of a model must begin'),
        (None, dict(name='..'), 'the name of a model must begin'),
        (None, dict(name='picie_fpn_r18_scenes'), 'that of a ready config, but the training had'),
        (None, dict(licence=' '), 'licence must say under which licence the weights are'),
    ],
)
def test_what_is_no_release_is_refused_and_leaves_nothing(work, tmp_path, spoil, options, words):
    if spoil:
        spoil(work)
    with pytest.raises(ValueError, match=re.escape(words)):
        make_release(work, tmp_path / 'zoo', **options)
    assert not (tmp_path / 'zoo').exists()


def test_a_release_that_cannot_be_listed_is_not_left_behind(work, tmp_path):
    place = tmp_path / 'zoo' / 'models.json'
    place.parent.mkdir()
    place.write_text('{')
    with pytest.raises(ValueError, match=r'models\.json must be a list of models'):
        make_release(work, tmp_path / 'zoo')
    place.unlink()
    place.mkdir()
    with pytest.raises(IsADirectoryError):
        make_release(work, tmp_path / 'zoo')
    assert not list((tmp_path / 'zoo').glob('[!.]*/*'))
    place.rmdir()
    assert make_release(work, tmp_path / 'zoo').folder.is_dir()


def test_a_release_is_not_written_over(work, tmp_path):
    make_release(work, tmp_path / 'zoo')
    with pytest.raises(ValueError, match='is there already; remove it, or give another --name'):
        make_release(work, tmp_path / 'zoo')
    make_release(work, tmp_path / 'zoo', 'other')
    assert sorted(read_index(tmp_path / 'zoo')) == ['mine', 'other']


@pytest.mark.parametrize('missing', ['licence', 'data_licence'])
def test_licences_of_data_of_others_must_be_given(work, tmp_path, missing):
    text = (work / 'mine.py').read_text().replace('SyntheticScenesDataset', 'CamVidDataset')
    (work / 'mine.py').write_text(text)
    options = dict(licence='MIT', data_licence='research alone; not to be passed on')
    with pytest.raises(ValueError, match=f'^{missing} must say'):
        make_release(work, tmp_path / 'zoo', **(options | {missing: None}))
    done = make_release(work, tmp_path / 'zoo', **options)
    assert (done.model.data, done.model.licence) == ('CamVid', 'MIT')
    assert options['data_licence'] in (done.folder / 'README.md').read_text()


def test_words_of_a_licence_keep_to_their_cell(work, tmp_path):
    done = make_release(work, tmp_path / 'zoo', licence='MIT | BSD\nor later')
    card = (done.folder / 'README.md').read_text()
    assert '\n| licence of the weights | MIT \\| BSD or later |\n' in card
    assert done.model.licence == 'MIT | BSD\nor later'


def test_paths_of_the_machine_are_told(work, tmp_path):
    config = Config.fromfile(work / 'mine.py')
    config.train_dataloader.dataset.data_root = '/mnt/mine'
    config.dump(work / 'mine.py')
    done = make_release(work, tmp_path / 'zoo')
    assert done.paths == ['train_dataloader.dataset.data_root=/mnt/mine']
