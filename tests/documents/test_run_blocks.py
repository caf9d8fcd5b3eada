"""What the documents show runs: their blocks, one after the other, in a folder of small files."""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.utils import ManagerMixin
from PIL import Image

from mmseg_picie.apis import recipes
from mmseg_picie.apis.cluster_names import FORMAT, VERSION, fingerprint
from mmseg_picie.apis.json_files import write_json
from mmseg_picie.apis.prediction import load_model
from mmseg_picie.cli import main
from mmseg_picie.datasets.scenes import draw_scene

#: What a user has: photographs below `photos/`.
PHOTOS = ('day1/beach', 'day1/town', 'day2/road', 'day2/field')


def write_scene(path: Path, number: int) -> np.ndarray:
    """Write a scene as an image, and give its labels."""
    image, labels = draw_scene(0, number, 64, 96)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return labels.astype(np.uint8)


@pytest.fixture
def workshop(
    tmp_path: Path, write_tiny_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with what the blocks speak of; it is the present folder."""
    monkeypatch.setattr(recipes, 'find_obstacle', lambda name: 'no network')
    monkeypatch.setattr(recipes, 'MOST_EPOCHS', 1)  # for few images; it would take minutes
    monkeypatch.setenv('LOCAL_RANK', '0')
    for number, name in enumerate(PHOTOS):
        labels = write_scene(tmp_path / f'photos/{name}.jpg', number)
        path = tmp_path / f'labels/{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels).save(path)
    for number in range(2):
        write_scene(tmp_path / f'more_photos/{number}.jpg', 10 + number)
    write_scene(tmp_path / 'mosaic.tif', 12)
    levels = np.arange(64 * 96, dtype=np.uint16).reshape(64, 96)
    (tmp_path / 'stack').mkdir()
    Image.fromarray(levels).save(tmp_path / 'stack/page.tif')
    write_tiny_config(tmp_path, {'train_cfg.max_epochs': 2}, 'CONFIG')
    monkeypatch.chdir(tmp_path)
    main(['train', 'CONFIG.py', '--work-dir', 'work_dirs/RUN'])
    for name in ('CHECKPOINT', 'epoch_3.pth', 'epoch_10.pth', 'FILE.pth'):
        shutil.copy('work_dirs/RUN/epoch_2.pth', name)
    Path('FOLDER').symlink_to('photos')
    Path('LABELS').symlink_to('labels')
    return tmp_path


def save_names(path: str) -> None:
    """Write `names.json` for a model, as the page of its report does."""
    state = torch.load(path, weights_only=False)['state_dict']
    clusters = [dict(id=0, name='ground', colour='#808000'), dict(id=1, name=None)]
    content = dict(
        format=FORMAT, version=VERSION, model=fingerprint(state), view=0, clusters=clusters
    )
    write_json(Path('names.json'), content)


def forget_runs(kind: type) -> None:
    """Drop the loggers and visualisers that mmengine keeps by name in a process.

    A user has a process for each command.
    """
    for child in kind.__subclasses__():
        if child is not DefaultScope:
            child._instance_dict.clear()
            forget_runs(child)


def run_call(words: list[str], output: str) -> None:
    """Run a command of a block."""
    program, *rest = words
    if program == 'cd':
        os.chdir(rest[0])
        return
    assert program == 'picie', f'{program} is not run; say why above the block'
    if rest[0] == 'name':
        save_names(rest[1])
    forget_runs(ManagerMixin)
    with contextlib.ExitStack() as stack:
        if output:
            file = stack.enter_context(open(Path(output).name, 'w'))
            stack.enter_context(contextlib.redirect_stdout(file))
        main(['CONFIG.py' if word == 'CONFIG' else word for word in rest])


def run_python(text: str) -> dict:
    """Run a block of Python, beside what the text around it has made."""
    config = Config.fromfile('CONFIG.py')
    config.work_dir = 'work_dirs/python'
    names = dict(
        cfg=config,
        model=load_model(Config.fromfile('CONFIG.py'), 'CHECKPOINT', 'cpu'),
        array=np.arange(48 * 64, dtype=np.uint16).reshape(48, 64),
    )
    exec(compile(text, 'document', 'exec'), names)
    return names


@pytest.mark.slow
def test_every_block_that_can_run_runs(blocks, calls_of, workshop):
    run = [block for block in blocks if block.kind == 'run']
    assert len(run) > 15
    for block in run:
        try:
            if block.language == 'python':
                run_python(block.text)
            else:
                for call in calls_of(block.text):
                    run_call(call.words, call.output)
        except (Exception, SystemExit) as error:
            raise AssertionError(f'{block.place} fails') from error
        finally:
            os.chdir(workshop)
    # Some of what the documents say that there is then.
    for path in (
        'photos_segments/report.html',
        'photos_segments/labels/day1/beach.png',
        'named/overlays/1.png',
        'report.html',
        'epoch_3_named.pth',
    ):
        assert Path(path).is_file(), path
