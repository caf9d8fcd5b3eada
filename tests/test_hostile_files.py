"""Whatever a file holds, no entry runs any of it.

Each variant is a file that leaves a mark where it is loaded carelessly; a test sees that it does.
Every entry of the project and of the toolbox then reads every variant, and no mark may appear. It
does not matter here whether a file is refused or loaded: `test_checkpoint_loading.py` sees to that.
"""

import argparse
import builtins
import contextlib
import copy
import functools
import importlib
import io
import os
import pickle
import runpy
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmseg.apis import MMSegInferencer, init_model
from mmseg.registry import MODELS
from PIL import Image

from mmseg_picie import checkpoint_loading
from mmseg_picie.apis import label_study, runs, seed_runs
from mmseg_picie.checkpoint_loading import UnreadableCheckpoint
from mmseg_picie.cli import main


class Call:
    """Is pickled as a call, and as setting the state of what the call returns."""

    def __init__(self, function: Any, *args: Any, state: Any = None) -> None:
        self.function, self.args, self.state = function, args, state

    def __reduce__(self) -> tuple:
        return self.function, self.args, self.state


def takeover(host: type, code: str) -> Call:
    """Reach `exec` with getattr and any class that is allowed and has a `__dict__`."""
    execute = Call(getattr, Call(getattr, getattr, '__self__'), 'exec')
    armed = Call(host, state={'__setstate__': execute})
    return Call(getattr, Call(host, state={'armed': armed}), 'armed', state=code)


def by_globals_of_a_method(code: str) -> Call:
    """Reach `eval` with getattr, the globals of a method, and torch's rebuilding of subclasses."""
    rebuild = torch._tensor._rebuild_from_type_v2
    names = Call(getattr, Call(getattr, HistoryBuffer, '__init__'), '__globals__')
    get = Call(getattr, names, '__getitem__')
    table = Call(rebuild, get, dict, ('__builtins__',), {})
    get_builtin, function = Call(getattr, table, '__getitem__'), Call(getattr, get, '__class__')
    evaluate = Call(rebuild, get_builtin, function, ('eval',), {})
    return Call(rebuild, evaluate, type(None), (code,), {})


def history_with(table: Any) -> Call:
    """A history whose own table of statistics is this."""
    zeros = np.zeros(1)
    state = dict(_log_history=zeros, _count_history=zeros, max_length=1, statistics_methods=table)
    return Call(HistoryBuffer, state=state)


def objects(payload: Any) -> np.ndarray:
    array = np.empty(1, dtype=object)
    array[0] = payload
    return array


def payloads(mark: Path) -> dict[str, Any]:
    """Things that make the file `mark` when they are loaded carelessly, or try to get there."""
    shell, code = f'touch {mark}', f'__import__("pathlib").Path({str(mark)!r}).touch()'
    script = mark.with_suffix('.py')
    script.write_text(code)
    return {
        'system': Call(os.system, shell),
        'popen': Call(subprocess.Popen, ['touch', str(mark)]),
        'eval': Call(eval, code),
        'exec': Call(exec, code),
        'open': Call(open, str(mark), 'w'),
        'import': Call(builtins.__import__, Call(eval, f'{code} or "os"')),
        'import a module': Call(importlib.import_module, Call(eval, f'{code} or "os"')),
        'run a script': Call(runpy.run_path, str(script)),
        'reduce': Call(functools.reduce, eval, [code, None]),
        'a config': Call(Config.fromstring, code, '.py'),
        'load within': Call(pickle.loads, pickle.dumps(Call(eval, code))),
        'array of objects': objects(Call(eval, code)),
        'subclass of a tensor': Call(
            torch._tensor._rebuild_from_type_v2, eval, type(None), (code,), {}
        ),
        'getattr and a namespace': takeover(argparse.Namespace, code),
        'getattr and a history': takeover(HistoryBuffer, code),
        'getattr and globals': by_globals_of_a_method(code),
        'statistics of a history': history_with({'mean': Call(eval, code)}),
        'state of a history': Call(HistoryBuffer, state=Call(eval, code)),
        'hooks of a tensor': Call(
            torch._utils._rebuild_parameter, torch.zeros(1), True, {0: Call(eval, code)}
        ),
    }


