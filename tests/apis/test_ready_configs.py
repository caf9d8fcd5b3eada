"""A ready config is found by its name wherever a config is taken; a file goes before a name."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from mmengine.config import Config

import mmseg_picie
from mmseg_picie.apis import ready_configs
from mmseg_picie.apis.ready_configs import find_config
from mmseg_picie.cli import COMMANDS, CONVERTERS, common, main
from mmseg_picie.cli.ending import CommandParser, Mistake

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'
#: All whole configs, by path; an own list, by the name of the folder of parts.
WHOLE = sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)
#: Command -> its arguments, into which the name of a config is put.
TAKERS = {
    'train': 'CONFIG',
    'test': 'CONFIG FILE',
    'predict': 'CONFIG FILE FILE',
    'baselines': 'CONFIG',
    'compare': 'CONFIG --seeds 1',
    'few-labels': 'CONFIG --init a=none --out out',
    'fit-centroids': 'CONFIG FILE',
    'judge': 'CONFIG FILE',
    'release': '. --out out --config CONFIG',
    'report': 'FILE --config CONFIG',
    'suggest-k': '--config CONFIG',
    'store-map': 'CONFIG FILE out.pth',
    'export': 'CONFIG FILE out.pt2',
    'check-data': 'CONFIG',
    'convert backbone': 'FILE.pth --config CONFIG',
}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_every_ready_config_is_found_by_its_path_and_by_its_file_name():
    assert len(WHOLE) > 80
    for path in WHOLE:
        assert find_config(path.relative_to(CONFIGS).with_suffix('').as_posix()) == path
        assert find_config(path.stem) == path


@pytest.mark.parametrize(
    'form', ['{}', '{}.py', 'configs/{}.py', './configs/{}', 'mmseg_picie::{}']
)
@pytest.mark.parametrize('name', ['picie_fpn_r18_scenes', 'finetune/fcn_r18_camvid'])
def test_a_name_has_several_forms(name, form):
    assert find_config(form.format(name)) == CONFIGS / f'{name}.py'


def test_a_part_is_found_by_its_path_and_is_no_suggestion():
    assert find_config('_base_/models/picie_fpn_r18') == CONFIGS / '_base_/models/picie_fpn_r18.py'
    with pytest.raises(FileNotFoundError, match=r'camvid_2 \(did you mean (?!camvid\b)|camvid_2;'):
        find_config('camvid_2')
    with pytest.raises(FileNotFoundError):
        find_config('default_runtime')  # by its path alone


def test_a_file_goes_before_a_name_and_a_folder_does_not(tmp_path):
    name = 'picie_fpn_r18_scenes'
    (tmp_path / name).mkdir()  # such as the work folder of a training
    assert find_config(name) == CONFIGS / f'{name}.py'
    own = tmp_path / 'configs' / f'{name}.py'
    own.parent.mkdir()
    own.write_text('mine = 1\n')
    assert mmseg_picie.get_config(f'configs/{name}.py').mine == 1
    assert 'mine' not in mmseg_picie.get_config(name)


@pytest.mark.parametrize(
    ('name', 'told'),
    [
        ('picie_fpn_r18_scene', 'no ready config picie_fpn_r18_scene (did you mean picie_fpn_r18_'),
        ('backbones/picie_fpn_r5_cocostuff', 'did you mean picie_fpn_r50_cocostuff'),
        ('Picie_fpn_r34_cocostuff', 'did you mean picie_fpn_r34_cocostuff'),
        ('configs/picie_fpn_r18_scene.py', 'there is no file configs/picie_fpn_r18_scene.py (did '),
        ('nowhere', f'check it, or take a name of those in {CONFIGS}'),
        ('nowhere.py', 'there is no file nowhere.py; check the path'),
        ('nowhere.yaml', 'there is no file nowhere.yaml; check the path'),
        ('.', 'there is no file .; check the path'),
        ('./picie_fpn_r18_scenes.py', 'there is no file ./picie_fpn_r18_scenes.py (did you mean'),
        ('./picie_fpn_r18_scenes', 'no ready config ./picie_fpn_r18_scenes (did you mean picie_'),
        ('./finetune/fcn_r18_camvid', 'no ready config ./finetune/fcn_r18_camvid (did you mean'),
        ('a/picie_fpn_r18_scenes.py', 'there is no file a/picie_fpn_r18_scenes.py (did you mean'),
        ('../configs/picie_fpn_r18_scenes', 'there is no file and no ready config ../configs/'),
        ('/picie_fpn_r18_scenes', 'there is no file and no ready config /picie_fpn_r18_scenes'),
        ('', 'there is no file'),
    ],
)
def test_an_unknown_name_is_told_with_those_that_are_near(name, told):
    with pytest.raises(FileNotFoundError) as error:
        find_config(name)
    assert told in str(error.value)


def takes_config(name: str) -> bool:
    """Whether a command has an argument for a config."""
    dests = {action.dest for action in parser_of(name)[1]._actions}
    return bool(dests & {'config', 'configs'})


def parser_of(name: str) -> tuple[ModuleType, CommandParser]:
    """The module of a command, and its parser."""
    file = name.replace(' ', '_').replace('-', '_')
    module = importlib.import_module(f'mmseg_picie.cli.{file}')
    parser = CommandParser(prog=f'picie {name}')
    module.add_arguments(parser)
    return module, parser


def test_every_command_that_takes_a_config_is_tested_here():
    names = [name for name in COMMANDS if name != 'convert']
    names += [f'convert {name}' for name in CONVERTERS]
    assert {name for name in names if takes_config(name)} == set(TAKERS)


@pytest.mark.parametrize('name', TAKERS)
def test_every_command_that_takes_a_config_takes_a_name(name, tmp_path):
    for file in ('FILE', 'FILE.pth'):
        (tmp_path / file).touch()
    module, parser = parser_of(name)
    line = TAKERS[name]
    module.check(parser, parser.parse_words(line.replace('CONFIG', 'picie_fpn_r18_scenes').split()))
    args = parser.parse_words(line.replace('CONFIG', 'picie_fpn_r18_scenez').split())
    with pytest.raises(Mistake, match='did you mean picie_fpn_r18_scenes'):
        module.check(parser, args)


def test_a_config_by_name_is_read_and_names_its_work_folder():
    parser = CommandParser()
    parser.add_argument('config')
    common.add_common_arguments(parser)
    args = parser.parse_words(['backbones/picie_fpn_r50_cocostuff'])
    config = common.load_config(parser, args)
    path = CONFIGS / 'backbones' / 'picie_fpn_r50_cocostuff.py'
    assert config.model == Config.fromfile(path).model
    assert config.work_dir == str(Path('work_dirs', path.stem))
    assert args.config == 'backbones/picie_fpn_r50_cocostuff'  # what it prints is what was typed


def test_compare_gives_a_config_one_row_whatever_it_is_called(capfd):
    names = ['picie_fpn_r18_scenes', 'configs/picie_fpn_r18_scenes.py']
    with pytest.raises(SystemExit):
        main(['compare', *names, '--seeds', '1'])
    assert 'argument CONFIG: each must be given once' in capfd.readouterr().err


@pytest.mark.parametrize('name', ['picie_vit-s8_camvid', 'finetune/upernet_r18_camvid'])
def test_get_config_reads_what_mmengine_reads(name):
    expected = Config.fromfile(CONFIGS / f'{name}.py')
    assert mmseg_picie.get_config(name).to_dict() == expected.to_dict()


def test_a_config_of_ones_own_builds_upon_a_ready_one_in_any_folder(tmp_path):
    (tmp_path / 'middle.py').write_text(
        "_base_ = ['mmseg_picie::backbones/picie_fpn_r50_cocostuff.py']\nlate = _base_.model\n"
    )
    (tmp_path / 'child.py').write_text(
        "_base_ = './middle.py'\nmodel = dict(backbone=dict(depth=9))\n"
    )
    found = Config.fromfile('child.py')
    base = Config.fromfile(CONFIGS / 'backbones' / 'picie_fpn_r50_cocostuff.py')
    assert found.late == base.model
    base.model.backbone.depth = 9
    assert found.model == base.model and found.train_dataloader == base.train_dataloader
    (tmp_path / 'wrong.py').write_text("_base_ = 'mmseg_picie::picie_fpn_r18_scenez'\n")
    with pytest.raises(
        ValueError, match=r'wrong\.py cannot be read: .*did you mean picie_fpn_r18_sc'
    ):
        mmseg_picie.get_config('wrong.py')


def test_an_installed_package_takes_the_configs_that_it_carries(tmp_path, monkeypatch):
    """Also where a folder `configs` of something else lies beside the package."""
    package = tmp_path / 'site-packages' / 'mmseg_picie'
    for folder in (package.parent / 'configs', package / '.mim' / 'configs'):
        folder.mkdir(parents=True)
        (folder / 'one.py').touch()
    monkeypatch.setattr(ready_configs, '_PACKAGE', package)
    assert find_config('one') == package / '.mim' / 'configs' / 'one.py'
