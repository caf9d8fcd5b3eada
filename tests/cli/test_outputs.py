"""Places of results are tried before the work that makes them."""

from pathlib import Path

import pytest

from mmseg_picie.cli import main

# Command line -> whether PLACE is to be a folder; SRC is an empty folder.
LINES = {
    'train CONFIG --work-dir PLACE': True,
    'test CONFIG CHECKPOINT --work-dir PLACE': True,
    'test CONFIG CHECKPOINT --out PLACE': True,
    'test CONFIG CHECKPOINT --show-dir PLACE': True,
    'predict CONFIG CHECKPOINT IMAGE --out PLACE': True,
    'predict CONFIG CHECKPOINT IMAGE --out-dir PLACE': True,
    'baselines CONFIG --out PLACE': False,
    'baselines CONFIG --work-dir PLACE': True,
    'compare CONFIG --seeds 1 --work-dir PLACE': True,
    'few-labels CONFIG --init a=none --out PLACE': True,
    'fit-centroids CONFIG CHECKPOINT --out PLACE': False,
    'fit-centroids CONFIG CHECKPOINT --json PLACE': False,
    'fit-centroids CONFIG CHECKPOINT --work-dir PLACE': True,
    'store-map CONFIG CHECKPOINT PLACE': False,
    'convert backbone CHECKPOINT PLACE': False,
    'convert released CHECKPOINT PLACE': False,
    'convert camvid SRC PLACE': True,
    'convert imagenet-s50 SRC SRC PLACE': True,
    'convert potsdam3 SRC PLACE': True,
    'demo --work-dir PLACE': True,
}


@pytest.mark.parametrize('kind', ['taken', 'below a file', 'not writable'])
@pytest.mark.parametrize('line', LINES)
def test_a_place_that_cannot_be_written_is_refused_at_once(sentence, tiny, tmp_path, line, kind):
    (tmp_path / 'file').write_text('mine')
    (tmp_path / 'src').mkdir()
    place = tmp_path / ('file' if LINES[line] else 'src')
    if kind == 'below a file':
        place = tmp_path / 'file' / 'deep' / 'place'
    if kind == 'not writable':
        place = Path('/proc/place')  # not even root can write there
        if not Path('/proc').is_dir():
            pytest.skip('this system has no /proc')
    files = dict(CONFIG=tiny.config, CHECKPOINT=tiny.checkpoint, IMAGE=tiny.image)
    files |= dict(SRC=tmp_path / 'src', PLACE=place)
    told = sentence(*(files.get(word, word) for word in line.split()))
    assert 'argument ' in told
    assert str(place) in told or str(place.parent) in told
    assert (tmp_path / 'file').read_text() == 'mine'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['file', 'src']


def test_a_work_folder_of_the_config_is_tried_as_well(sentence, tiny, tmp_path):
    (tmp_path / 'file').touch()
    told = sentence('train', tiny.config, '--cfg-options', f'work_dir={tmp_path}/file')
    assert told.startswith('argument work_dir: ')


@pytest.mark.parametrize('device', ['gpu', 'cuda:99', 'cpu:x', 'meta', 'mps:7', ''])
def test_a_device_that_is_not_there_is_refused(sentence, tiny, device):
    words = ['predict', tiny.config, tiny.checkpoint, tiny.image, '--device', device]
    if device:
        assert 'argument --device' in sentence(*words)


@pytest.mark.parametrize(
    ('line', 'word'),
    [
        ('predict CONFIG CHECKPOINT IMAGE --opacity 0', '--opacity'),
        ('predict CONFIG CHECKPOINT IMAGE --opacity nan', '--opacity'),
        ('predict CONFIG CHECKPOINT nowhere.png', 'nowhere.png'),
        ('predict CONFIG CHECKPOINT SRC', 'holds no image'),
        ('predict CONFIG CHECKPOINT IMAGE IMAGE', 'would both be written'),
        ('predict CONFIG CHECKPOINT IMAGE --ids class', 'ids'),
        ('compare CONFIG --seeds 1 1', '--seeds'),
        ('compare CONFIG --seeds -1', '--seeds'),
        ('compare CONFIG CONFIG --seeds 1', 'CONFIG'),
        ('few-labels CONFIG --init none --out run', '--init'),
        ('few-labels CONFIG --init a=none a=config --out run', '--init'),
        ('few-labels CONFIG --init a=none --fractions 0 --out run', '--fractions'),
        ('few-labels CONFIG --init a=none --fractions 1.5 --out run', '--fractions'),
        ('few-labels CONFIG --init a=none --seeds -1 --out run', '--seeds'),
        ('check-data CONFIG --workers 0', '--workers'),
        ('demo --seed -1', '--seed'),
        ('train CONFIG --launcher pytorch', '--launcher'),
        ('train CONFIG --launcher slurm', '--launcher'),
        ('convert potsdam3 SRC out --factor 0', '--factor'),
        ('convert potsdam3 SRC out --tile -1', '--tile'),
        ('convert potsdam3 SRC out', 'SRC'),
        ('convert camvid SRC out', 'train'),
        ('convert imagenet-s50 SRC SRC out', 'validation'),
        ('convert backbone CHECKPOINT CHECKPOINT', 'OUT'),
        ('convert backbone CHECKPOINT out.pth --config nowhere.py', '--config'),
        ('convert released CHECKPOINT CHECKPOINT', 'DST'),
        ('convert released nowhere.pth out.pth', 'SRC'),
    ],
)
def test_a_value_out_of_range_is_refused(sentence, tiny, tmp_path, monkeypatch, line, word):
    monkeypatch.delenv('MASTER_ADDR', raising=False)
    monkeypatch.delenv('RANK', raising=False)
    (tmp_path / 'SRC').mkdir()
    files = dict(CONFIG=tiny.config, CHECKPOINT=tiny.checkpoint, IMAGE=tiny.image)
    assert word in sentence(*(files.get(name, name) for name in line.split()))


PARTS = {
    'train': 'train_dataloader train_cfg optim_wrapper',
    'compare': 'val_dataloader val_evaluator val_cfg',
    'few-labels': 'val_dataloader val_evaluator val_cfg',
    'baselines': 'val_dataloader val_evaluator val_cfg',
    'store-map': 'val_dataloader val_evaluator val_cfg',
    'test': 'test_dataloader test_evaluator test_cfg',
}
ENDS = {
    'compare': '--seeds 1',
    'few-labels': '--init a=none --out run',
    'store-map': 'CHECKPOINT out.pth',
    'test': 'CHECKPOINT',
}


@pytest.mark.parametrize('command', PARTS)
def test_a_part_of_the_config_that_will_be_needed_is_seen_to_exist(sentence, tiny, command):
    words = [command, tiny.config, *ENDS.get(command, '').split()]
    words = [tiny.checkpoint if word == 'CHECKPOINT' else word for word in words]
    options = [f'{part}=None' for part in PARTS[command].split()]
    told = sentence(*words, '--cfg-options', *options)
    assert 'argument config' in told and PARTS[command].split()[0] in told


def test_a_place_that_can_be_written_is_left_as_it_is(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(['convert', 'backbone', str(tiny.checkpoint), 'deep/out.pth'])
    assert [path.name for path in (tmp_path / 'deep').iterdir()] == ['out.pth']