KINDS = list(payloads(Path('/tmp/mark')))


def put(*keys: str) -> Callable[[dict, Any], None]:
    """How to put something into a checkpoint, below keys that are made if they are missing."""

    def change(checkpoint: dict, payload: Any) -> None:
        holder = checkpoint
        for key in keys[:-1]:
            holder = holder.setdefault(key, {})
        holder[keys[-1]] = payload

    return change


PLACES: dict[str, Callable[[dict, Any], None]] = {
    'top': put('anything'),
    'weights': put('state_dict', 'backbone.conv1.weight'),
    'meta': put('meta', 'experiment_name'),
    'names': put('meta', 'dataset_meta'),
    'hub': put('message_hub', 'runtime_info', 'loss'),
    'logs': put('message_hub', 'log_scalars', 'train/loss'),
    'optimiser': put('optimizer', 'state', '0'),
    'schedule': put('param_schedulers'),
    'hook': put('ema_state_dict'),
    'arguments': put('args'),
}


def as_zip(content: Any, path: Path) -> None:
    torch.save(content, path)


def as_old_torch(content: Any, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def as_pickle(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, 2))


def as_new_pickle(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, 5))


def as_tar(content: Any, path: Path) -> None:
    """The format before 0.1.10: members that are unpickled one after the other."""
    with tarfile.open(path, 'w') as archive:
        for name in ('sys_info', 'storages', 'tensors', 'pickle'):
            data = pickle.dumps(content if name == 'pickle' else 0, 2)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


FORMATS = dict(zip=as_zip, old=as_old_torch, pickle=as_pickle, new=as_new_pickle, tar=as_tar)
#: Payload, place and format; each payload, place and format occurs.
VARIANTS = [
    *((kind, list(PLACES)[i % len(PLACES)], 'zip') for i, kind in enumerate(KINDS)),
    ('system', 'weights', 'old'),
    ('eval', 'hub', 'old'),
    ('system', 'meta', 'pickle'),
    ('exec', 'top', 'new'),
    ('eval', 'optimiser', 'tar'),
    ('text', 'meta', 'zip'),
    ('text', 'hub', 'zip'),
    ('text with an import', 'meta', 'zip'),
]


def spoil(honest: dict, variant: tuple[str, str, str], mark: Path, path: Path) -> None:
    """Write a variant of an honest checkpoint."""
    kind, place, form = variant
    checkpoint = copy.deepcopy(honest)
    if kind.startswith('text'):
        # An import statement of a config is put off by older versions of mmengine.
        text = f'__import__("os").system("touch {mark}")\n'
        if kind == 'text with an import':
            (mark.parent / 'evil.py').write_text(text)
            text = f"_base_ = '{mark.parent}/evil.py'\n"
        keys = [('meta',)] if place == 'meta' else [('message_hub', 'runtime_info')]
        for path_of_keys in keys:
            for key in ('cfg', 'config'):
                put(*path_of_keys, key)(checkpoint, text)
    else:
        PLACES[place](checkpoint, payloads(mark)[kind])
    FORMATS[form](checkpoint, path)


@pytest.fixture(autouse=True)
def whole_histories(monkeypatch) -> None:
    """Keep to one test what a careless reader lets a file do to all histories."""
    table = dict(HistoryBuffer._statistics_methods)
    monkeypatch.setattr(HistoryBuffer, '_statistics_methods', table)


@pytest.fixture(scope='module')
def home(tmp_path_factory, write_tiny_config) -> Path:
    """A folder with the config of a tiny run, the checkpoint that it leaves, and an image."""
    folder = tmp_path_factory.mktemp('home')
    options = {
        'train_dataloader.dataset.num_images': 4,
        'val_dataloader.dataset.num_images': 2,
        'test_dataloader.dataset.num_images': 2,
        'default_hooks.clustering.num_init_batches': 1,
        'train_cfg.max_epochs': 1,
        'default_hooks.visualization.draw': False,
    }
    config = write_tiny_config(folder, options)
    runs.train(config)
    (Path(config.work_dir) / 'epoch_1.pth').rename(folder / 'honest.pth')
    Image.fromarray(np.zeros((32, 48, 3), np.uint8)).save(folder / 'image.png')
    return folder


