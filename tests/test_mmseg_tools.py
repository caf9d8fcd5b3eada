"""MMSegmentation's own tools, as they lie in the installed toolbox, on a config of this package.

docs/mmseg-tools.md says what each of them gives, and what they do wrong by themselves.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS, MODELS
from PIL import Image

from mmseg_picie.checkpoint_loading import read_checkpoint
from mmseg_picie.datasets import SampleKey
from mmseg_picie.toolbox import find_providers

ROOT = Path(__file__).parents[1]
TOOLS = Path(mmseg.__file__).parent / '.mim' / 'tools'
NUM_TRAINED, NUM_TESTED = 20, 7


class Trained(NamedTuple):
    """A tiny run that mmseg's `train.py` has made."""

    path: Path
    config: Config
    work: Path
    checkpoint: Path


@pytest.fixture(scope='module')
def trained(tmp_path_factory, write_tiny_config, run_script) -> Trained:
    folder = tmp_path_factory.mktemp('trained')
    config = write_tiny_config(folder, {'train_cfg.max_epochs': 1})
    run_script(TOOLS / 'train.py', folder, folder / 'tiny.py')
    work = Path(config.work_dir)
    return Trained(folder / 'tiny.py', config, work, work / 'epoch_1.pth')


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def log_of(trained: Trained) -> Path:
    """The lines of losses and scores of the run."""
    (log,) = trained.work.glob('*/vis_data/scalars.json')
    return log


def labels_of(trained: Trained) -> list[np.ndarray]:
    """The label maps that are tested on."""
    dataset = DATASETS.build(trained.config.test_dataloader.dataset)
    return [item['data_samples'].gt_sem_seg.data[0].numpy() for item in dataset]


def read_folder(folder: Path) -> list[np.ndarray]:
    """The pictures of a folder, in the order of their numbers."""
    files = sorted(folder.iterdir(), key=lambda path: int(re.search(r'\d+', path.name)[0]))
    return [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in files]


def check_train(trained, run, folder):
    again = run(trained.path, '--work-dir', folder, '--resume')  # of nothing
    assert 'mIoU' in again.stdout
    first, second = (read_checkpoint(f / 'epoch_1.pth') for f in (trained.work, folder))
    assert first['state_dict'].keys() == second['state_dict'].keys()
    for name, weight in first['state_dict'].items():
        assert torch.equal(weight, second['state_dict'][name]), name


def check_test(trained, run, folder):
    words = (trained.path, trained.checkpoint, '--work-dir', folder / 'work')
    done = run(*words, '--out', folder / 'out', '--show-dir', folder / 'shown')
    written = read_folder(folder / 'out')
    seen = [labels != 255 for labels in labels_of(trained)]
    hits = [(a == b)[s] for a, b, s in zip(written, labels_of(trained), seen, strict=True)]
    accuracy = 100 * np.concatenate(hits).mean()
    reported = float(re.search(r'stored/aAcc: ([\d.]+)', done.stdout)[1])
    assert reported == pytest.approx(accuracy, abs=0.006)

    shown = read_folder(folder / 'shown' / 'vis_data' / 'vis_image')
    assert [picture.shape for picture in shown] == [(32, 2 * 48, 3)] * NUM_TESTED

    done = run(*words, '--out', folder / 'merged', '--tta')
    assert 'stored/aAcc' in done.stdout and 'view1/aAcc' in done.stdout
    # The pipeline of the augmentation is that of the base config, whose images are larger.
    assert [image.shape for image in read_folder(folder / 'merged')] == [(128, 192)] * NUM_TESTED


def check_browsed(trained, folder):
    """Both views of every image stand side by side, view 0 on the left."""
    dataset = DATASETS.build(trained.config.train_dataloader.dataset)
    pictures = read_folder(folder)
    assert len(pictures) == NUM_TRAINED
    for index, picture in enumerate(pictures):
        views = dataset[SampleKey(0, 0, index)]['inputs']
        assert len(views) == 2
        expected = np.concatenate([view.permute(1, 2, 0).numpy() for view in views], axis=1)
        np.testing.assert_array_equal(picture, expected)


def check_browse(trained, run, folder):
    run(trained.path, '--not-show', '--output-dir', folder / 'views')
    check_browsed(trained, folder / 'views')


def check_browse_by_backends(trained, run, folder):
    run(trained.path, '--not-show', '--output-dir', folder / 'views')
    check_browsed(trained, folder / 'views' / 'vis_data' / 'vis_image')


