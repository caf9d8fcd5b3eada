"""`picie report` and `picie name`, from a training to a named model, and what they refuse."""

import json
import re

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_picie.apis.cluster_names import fingerprint
from mmseg_picie.apis.model_file import write_model
from mmseg_picie.apis.model_store import get_checkpoint
from mmseg_picie.apis.prediction import load_model
from mmseg_picie.cli import main
from mmseg_picie.datasets.scenes.synthetic_scenes import draw_scene


@pytest.fixture
def names(tiny, tmp_path):
    """A file of names for the tiny model."""
    state = torch.load(tiny.checkpoint, weights_only=False)['state_dict']
    view = Config.fromfile(tiny.config).model.decode_head.get('predict_views', (0,))[0]
    content = dict(format='mmseg_picie names', version=1, model=fingerprint(state), view=view)
    content['clusters'] = [dict(id=1, name='grass', colour='#00c000')]
    path = tmp_path / 'names.json'
    path.write_text(json.dumps(content))
    return path


def test_a_checkpoint_gets_a_report_of_the_images_of_its_training(tiny, tmp_path, capsys):
    """These are scenes, which are no files."""
    out = tmp_path / 'report.html'
    main(['report', str(tiny.checkpoint), '--config', str(tiny.config), '--out', str(out)])
    assert re.search(r'report.html: 4 images, 0\.\d MB', capsys.readouterr().out)
    page = out.read_text()
    assert page.count('class="thumb"') == 4
    assert 'All 4 images.' in page


def test_a_model_file_needs_no_config(tiny, tmp_path, sentence, capfd):
    """Nor does it name images, unless it lies among the results of `picie segment`."""
    config, folder = Config.fromfile(tiny.config), tmp_path / 'results'
    folder.mkdir()
    write_model(folder / 'model.pth', load_model(config, str(tiny.checkpoint), 'cpu'), config)
    out = ('--out', tmp_path / 'report.html')
    told = sentence('report', folder / 'model.pth', *out)
    assert 'says which images it was trained on; give a folder of images by --images' in told
    told = sentence('report', folder, '--cfg-options', 'a=1', *out)
    assert 'a model file holds its own settings' in told
    (tmp_path / 'images').mkdir()
    Image.fromarray(draw_scene(1, 0, 64, 96)[0]).save(tmp_path / 'images' / 'a.png')
    settings = dict(folder=str(tmp_path / 'images'))
    (folder / 'run.json').write_text(json.dumps(dict(settings=settings)))
    main(['report', str(folder), *map(str, out)])
    assert 'report.html: 1 image,' in capfd.readouterr().out


def test_names_go_from_the_report_into_predictions(tiny, names, tmp_path, capsys):
    out = tmp_path / 'named.pth'
    called = main(['name', str(tiny.checkpoint), str(names), '--out', str(out)])
    assert called[1] == 'grass' and '1  grass' in capsys.readouterr().out
    Image.fromarray(draw_scene(1, 0, 64, 96)[0]).save(tmp_path / 'image.png')
    words = [str(tiny.config), str(out), str(tmp_path / 'image.png')]
    main(['predict', *words, '--out-dir', str(tmp_path / 'out')])
    legend = json.loads((tmp_path / 'out' / 'legend.json').read_text())
    assert legend['0'] == legend['0'] | dict(name='grass', colour=[0, 192, 0])
    page = tmp_path / 'report.html'
    words = [str(out), '--config', str(tiny.config), '--images', str(tmp_path / 'image.png')]
    main(['report', *words, '--out', str(page)])
    assert 'value="grass"' in page.read_text()


def test_without_out_the_named_checkpoint_lies_beside_the_original(tiny, names, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    path.write_bytes(tiny.checkpoint.read_bytes())
    main(['name', str(path), str(names)])
    assert (tmp_path / 'epoch_1_named.pth').is_file()
    assert path.read_bytes() == tiny.checkpoint.read_bytes()


def test_report_refuses_bad_input_in_one_sentence(tiny, sentence, tmp_path):
    (tmp_path / 'empty').mkdir()
    assert 'no released model of that name' in sentence('report', 'nowhere')
    assert 'there is no checkpoint file a/nowhere; check' in sentence('report', 'a/nowhere')
    assert 'holds no checkpoint' in sentence('report', 'empty')
    given = ('report', tiny.checkpoint, '--config')
    assert 'there is no file none.py' in sentence(*given, 'none.py')
    given = (*given, tiny.config)
    assert 'nowhere does not exist' in sentence(*given, '--images', 'nowhere')
    assert 'holds no image' in sentence(*given, '--images', 'empty')
    lost = ('--cfg-options', 'train_dataloader.dataset.type=ImageFolderDataset')
    lost += ('train_dataloader.dataset._delete_=True', 'train_dataloader.dataset.data_root=gone')
    assert 'the images that the config trains on are not there' in sentence(*given, *lost)
    assert 'there is no folder nowhere' in sentence(*given, '--labels', 'nowhere')
    assert 'no label map of these images' in sentence(*given, '--labels', 'empty')
    assert 'cannot be used' in sentence(*given, '--device', 'cuda:77')
    assert 'must be a file' in sentence(*given, '--out', tmp_path)
    (tmp_path / 'text.png').write_text('no image')
    assert 'none of 1 images can be read' in sentence(*given, '--images', 'text.png')
    assert not (tmp_path / 'report.html').exists()


def test_name_refuses_bad_input_in_one_sentence(tiny, names, sentence, tmp_path):
    assert 'there is no checkpoint file none.pth' in sentence('name', 'none.pth', names)
    assert 'there is no file none.json' in sentence('name', tiny.checkpoint, 'none.json')
    out = ('--out', tmp_path / 'out.pth')
    (tmp_path / 'text.json').write_text('no JSON')
    assert 'must be a JSON file' in sentence('name', tiny.checkpoint, 'text.json', *out)
    (tmp_path / 'text.pth').write_text('no checkpoint')
    assert 'must be a checkpoint' in sentence('name', 'text.pth', names, *out)
    content = json.loads(names.read_text()) | dict(model='0' * 64)
    (tmp_path / 'other.json').write_text(json.dumps(content))
    assert 'is for another model' in sentence('name', tiny.checkpoint, 'other.json', *out)
    assert not (tmp_path / 'out.pth').exists()


def test_a_released_model_is_taken_by_its_name(tmp_path, monkeypatch, capsys):
    """What is written lies in the folder of the user, not where models are kept."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_scene(1, 0, 64, 96)[0]).save('image.png')
    name = 'picie-m_fpn_efficientnet-lite0_scenes'
    main(['report', name, '--images', 'image.png'])
    assert 'report.html: 1 image,' in capsys.readouterr().out
    state = torch.load(get_checkpoint(name), weights_only=True)['state_dict']
    content = dict(format='mmseg_picie names', version=1, model=fingerprint(state), view=0)
    content['clusters'] = [dict(id=1, name='grass', colour='#00c000')]
    (tmp_path / 'names.json').write_text(json.dumps(content))
    assert main(['name', name, 'names.json'])[1] == 'grass'
    assert f'{name}_named.pth' in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == [f'{name}_named.pth']
