"""The models that ship: whole, true to their logs, and found by their names."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from mmengine.config import Config
from mmseg.apis import inference_model, init_model

import mmseg_picie
from mmseg_picie.apis.model_index import read_index
from mmseg_picie.cli import main
from mmseg_picie.clustering import UNMATCHED
from mmseg_picie.datasets.scenes import draw_scene

ROOT = Path(__file__).parents[1]
ZOO = ROOT / 'model_zoo'
MODELS = read_index(ZOO)


@pytest.fixture(autouse=True)
def none_but_those(tmp_path, monkeypatch):
    monkeypatch.setenv('MMSEG_PICIE_HOME', str(tmp_path / 'home'))
    monkeypatch.delenv('MMSEG_PICIE_MODELS', raising=False)
    monkeypatch.chdir(tmp_path)


def test_there_are_some_and_the_package_stays_small():
    assert MODELS
    assert {model.file.split('/')[0] for model in MODELS.values()} == {
        path.name for path in ZOO.iterdir() if path.is_dir()
    }
    assert sum(path.stat().st_size for path in ZOO.rglob('*') if path.is_file()) < 15e6


@pytest.mark.parametrize('name', MODELS)
def test_every_file_is_the_one_that_was_released(name):
    folder = ZOO / name
    lines = (folder / 'SHA256SUMS').read_text().splitlines()
    sums = dict(line.split('  ')[::-1] for line in lines)
    assert set(sums) == {path.name for path in folder.iterdir()} - {'SHA256SUMS'}
    for file, digest in sums.items():
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest, file
    model = MODELS[name]
    assert sums[model.file.removeprefix(f'{name}/')] == model.sha256
    assert (ZOO / model.file).stat().st_size == model.size


@pytest.mark.parametrize('name', MODELS)
def test_figures_are_those_of_the_log_beside_them(name):
    folder, model = ZOO / name, MODELS[name]
    told = json.loads((folder / 'scores.json').read_bytes())
    last = json.loads((folder / told['log']).read_text().splitlines()[-1])
    assert {key: last[key] for key in told['scores']} == told['scores']
    trained = [json.loads(line) for line in (folder / 'log.jsonl').read_text().splitlines()]
    (trained,) = [line for line in trained if line.get('step') == told['of'] and 'mIoU' in line]
    assert {key: trained[key] for key in told['training']} == told['training']
    (entry,) = yaml.safe_load((folder / 'metafile.yml').read_text())['Models']
    assert entry['Name'] == name and entry['Metadata']['SHA256'] == model.sha256
    assert model.scores == entry['Results'][0]['Metrics'] == {k: last[k] for k in model.scores}
    assert entry['Metadata']['Epochs'] == told['of']
    card = (folder / 'README.md').read_text()
    rows = dict(re.findall(r'^\| (pixel accuracy|mIoU) \| ([\d.]+) \|', card, re.MULTILINE))
    found = {'pixel accuracy': model.scores['aAcc'], 'mIoU': model.scores['mIoU']}
    assert {title: float(text) for title, text in rows.items()} == found


@pytest.mark.parametrize('name', MODELS)
def test_a_model_is_of_the_ready_config_of_its_name(name):
    stored, ready = Config.fromfile(ZOO / name / 'config.py'), mmseg_picie.get_config(name)
    assert stored.model == ready.model and stored.train_dataloader == ready.train_dataloader


@pytest.mark.parametrize('name', MODELS)
def test_the_name_alone_segments(name):
    """A scene that training did not see, by mmseg's own functions."""
    pytest.importorskip('timm')
    model = init_model(mmseg_picie.get_config(name), mmseg_picie.get_checkpoint(name), 'cpu')
    image, labels = draw_scene(1, 0, 128, 192)
    found = inference_model(model, np.ascontiguousarray(image[..., ::-1])).pred_sem_seg.data[0]
    head = model.decode_head
    classes = head.cluster_to_class[head.predict_views[0]].cpu()
    assert (classes != UNMATCHED).any()
    assert (classes[found.cpu()].numpy() == labels).mean() > 0.4


@pytest.mark.slow
@pytest.mark.parametrize('name', MODELS)
def test_scores_are_found_again(name, run_tool):
    """By the command, with the name for both config and checkpoint."""
    pytest.importorskip('timm')
    run_tool('test.py', name, name, '--work-dir', 'again')
    (path,) = Path('again').glob('*/*.json')
    found = json.loads(path.read_text())
    for key, value in MODELS[name].scores.items():
        assert found[key] == pytest.approx(value, abs=0.05)


def test_models_are_listed_without_the_toolbox(capsys):
    listed = main(['models'])
    assert [one.model for one in listed] == [MODELS[name] for name in sorted(MODELS)]
    assert 'picie segment' not in capsys.readouterr().err