def check_flops(trained, run, folder):
    printed = run(trained.path, '--shape', 32, 48).stdout
    model = MODELS.build(trained.config.model)
    millions = sum(weight.numel() for weight in model.parameters()) / 1e6
    assert f'Params: {millions:.3f}M' in printed
    few, many = (
        float(re.search(r'Flops: ([\d.]+)M', text)[1])
        for text in (printed, run(trained.path, '--shape', 64, 48).stdout)
    )
    assert many == pytest.approx(2 * few, rel=0.1)  # twice the pixels


def check_config(trained, run, folder):
    printed = run(trained.path, '--graph', '--cfg-options', 'train_cfg.max_epochs=3').stdout
    assert "type='HungarianIoUMetric'" in printed
    written = Config.fromfile(folder / 'example.py')
    assert written.model == trained.config.model
    assert written.train_cfg.max_epochs == 3
    assert 'CentroidHead(' in (folder / 'example-graph.txt').read_text()


def check_publish(trained, run, folder):
    run(trained.checkpoint, folder / 'mine.pth')
    for _ in range(200):  # the tool leaves the last step, `mv`, to a process that it does not await
        if found := list(folder.glob('mine-*.pth')):
            break
        time.sleep(0.05)
    before, after = read_checkpoint(trained.checkpoint), read_checkpoint(found[0])
    assert 'optimizer' in before and 'optimizer' not in after
    assert before['state_dict'].keys() == after['state_dict'].keys()
    for name, weight in before['state_dict'].items():
        assert torch.equal(weight, after['state_dict'][name]), name


def check_logs(trained, run, folder):
    pytest.importorskip('seaborn')
    picture = folder / 'curves.png'
    printed = run(log_of(trained), '--keys', 'loss', 'mIoU', '--out', picture).stdout
    for key in ('loss', 'mIoU'):
        assert f'metric is {key}' in printed
    with Image.open(picture) as curves:
        assert np.asarray(curves.convert('L')).std() > 1


def check_confusion(trained, run, folder):
    test = (trained.path, trained.checkpoint, '--work-dir', folder / 'work', '--out')
    run(*test, folder / 'out', script=TOOLS / 'test.py')
    run(trained.path, folder / 'out', folder / 'matrix')
    with Image.open(folder / 'matrix' / 'confusion_matrix.png') as picture:
        assert np.asarray(picture.convert('L')).std() > 1


def check_speed(trained, run, folder):
    many = Config.fromfile(trained.path)
    many.merge_from_dict({'test_dataloader.dataset.num_images': 200})
    many.dump(folder / 'many.py')
    printed = run(folder / 'many.py', trained.checkpoint, '--work-dir', folder / 'speed').stdout
    speed = float(re.search(r'Overall fps: ([\d.]+) img / s', printed)[1])
    (file,) = (folder / 'speed').glob('fps_*.json')
    assert f'"average_fps": {speed:g}' in file.read_text()


slow, versions = pytest.mark.slow, pytest.mark.versions


not_upstream = pytest.mark.skipif(
    find_providers()['mmseg'].keys() == {'mmsegmentation'},
    reason='fails in upstream MMSegmentation 1.2.2 (docs/mmseg-tools.md)',
)


@pytest.mark.parametrize(
    ('tool', 'check'),
    [
        pytest.param('train.py', check_train, marks=versions),
        pytest.param('test.py', check_test, marks=versions),
        ('analysis_tools/browse_dataset.py', check_browse),
        ('misc/browse_dataset.py', check_browse_by_backends),
        pytest.param('analysis_tools/get_flops.py', check_flops, marks=not_upstream),
        ('misc/print_config.py', check_config),
        ('misc/publish_model.py', check_publish),
        ('analysis_tools/analyze_logs.py', check_logs),
        # It draws 20 million pixels.
        pytest.param('analysis_tools/confusion_matrix.py', check_confusion, marks=slow),
        # It predicts 200 images.
        pytest.param('analysis_tools/benchmark.py', check_speed, marks=slow),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_a_tool_does_what_it_is_for(
    tool: str,
    check: Callable[..., None],
    trained: Trained,
    run_script: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    if not (TOOLS / tool).is_file():
        pytest.skip(f'this toolbox brings no {tool}')
    # As docs/mmseg-tools.md says of publish_model.py, which no other tool needs.
    if check is check_publish:
        monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')

    def run(*words: object, script: Path = TOOLS / tool):
        return run_script(script, tmp_path, *words)

    check(trained, run, tmp_path)


def test_every_tool_is_in_the_document():
    document = (ROOT / 'docs' / 'mmseg-tools.md').read_text('utf-8')
    rooms = ('.', 'analysis_tools', 'misc', 'deployment', 'torchserve')
    tools = [path.name for room in rooms for path in (TOOLS / room).glob('*.py')]
    assert len(tools) > 10
    assert [tool for tool in tools if tool not in document] == []
