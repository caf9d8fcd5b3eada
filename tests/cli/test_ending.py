"""How a command ends: a sentence for what a user can mend, a traceback for what the user cannot."""

import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmseg_picie.apis import runs
from mmseg_picie.cli import COMMANDS, CONVERTERS, causes, main
from mmseg_picie.cli.ending import end_in_a_sentence
from mmseg_picie.datasets.image_files import decode_image
from mmseg_picie.printing import printable

NAMES = [name for name in COMMANDS if name != 'convert'] + [
    f'convert {name}' for name in CONVERTERS
]


@pytest.mark.parametrize('error', [ZeroDivisionError('0'), RuntimeError('boom'), IndexError(3)])
def test_an_error_of_the_package_keeps_its_traceback_and_asks_for_a_report(
    tiny, tmp_path, monkeypatch, error
):
    def fail(*args):
        raise error

    monkeypatch.setattr(runs, 'train', fail)
    with pytest.raises(type(error)) as raised:
        main(['train', str(tiny.config), '--work-dir', str(tmp_path)])
    if sys.version_info >= (3, 11):
        (note,) = raised.value.__notes__
        assert 'report it' in note


def test_a_failed_assertion_of_the_package_is_its_error():
    def check() -> None:
        assert 1 > 2

    code = compile('assert 1 > 2', causes.__file__, 'exec')  # as if it stood in the package
    with pytest.raises(AssertionError) as raised:
        exec(code)
    assert causes.find_cause(raised.value) is None


@pytest.mark.parametrize('name', NAMES)
def test_no_option_can_be_abbreviated(name, capfd):
    with pytest.raises(SystemExit) as end:
        main([*name.split(), 'a', 'b', 'c', '--debu'])
    assert end.value.code == 2
    err = capfd.readouterr().err
    assert err.startswith(f'usage: picie {name} [-h]')
    assert '[--debug]' in err


def test_debug_shows_the_traceback_above_the_sentence(tiny, capfd, tmp_path):
    words = ['train', str(tiny.config), '--work-dir', str(tmp_path)]
    options = ['--cfg-options', 'model.backbone.depth=17']
    with pytest.raises(SystemExit) as end:
        main([*words, '--debug', *options])
    assert end.value.code == 2
    err = capfd.readouterr().err.splitlines()
    assert err[0].startswith('Traceback') and any("KeyError: 'invalid depth 17" in x for x in err)
    assert err[-1].startswith('picie train: error: ')


# What a name holds -> what is printed.
ESCAPED = {
    'a\nb': r'a\nb',
    'a\r\x1b[31mb': r'a\r\x1b[31mb',
    '\x00\x7f\x9b': r'\x00\x7f\x9b',
    'tab\there': r'tab\there',
    'turned \u202egnp': r'turned \u202egnp',
    'line\u2028end': r'line\u2028end',
    b'caf\xe9'.decode('utf-8', 'surrogateescape'): r'caf\xe9',
    'plain café 画像 🙂 \\ "': 'plain café 画像 🙂 \\ "',
}


@pytest.mark.parametrize('name', ESCAPED)
def test_names_stay_on_their_line(name):
    assert printable(name) == ESCAPED[name]


@pytest.mark.parametrize('name', [name for name in ESCAPED if '\x00' not in name])
def test_a_sentence_with_any_name_is_one_line(sentence, name, tiny):
    assert ESCAPED[name] in sentence('train', f'/nowhere/{name}.py')
    assert ESCAPED[name] in sentence('test', tiny.config, f'/nowhere/{name}.pth')
    assert ESCAPED[name] in sentence('convert', 'camvid', f'/nowhere/{name}', 'out')


def test_an_unknown_option_with_control_characters_is_escaped(capfd):
    with pytest.raises(SystemExit):
        main(['train', 'a', '--no\x1b[31m\n'])
    assert capfd.readouterr().err.endswith('--no\\x1b[31m\\n\n')


def test_a_name_that_is_too_long_is_refused(sentence):
    assert 'name too long' in sentence('train', 'a' * 300 + '.py')


class Failing(Dataset):
    """Fails in a worker as a data set of the package, of the toolbox or of nobody does."""

    def __init__(self, kind: str, path: str = '') -> None:
        self.kind, self.path = kind, path

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        if self.kind == 'own':
            decode_image(self.path)
        if self.kind == 'file':
            Path(self.path, 'gone').read_bytes()
        return 1 // 0


@pytest.mark.parametrize('kind', ['own', 'file', 'bug'])
def test_an_error_in_a_worker_is_judged_as_one_in_the_process(kind, tmp_path, capfd):
    (tmp_path / 'bad.png').write_bytes(b'no image')
    path = tmp_path / 'bad.png' if kind == 'own' else tmp_path
    loader = DataLoader(Failing(kind, str(path)), num_workers=1)
    if kind == 'bug':
        with pytest.raises(ZeroDivisionError), end_in_a_sentence('picie train', Namespace()):
            list(loader)
        return
    with pytest.raises(SystemExit) as end, end_in_a_sentence('picie train', Namespace()):
        list(loader)
    assert end.value.code == 2
    err = capfd.readouterr().err
    assert err.count('\n') == 1 and str(path) in err
    if kind == 'own':
        assert err.endswith('repair it, or take it out of the data set.\n')


@pytest.mark.slow
def test_a_reader_that_goes_ends_the_command_quietly(tiny):
    line = f'{sys.executable} -m mmseg_picie.cli check-data {tiny.config} | true'
    done = subprocess.run(
        line, shell=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.stderr == ''


def test_memory_that_does_not_suffice_is_told(capfd):
    for error in (MemoryError('9 GB'), torch.OutOfMemoryError('CUDA out of memory')):
        with pytest.raises(SystemExit), end_in_a_sentence('picie train', Namespace()):
            raise error
        assert 'use smaller batches' in capfd.readouterr().err


def test_weights_that_cannot_be_downloaded_name_the_way_out(tiny, tmp_path, capfd, monkeypatch):
    timm, errors = pytest.importorskip('timm'), pytest.importorskip('huggingface_hub.errors')

    def offline(*args: object, **kwargs: object) -> None:
        raise errors.LocalEntryNotFoundError('check your connection')

    monkeypatch.setattr(timm, 'create_model', offline)
    child = tmp_path / 'child.py'
    child.write_text(
        f'_base_ = {str(tiny.config)!r}\nmodel = dict(backbone=dict(_delete_=True, '
        "type='TIMMBackbone', model_name='resnet10t', features_only=True, pretrained=True))\n"
    )
    with pytest.raises(SystemExit) as end:
        main(['train', str(child), '--work-dir', str(tmp_path / 'run')])
    assert end.value.code == 2
    err = capfd.readouterr().err
    assert (
        'TIMMBackbone cannot be built' in err and 'cannot be downloaded; set pretrained=Fa' in err
    )
