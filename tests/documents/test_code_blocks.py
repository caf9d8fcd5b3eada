"""Code in the documents: commands have the options that they show, paths exist, configs are right.

An HTML comment above a block says why it is not run: `<!-- not run here: REASON -->`. It is checked
all the same. `<!-- config over PATH -->` stands above lines of a child config.
"""

import argparse
import configparser
import copy
import functools
import importlib
import importlib.util
import json
import re
import shlex
import sys
from collections import Counter
from pathlib import Path

import pytest
from mmengine.config import Config, DictAction

from mmseg_picie.apis import config_options
from mmseg_picie.cli import COMMANDS, CONVERTERS
from mmseg_picie.cli.ending import CommandParser

ROOT = Path(__file__).parents[2]
#: What stands for a config of the user's.
STAND_IN = 'configs/picie_fpn_efficientnet-lite0_camvid.py'
#: A word that stands for one of the user's, such as CONFIG.
PLACEHOLDER = re.compile(r'[A-Z][A-Z_0-9]*')


def make_parser(words: list[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    """Make the parser of a command of `picie`, and leave the words for it."""
    length = 2 if words[0] == 'convert' else 1
    name = words[1] if length == 2 else words[0]
    assert name in (CONVERTERS if length == 2 else COMMANDS), f'there is no command {name}'
    module = importlib.import_module(
        'mmseg_picie.cli.' + '_'.join(words[:length]).replace('-', '_')
    )
    parser = CommandParser(prog='picie ' + name)
    module.add_arguments(parser)
    parser.add_argument('--debug', action='store_true')
    return parser, words[length:]


def find_config(path: str) -> Path:
    """The config that a command names, by its path or by its name."""
    if PLACEHOLDER.fullmatch(path) or path == 'mine.py':
        path = STAND_IN
    found = [place / path for place in (ROOT, ROOT / 'configs') if (place / path).is_file()]
    found += (ROOT / 'configs').rglob(f'{path}.py')  # a ready config by its name
    assert found, f'there is no config {path}'
    return found[0]


@functools.cache
def _read_config(path: Path) -> Config:
    return Config.fromfile(path)


def read_config(path: Path) -> Config:
    """Read a config once, and give copies of it."""
    return copy.deepcopy(_read_config(path))


def check_picie(words: list[str]) -> None:
    """A command line of `picie`: its words, its configs, and the options of these."""
    if words == ['--version']:
        return
    parser, rest = make_parser(words)
    args = parser.parse_args(rest)
    configs = getattr(args, 'configs', None) or [getattr(args, 'config', None)]
    for path in filter(None, configs):
        config = read_config(find_config(path))
        reader = argparse.ArgumentParser()
        reader.add_argument('--cfg-options', nargs='*', action=DictAction, default={})
        options = reader.parse_args(['--cfg-options', *(getattr(args, 'cfg_options', None) or ())])
        config_options.apply(config, options.cfg_options or {}, words[0] == 'predict')


def check_benchmark(path: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A command line of a benchmark, up to where its arguments are parsed."""
    file = ROOT / path
    assert file.is_file(), f'there is no {path}'

    class Parsed(Exception):
        pass

    parse = argparse.ArgumentParser.parse_args

    def stop(*args, **kwargs):
        parse(*args, **kwargs)
        raise Parsed

    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(file.parent))
        spec = importlib.util.spec_from_file_location(f'document_{file.stem}', file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        patch.setattr(argparse.ArgumentParser, 'parse_args', stop)
        with pytest.raises(Parsed):
            module.main(words)


def find_started(words: list[str]) -> list[str]:
    """The words of the `picie` that srun, sbatch or torchrun starts."""
    if '--wrap' in words:
        words = shlex.split(words[words.index('--wrap') + 1])
    for name in ('picie', 'mmseg_picie.cli'):
        if name in words:
            return words[words.index(name) + 1 :]
    raise AssertionError(f'{words} start no picie')


def check_call(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of a block."""
    program, *rest = words
    if program == 'picie':
        check_picie(rest)
    elif program == 'make':
        targets = re.findall(r'^([\w-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
        assert set(rest) <= set(targets), f'make has no {rest}'
    elif program == 'pip':
        setup = configparser.ConfigParser()
        setup.read(ROOT / 'setup.cfg')
        for word in rest:
            for extras in re.findall(r'^(?:\.|mmseg_picie)\[(.+)\]$', word):
                unknown = set(extras.split(',')) - set(setup['options.extras_require'])
                assert not unknown, f'there is no extra {unknown}'
    elif program == 'python' and rest[0] == '-c':
        compile(rest[1], 'document', 'exec')
    elif program == 'python' and rest[0].startswith('benchmarks/'):
        check_benchmark(rest[0], rest[1:], monkeypatch)
    elif program.startswith(
        'tools/'
    ):  # dist_train.sh CONFIG GPUS, slurm_train.sh PARTITION JOB ...
        command = 'test' if 'test' in program else 'train'
        configs = [word for word in rest if word == 'CONFIG' or word.endswith('.py')]
        start = rest.index(configs[0])
        check_picie([command, rest[start], *rest[start + 1 + ('dist_' in program) :]])
    elif program in ('sbatch', 'srun', 'torchrun'):
        check_picie(find_started(rest))
    elif program == 'python':  # mmseg's tool, whose folder a command in the command finds
        assert rest[0] == '/.mim/tools/train.py' and find_config(rest[1])


def check_lines_of_config(text: str, note: str, folder: Path) -> None:
    """Lines of a child config: all types and options in it are known."""
    base = re.search(r"^_base_ = '(?:\./|mmseg_picie::)(.+)'$", text, re.MULTILINE)
    parent = find_config(base[1] if base else note.removeprefix('config over '))
    body = text.replace(base[0], '') if base else text
    path = folder / 'child.py'
    path.write_text(f'_base_ = {str(parent)!r}\n{body}\n')
    config = Config.fromfile(path)
    read = config_options.read_keys(predicts=True)
    unread = [key for key in re.findall(r'^(\w+) =', body, re.MULTILINE) if key not in read]
    used = [key for key in unread if len(re.findall(rf'\b{key}\b', body)) > 1]
    assert unread == used, f'nothing reads {unread}'
    config_options.apply(config, {}, predicts=True)


def check_block(block, calls_of, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of any kind."""
    assert block.kind != 'unknown', f'{block.language!r} with the note {block.note!r}'
    if block.kind == 'config':
        check_lines_of_config(block.text, block.note, folder)
    elif block.language == 'json':
        json.loads(block.text)
    elif block.language == 'python':
        compile(block.text, block.place, 'exec')
    elif block.kind != 'shown':
        calls = calls_of(block.text)
        assert calls, 'there is no command'
        for call in calls:
            check_call(call.words, monkeypatch)


def failures(blocks, calls_of, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Check blocks; each failure is a line."""
    found = []
    for block in blocks:
        try:
            check_block(block, calls_of, folder, monkeypatch)
        except (Exception, SystemExit) as error:
            found.append(f'{block.place}: {type(error).__name__}: {error}')
    return found


def test_every_block_is_right(blocks, calls_of, tmp_path, monkeypatch, record_property):
    assert failures(blocks, calls_of, tmp_path, monkeypatch) == []
    counts = Counter(block.kind for block in blocks)
    record_property('blocks', dict(counts))
    assert set(counts) == {'shown', 'config', 'run', 'checked'}
    assert sum(counts.values()) == sum(
        (ROOT / path).read_text('utf-8').count('```') // 2
        for path in {block.document for block in blocks}
    )


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('```\nx\n```', "'' with"),
        ('<!-- not run here: lazy -->\n```sh\npicie demo\n```', 'with the note'),
        ('<!-- run me later -->\n```python\n1\n```', 'with the note'),
        ('```sh\npicie trian CONFIG\n```', 'there is no command trian'),
        ('```sh\npicie convert cityscapes A B\n```', 'there is no command cityscapes'),
        ('```sh\npicie train CONFIG --resum\n```', 'SystemExit'),
        ('```sh\nT=camvidd.py\npicie train \\\n    configs/picie_fpn_r18_$T\n```', 'no config'),
        ('```sh\npicie train CONFIG --cfg-options train_cfg.epochs=3\n```', 'epochs'),
        ('```sh\nfor s in 1; do picie compare CONFIG --seeds x$s; done\n```', 'SystemExit'),
        ('```sh\nfor s in 1; picie demo\n```', 'syntax error'),
        ('```sh\npicei demo\n```', 'command not found'),
        ('```sh\nmake tea\n```', 'make has no'),
        ('```sh\ntools/dist_trian.sh CONFIG 2\n```', 'No such file'),
        ('```sh\ntools/dist_train.sh CONFIG 2 --resum\n```', 'SystemExit'),
        ('```sh\nsrun picie train CONFIG --launcher slrum\n```', 'SystemExit'),
        ("```sh\nsbatch --wrap 'picie tain CONFIG'\n```", 'there is no command tain'),
        ('```sh\ntorchrun -m mmseg_picie.cli train CONFIG --launcher\n```', 'SystemExit'),
        ("```sh\npip install -e '.[toolbox,gpux]'\n```", 'there is no extra'),
        ('```sh\npython benchmarks/epochs.py CONFIG\n```', 'there is no benchmarks/epochs.py'),
        ('```sh\npython benchmarks/kmeans.py --rounds 3\n```', 'SystemExit'),
        ('```python\nresult = segment(\n```', 'SyntaxError'),
        ("```python\n_base_ = './picie_fpn_r18_coco.py'\n```", 'there is no config'),
        (
            "```python\n_base_ = './picie_fpn_r18_camvid.py'\nmodel = dict(neck=dict(out=1))\n```",
            'out',
        ),
        (
            '<!-- config over configs/picie_fpn_r18_camvid.py -->\n```python\nfrozen = 1\n```',
            'nothing reads',
        ),
        ('```json\n{1: 2}\n```', 'JSONDecodeError'),
    ],
)
def test_a_wrong_block_is_found(text, message, parse_blocks, calls_of, tmp_path, monkeypatch):
    (found,) = failures(parse_blocks('page.md', text), calls_of, tmp_path, monkeypatch)
    assert message in found
    assert found.startswith('page.md:')


def test_commands_and_paths_within_sentences_are_right(documents):
    """Inline code that begins with `picie`, and names of files of the repository."""
    wrong = []
    for document, text in documents.items():
        for code in re.findall(r'`([^`\n]+)`', text):
            words = code.split()
            if words[0] == 'picie' and len(words) > 1 and words[1][0].islower():
                name = [words[1], *([words[2]] if words[1] == 'convert' and words[2:] else [])]
                name = [word.replace('\\|', '|').split('|')[0] for word in name]
                if name == ['convert']:
                    continue
                try:
                    parser, _ = make_parser(name)
                except AssertionError as error:
                    wrong.append(f'{document}: {code}: {error}')
                    continue
                options = {word.split('=')[0] for word in words if word.startswith('--')}
                unknown = options - set(parser._option_string_actions)
                wrong += [f'{document}: {code}: no {option}' for option in unknown]
            path = re.fullmatch(r'(?:configs|docs|benchmarks|tests|tools)/[\w./-]+\.\w+', words[0])
            if path and not re.search(r'[A-Z]{3}', path[0]) and not (ROOT / path[0]).exists():
                wrong.append(f'{document}: there is no {path[0]}')
    assert wrong == []


@pytest.fixture(autouse=True)
def keep_modules():
    """Forget what benchmarks import by a plain name, such as `common`."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], '__file__', None)
        if file and Path(file).parent == ROOT / 'benchmarks':
            del sys.modules[name]