@pytest.fixture(scope='module')
def honest(home: Path) -> dict:
    """The content of an honest checkpoint."""
    return torch.load(home / 'honest.pth', weights_only=False)


class Place(NamedTuple):
    """Where an entry finds what it needs."""

    home: Path
    file: Path
    work: Path

    @property
    def config(self) -> str:
        return str(self.home / 'tiny.py')

    def read_config(self) -> Config:
        return Config.fromfile(self.config)

    def run(self, command: str, *words: object) -> None:
        main([*command.split(), *map(str, words)])


def resume(place: Place) -> None:
    place.work.mkdir()
    (place.work / 'last_checkpoint').write_text(str(place.file))
    place.run('train', place.config, '--work-dir', place.work, '--resume')


def compare(place: Place) -> None:
    folder = place.work / 'tiny' / 'seed_1'
    folder.mkdir(parents=True)
    (folder / 'last_checkpoint').write_text(str(place.file))
    place.run('compare', place.config, '--seeds', 1, '--work-dir', place.work)


def start_with(place: Place, *options: str) -> None:
    place.run('train', place.config, '--work-dir', place.work, '--cfg-options', *options)


def start_with_backbone(place: Place) -> None:
    place.work.mkdir()
    init = dict(_delete_=True, type='Pretrained', checkpoint=str(place.file))
    config = place.work / 'child.py'
    config.write_text(f'_base_ = {place.config!r}\nmodel = dict(backbone=dict(init_cfg={init}))\n')
    place.run('train', config, '--work-dir', place.work)


def few_labels(place: Place) -> None:
    """With a supervised head, of which it reads the backbone before it trains."""
    place.work.mkdir()
    config = place.work / 'supervised.py'
    head = dict(_delete_=True, type='FCNHead', in_channels=64, channels=8, num_classes=9)
    model = dict(type='EncoderDecoder', neck=None, decode_head=head | dict(in_index=3))
    config.write_text(f'_base_ = {place.config!r}\nmodel = {model}\n')
    words = [
        '--init',
        f'picie={place.file}',
        '--out',
        place.work / 'out',
        '--seeds',
        1,
        '--fractions',
        1,
    ]
    place.run('few-labels', config, *words)


def frozen_encoder(place: Place) -> None:
    model = place.read_config().model
    init = dict(type='Pretrained', checkpoint=str(place.file))
    MODELS.build(
        dict(type='FrozenEncoder', backbone=model.backbone, neck=model.neck, init_cfg=init)
    ).init_weights()


def from_the_web(place: Place) -> None:
    """The file lies where torch keeps what it has downloaded."""
    cache = place.work / 'checkpoints'
    cache.mkdir(parents=True)
    (cache / place.file.name).write_bytes(place.file.read_bytes())
    torch.hub.set_dir(str(place.work))
    init_model(place.read_config(), f'https://localhost/{place.file.name}', device='cpu')


ENTRIES: dict[str, Callable[[Place], Any]] = {
    'train': lambda p: start_with(p, f'load_from={p.file}'),
    'train, backbone': start_with_backbone,
    'train --resume': resume,
    'train --resume, load_from': lambda p: p.run(
        'train', p.config, '--work-dir', p.work, '--resume', '--cfg-options', f'load_from={p.file}'
    ),
    'test': lambda p: p.run('test', p.config, p.file, '--work-dir', p.work),
    'predict': lambda p: p.run(
        'predict', p.config, p.file, p.home / 'image.png', '--out-dir', p.work
    ),
    'fit-centroids': lambda p: p.run('fit-centroids', p.config, p.file, '--work-dir', p.work),
    'store-map': lambda p: p.run(
        'store-map', p.config, p.file, p.work / 'out.pth', '--work-dir', p.work
    ),
    'few-labels': few_labels,
    'compare': compare,
    'convert released': lambda p: p.run('convert released', p.file, p.work / 'out.pth'),
    'convert backbone': lambda p: p.run('convert backbone', p.file, p.work / 'out.pth'),
    'FrozenEncoder': frozen_encoder,
    'init_model': lambda p: init_model(p.read_config(), str(p.file), device='cpu'),
    'init_model, web': from_the_web,
    'MMSegInferencer': lambda p: MMSegInferencer(p.config, str(p.file), device='cpu'),
    'MMSegInferencer, checkpoint alone': lambda p: MMSegInferencer(None, str(p.file), device='cpu'),
}


