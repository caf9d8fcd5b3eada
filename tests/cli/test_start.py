"""The command line answers at once, and every entry to it leads to the same commands."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_picie.cli import COMMANDS, CONVERTERS, main

ROOT = Path(__file__).parents[2]
NAMES = [*(name for name in COMMANDS if name != 'convert'), *(f'convert {x}' for x in CONVERTERS)]
#: Tool -> its command.
TOOLS = {
    'train': 'train',
    'test': 'test',
    'predict': 'predict',
    'baselines': 'baselines',
    'run_seeds': 'compare',
    'few_labels': 'few-labels',
    'fit_centroids': 'fit-centroids',
    'judge': 'judge',
    'store_map': 'store-map',
    'check_data': 'check-data',
    'demo': 'demo',
    'dataset_converters/camvid': 'convert camvid',
    'dataset_converters/imagenet_s50': 'convert imagenet-s50',
    'dataset_converters/potsdam3': 'convert potsdam3',
    'model_converters/picie2mmseg': 'convert released',
    'model_converters/extract_backbone': 'convert backbone',
}
LARGE = ('torch', 'numpy', 'mmengine', 'mmseg', 'mmcv', 'cv2')
QUESTION = """
import sys
import picie_command
for words in {questions!r}:
    try:
        picie_command.main('', words)
    except SystemExit as end:
        assert end.code == {code}, (words, end.code)
    else:
        raise AssertionError(words)
    print('large:', *[name for name in {large!r} if name in sys.modules])
"""


def execute(*words: object, check: bool = True) -> subprocess.CompletedProcess:
    """Run Python with the project importable, and not imported yet."""
    environment = os.environ | {'PYTHONPATH': str(ROOT)}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=check, env=environment)


def ask(*questions: list[str], code: int = 0) -> subprocess.CompletedProcess:
    """Run command lines that end at once, and prove that nothing large was imported."""
    code = QUESTION.format(questions=questions, large=LARGE, code=code)
    done = execute('-c', code, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [line for line in done.stdout.splitlines() if line.startswith('large:')]
    assert found == ['large:'] * len(questions)
    return done


def test_every_help_answers_before_anything_large_is_imported():
    done = ask(['--help'], ['convert', '--help'], *([*name.split(), '--help'] for name in NAMES))
    for name in NAMES:
        assert f'usage: picie {name} [-h]' in done.stdout
    for summary in (*COMMANDS.values(), *CONVERTERS.values()):
        assert summary in ' '.join(done.stdout.split())


def test_mistakes_are_told_before_anything_large_is_imported(tmp_path):
    config = tmp_path / 'config.py'
    config.touch()
    mistakes = {
        'invalid choice: ': ['trian'],
        'the following arguments are required: COMMAND': [],
        'unrecognized arguments: --rseume': ['train', str(config), '--rseume'],
        'there is no file nowhere.py': ['train', 'nowhere.py'],
        'must be KEY=VALUE': ['train', str(config), '--cfg-options', 'seed'],
        'there is no checkpoint file nowhere.pth': ['test', str(config), 'nowhere.pth'],
        'there is no folder nowhere': ['convert', 'camvid', 'nowhere', 'out'],
        'there is no folder of_photographs': ['suggest-k', 'of_photographs'],
    }
    errors = ask(*mistakes.values(), code=2).stderr
    for message in mistakes:
        assert message in errors


@pytest.mark.parametrize('name', TOOLS)
def test_a_tool_is_its_command_and_no_more(name):
    tree = ast.parse((ROOT / 'tools' / f'{name}.py').read_text())
    assert len(tree.body) <= 3
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    # Those that mmseg has as well show the log as mmseg's do.
    words = TOOLS[name] + ' --verbose' * (name in ('train', 'test'))
    assert [ast.unparse(call) for call in calls] == [f'main({words!r})']


def test_all_tools_are_commands():
    """Those that MMSegmentation has a name for; a newer command needs no tool."""
    found = {path.relative_to(ROOT / 'tools') for path in (ROOT / 'tools').rglob('*.py')}
    assert {path.with_suffix('').as_posix() for path in found} == set(TOOLS)
    assert set(TOOLS.values()) <= set(NAMES)


@pytest.mark.parametrize(
    'start',
    [[ROOT / 'tools' / 'train.py'], ['-m', 'picie_command', 'train']],
    ids=['tool', 'picie'],
)
def test_entries_lead_to_the_command(start):
    done = execute(*start, 'nowhere.py', check=False)
    assert done.returncode == 2
    sentence = 'argument config: there is no file nowhere.py; check the path'
    assert done.stderr == f'picie train: error: {sentence}\n'


@pytest.mark.slow
def test_the_package_is_an_entry_too():
    assert 'usage: picie train' in execute('-m', 'mmseg_picie.cli', 'train', '--help').stdout


def test_a_missing_toolbox_is_told_in_one_sentence(tmp_path, monkeypatch, capsys):
    def missing() -> None:
        raise ImportError('mmseg cannot be found')

    monkeypatch.setattr('mmseg_picie.cli.check_toolbox', missing)
    monkeypatch.delitem(sys.modules, 'mmseg_picie.models')
    (tmp_path / 'config.py').touch()
    with pytest.raises(SystemExit) as end:
        main(['train', str(tmp_path / 'config.py')])
    assert end.value.code == 1
    assert capsys.readouterr().err == 'picie train: mmseg cannot be found\n'
