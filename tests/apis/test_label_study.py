"""Proofs for `picie few-labels` and what it is made of."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

from mmseg_picie.apis.backbone_weights import set_weights
from mmseg_picie.apis.label_study import Run, choose_images, summarise
from mmseg_picie.cli import main
from mmseg_picie.datasets.scenes.synthetic_scenes import draw_scene

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs' / 'finetune' / 'fcn_r18_camvid.py'


def test_subsets_are_fixed_nested_and_of_the_asked_size():
    subsets = [choose_images(367, fraction, seed=0) for fraction in (0.05, 0.1, 0.25, 0.5, 1.0)]
    assert [len(subset) for subset in subsets] == [18, 37, 92, 184, 367]
    for small, large in zip(subsets, subsets[1:], strict=False):
        assert set(small) < set(large)
    assert subsets[-1] == list(range(367))
    assert subsets[1] == choose_images(367, 0.1, seed=0) == sorted(subsets[1])
    assert subsets[1] != choose_images(367, 0.1, seed=1)
    assert len(choose_images(3, 0.05, seed=0)) == 1


def test_summary_is_the_mean_and_sample_deviation_over_seeds():
    results = [
        (Run('picie', 'x', 0.1, seed), dict(num_images=37, metrics=dict(mIoU=miou)))
        for seed, miou in ((1, 20.0), (2, 24.0), (3, 28.0))
    ]
    results.append((Run('random', 'none', 0.1, 1), dict(num_images=37, metrics=dict(mIoU=9.0))))
    first, second = summarise(results)
    assert (first['init'], first['mean'], first['std']) == ('picie', 24.0, 4.0)
    assert first['miou'] == {1: 20.0, 2: 24.0, 3: 28.0}
    assert (second['mean'], second['std'], second['num_images']) == (9.0, None, 37)


@pytest.fixture
def weights(tmp_path):
    """A segmentor's checkpoint and a plain backbone, of ResNet-18."""
    init_default_scope('mmseg')
    torch.manual_seed(7)
    state = MODELS.build(dict(type='ResNet', depth=18)).state_dict()
    torch.save(state, tmp_path / 'plain.pth')
    prefixed = {f'backbone.{name}': value for name, value in state.items()}
    torch.save(dict(state_dict=prefixed), tmp_path / 'epoch_3.pth')
    return state


@pytest.mark.parametrize('name', ['plain.pth', 'epoch_3.pth'])
def test_weights_of_a_file_reach_the_backbone(weights, tmp_path, name):
    config = Config.fromfile(CONFIG)
    remark = set_weights(config, str(tmp_path / name))
    assert f'{len(weights)} tensors match' in remark
    model = MODELS.build(config.model)
    model.init_weights()
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, weights[key]), key


def test_other_sources_replace_all_that_the_config_said():
    config = Config.fromfile(CONFIG)
    before = config.model.backbone.to_dict()
    set_weights(config, 'config')
    assert config.model.backbone.to_dict() == before
    set_weights(config, 'torchvision://resnet18')
    expected = dict(type='Pretrained', checkpoint='torchvision://resnet18')
    assert config.model.backbone.init_cfg.to_dict() == expected
    set_weights(config, 'none')
    assert config.model.backbone.init_cfg is None


def test_weights_that_do_not_fit_are_refused(weights, tmp_path):
    config = Config.fromfile(CONFIG)
    config.model.backbone.depth = 50
    with pytest.raises(ValueError, match='does not fit the backbone of the config, ResNet'):
        set_weights(config, str(tmp_path / 'plain.pth'))
    with pytest.raises(ValueError, match='there is no checkpoint file .*nowhere.pth'):
        set_weights(config, str(tmp_path / 'nowhere.pth'))


@pytest.mark.parametrize(
    ('words', 'complaint'),
    [
        (['--init', 'none'], 'NAME=SOURCE'),
        (['--init', 'a=none', 'a=config'], 'all different'),
        (['--init', 'a=none', '--fractions', '10'], 'must be in (0, 1]'),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, capsys, words, complaint):
    with pytest.raises(SystemExit):
        main(['few-labels', str(CONFIG), '--out', str(tmp_path / 'out'), *words])
    assert complaint in capsys.readouterr().err


@pytest.fixture
def child(tmp_path) -> Path:
    """A config of two iterations on five made images."""
    for split in ('train', 'val'):
        for index in range(5):
            image, labels = draw_scene(7, index, 72, 96)
            for kind, array in dict(images=image, annotations=labels).items():
                path = tmp_path / 'data' / kind / split / f'{index}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(path)
    loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
    loader['dataset'] = dict(data_root=str(tmp_path / 'data'))
    lines = [
        f'_base_ = {str(CONFIG)!r}',
        'train_cfg = dict(max_iters=2, val_interval=2)',
        *(f'{name}_dataloader = {loader!r}' for name in ('train', 'val', 'test')),
    ]
    path = tmp_path / 'child.py'
    path.write_text('\n'.join(lines))
    return path


@pytest.mark.slow
def test_finished_runs_are_read_and_not_repeated(
    weights, child, tmp_path, capsys, monkeypatch, quick_children
):
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    out = tmp_path / 'out'
    words = [child, '--out', out, '--fractions', 0.4, 1, '--seeds', 1]
    words = [*map(str, words), '--init', f'picie={tmp_path / "epoch_3.pth"}']
    rows = main(['few-labels', *words])
    assert [(row['init'], row['num_images']) for row in rows] == [('picie', 2), ('picie', 5)]
    assert 'tensors match' in capsys.readouterr().out
    results = sorted(out.glob('*/result.json'))
    assert [path.parent.name for path in results] == [
        'picie_100percent_seed1',
        'picie_40percent_seed1',
    ]
    run = Config.fromfile(out / 'picie_40percent_seed1' / 'run.py')
    assert len(run.train_dataloader.dataset.indices) == 2
    assert run.randomness.seed == 1
    assert not list(out.rglob('*.pth'))
    assert json.loads((out / 'summary.json').read_text())['rows'][1]['mean'] == rows[1]['mean']
    assert Image.open(out / 'summary.png').size == (900, 600)

    times = [path.stat().st_mtime_ns for path in results]
    assert main(['few-labels', *words]) == rows
    assert [path.stat().st_mtime_ns for path in results] == times

    with pytest.raises(SystemExit):
        main(['few-labels', *words, '--cfg-options', 'optim_wrapper.optimizer.lr=1'])
    assert 'holds a run with other settings' in capsys.readouterr().err


@pytest.mark.parametrize('source', ['a={foo}.pth', 'a={.pth', 'a={seed'])
def test_braces_of_a_file_are_no_places_for_words(child, capsys, source):
    with pytest.raises(SystemExit) as end:
        main(['few-labels', str(child), '--init', source, '--fractions', '1', '--out', 'out'])
    assert end.value.code == 2
    assert source.removeprefix('a=') in capsys.readouterr().err