@pytest.fixture
def in_this_process(monkeypatch) -> None:
    """Have `compare` and `few-labels` train in this process, which is quicker."""

    def run(words: list[str], log: Path | None = None) -> int:
        try:
            main(words)
        except BaseException:
            return 1
        return 0

    for module in (seed_runs, label_study):
        monkeypatch.setattr(module, 'run_child', run)


@pytest.mark.parametrize('variant', VARIANTS, ids=' '.join)
def test_no_entry_runs_what_a_file_holds(tmp_path, home, honest, in_this_process, variant):
    mark, file = tmp_path / 'mark', tmp_path / 'hostile.pth'
    spoil(honest, variant, mark, file)
    ran = []
    for index, (name, entry) in enumerate(ENTRIES.items()):
        with contextlib.suppress(Exception, SystemExit):
            entry(Place(home, file, tmp_path / f'work_{index}'))
        if mark.exists():
            ran.append(name)
            mark.unlink()
    assert ran == []


@pytest.mark.parametrize('variant', VARIANTS, ids=' '.join)
def test_no_hostile_object_is_loaded(tmp_path, home, honest, variant):
    """Each is refused by its name; texts are no objects, and are taken out of what is loaded."""
    file = tmp_path / 'hostile.pth'
    spoil(honest, variant, tmp_path / 'mark', file)
    load = functools.partial(CheckpointLoader.load_checkpoint, str(file), map_location='cpu')
    if variant[0].startswith('text'):
        assert str(tmp_path) not in str(load())
    else:
        with pytest.raises(UnreadableCheckpoint, match='hostile.pth .*(refused|cannot be read)'):
            load()


@pytest.mark.parametrize('variant', [v for v in VARIANTS if v[2] != 'tar'], ids=' '.join)
def test_the_variants_leave_a_mark_when_they_are_loaded_carelessly(tmp_path, honest, variant):
    mark, file = tmp_path / 'mark', tmp_path / 'hostile.pth'
    spoil(honest, variant, mark, file)
    loaded: Any = None
    with contextlib.suppress(Exception):
        if variant[2] in ('pickle', 'new'):
            loaded = pickle.loads(file.read_bytes())
        else:
            loaded = torch.load(file, weights_only=False)
    if variant[0].startswith('text'):
        holder = loaded['meta'] if variant[1] == 'meta' else loaded['message_hub']['runtime_info']
        with contextlib.suppress(Exception):
            Config.fromstring(holder['cfg'], '.py')
    elif variant[0] == 'popen':
        loaded['state_dict']['backbone.conv1.weight'].wait()
    assert mark.exists()


@pytest.mark.parametrize('name', ENTRIES)
def test_every_entry_reads_its_file(tmp_path, home, in_this_process, monkeypatch, name):
    """Else the tests above would prove nothing about it."""
    read, reader = [], checkpoint_loading._torch_load

    def record(file: Any, *args: Any, **kwargs: Any) -> Any:
        read.append(Path(file).name)
        return reader(file, *args, **kwargs)

    monkeypatch.setattr(checkpoint_loading, '_torch_load', record)
    with contextlib.suppress(Exception, SystemExit):
        ENTRIES[name](Place(home, home / 'honest.pth', tmp_path / 'work'))
    assert 'honest.pth' in read
