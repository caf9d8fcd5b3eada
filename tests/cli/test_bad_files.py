"""Damaged and foreign files to every command that reads them: each ends in one sentence."""

import codecs
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_picie.cli import main
from mmseg_picie.datasets.text_files import read_lines

ROOT = Path(__file__).parents[2]

# Checkpoints --------------------------------------------------------------------------------------


def lfs(path: Path, whole: Path) -> None:
    path.write_text('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n')


def page(path: Path, whole: Path) -> None:
    path.write_text('<!DOCTYPE html>\n<html><body>404</body></html>\n')


def text(path: Path, whole: Path) -> None:
    path.write_text('These are not the weights that you look for.\n')


def empty(path: Path, whole: Path) -> None:
    path.touch()


def cut(path: Path, whole: Path) -> None:
    path.write_bytes(whole.read_bytes()[:5000])


def cut_at_the_end(path: Path, whole: Path) -> None:
    path.write_bytes(whole.read_bytes()[:-30])


def zeros(path: Path, whole: Path) -> None:
    path.write_bytes(bytes(5000))


def folder(path: Path, whole: Path) -> None:
    path.mkdir()


def missing(path: Path, whole: Path) -> None:
    pass


def a_list(path: Path, whole: Path) -> None:
    torch.save([torch.ones(3)], path)


def a_tensor(path: Path, whole: Path) -> None:
    torch.save(torch.ones(3), path)


def other_names(path: Path, whole: Path) -> None:
    torch.save(dict(meta={}, state_dict={'layer.weight': torch.ones(3)}), path)


def weights_are_a_list(path: Path, whole: Path) -> None:
    torch.save(dict(meta={}, state_dict=[1, 2]), path)


def plain_pickle(path: Path, whole: Path) -> None:
    path.write_bytes(pickle.dumps({'state_dict': {}}))


def image(path: Path, whole: Path) -> None:
    Image.new('RGB', (8, 8)).save(path, 'PNG')


DAMAGES = [
    *(lfs, page, text, empty, cut, cut_at_the_end, zeros, folder, missing),
    *(a_list, a_tensor, other_names, weights_are_a_list, plain_pickle, image),
]
READERS = {
    'test': 'test CONFIG BAD --work-dir run',
    'predict': 'predict CONFIG BAD IMAGE --out-dir out',
    'fit-centroids': 'fit-centroids CONFIG BAD --work-dir run',
    'store-map': 'store-map CONFIG BAD out.pth --work-dir run',
    'train': 'train CONFIG --work-dir run --cfg-options load_from=BAD',
    'resume': 'train CONFIG --work-dir run --resume --cfg-options load_from=BAD',
    'init_cfg': 'train CONFIG --work-dir run --cfg-options model.backbone.init_cfg.type=Pretrained '
    'model.backbone.init_cfg.checkpoint=BAD',
    'few-labels': 'few-labels SUPERVISED --init a=BAD --out run',
    'backbone': 'convert backbone BAD out.pth',
    'released': 'convert released BAD out.pth',
}


@pytest.fixture(scope='session')
def supervised(tiny, tmp_path_factory) -> Path:
    """A config of a supervised training on the same scenes."""
    path = tmp_path_factory.mktemp('supervised') / 'supervised.py'
    config = Config.fromfile(tiny.config)
    head = dict(type='FCNHead', in_channels=64, channels=8, num_convs=1, num_classes=9)
    model = dict(type='EncoderDecoder', backbone=config.model.backbone, decode_head=head)
    model.update(test_cfg=dict(mode='whole'), data_preprocessor=dict(type='SegDataPreProcessor'))
    config.model = model
    config.train_dataloader = config.val_dataloader
    config.val_evaluator = config.test_evaluator = dict(type='IoUMetric')
    for hook in ('clustering', 'class_map', 'visualization'):
        config.default_hooks.pop(hook)
    config.dump(path)
    return path


@pytest.fixture
def fill(tiny, supervised):
    """Put files into a command line."""

    def words(line: str, **others: object) -> list[str]:
        files = dict(CONFIG=tiny.config, CHECKPOINT=tiny.checkpoint, IMAGE=tiny.image)
        files |= dict(SUPERVISED=supervised) | others
        for name, file in files.items():
            line = line.replace(name, str(file))
        return line.split()

    return words


@pytest.mark.parametrize('damage', DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize('reader', READERS)
def test_a_damaged_checkpoint_is_refused_by_name(sentence, fill, tiny, tmp_path, reader, damage):
    path = tmp_path / 'bad.pth'
    damage(path, tiny.checkpoint)
    told = sentence(*fill(READERS[reader], BAD=path))
    assert str(path) in told or (damage is other_names and 'the checkpoint' in told)
    assert not (tmp_path / 'out.pth').exists()


def test_a_bare_state_dict_is_as_good_as_its_checkpoint(fill, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bare = tmp_path / 'bare.pth'
    torch.save(torch.load(tiny.checkpoint, weights_only=True)['state_dict'], bare)
    for name, file in (('whole', tiny.checkpoint), ('bare', bare)):
        main(fill(f'predict CONFIG BAD IMAGE --out-dir {name}', BAD=file))
        main(fill(f'store-map CONFIG BAD {name}.pth --work-dir run', BAD=file))
        main(fill(f'convert backbone BAD {name}_backbone.pth', BAD=file))
    labels = [Path(name, 'labels/image.png').read_bytes() for name in ('whole', 'bare')]
    assert labels[0] == labels[1]
    for name in ('.pth', '_backbone.pth'):
        whole, found = (
            torch.load(f'{kind}{name}', weights_only=True) for kind in ('whole', 'bare')
        )
        whole, found = whole.get('state_dict', whole), found.get('state_dict', found)
        assert whole.keys() == found.keys()
        assert all(torch.equal(whole[key], found[key]) for key in whole)


@pytest.mark.parametrize('reader', ['test', 'predict', 'fit-centroids', 'store-map', 'train'])
@pytest.mark.parametrize(
    'option',
    [
        'model.decode_head.num_clusters=8',
        'model.decode_head.num_views=3',
        'model.neck.out_channels=12 model.decode_head.in_channels=12',
        'model.backbone.stem_channels=16',
        'model.decode_head.type=IICHead model.decode_head.predict_views=None',
    ],
    ids=['K', 'V', 'D', 'backbone', 'method'],
)
def test_weights_of_another_model_are_refused(sentence, fill, tiny, tmp_path, reader, option):
    """A load that is not strict would leave a part random."""
    path = tiny.config
    if 'IICHead' in option:
        path = tmp_path / 'iic.py'
        config = Config.fromfile(tiny.config)
        config.model.decode_head = dict(type='IICHead', num_clusters=9, in_channels=16)
        config.default_hooks.pop('clustering')
        config.dump(path)
        option = 'log_level=INFO'
        if reader == 'fit-centroids':
            pytest.skip('an IIC head has no centroids')
    line = READERS[reader] + ('' if '--cfg-options' in READERS[reader] else ' --cfg-options')
    told = sentence(*fill(f'{line} {option}', BAD=tiny.checkpoint, CONFIG=path))
    assert 'the checkpoint' in told and 'config' in told


@pytest.mark.parametrize('reader', ['test', 'predict', 'fit-centroids', 'store-map', 'train'])
def test_a_supervised_checkpoint_in_a_config_of_clusters_is_refused(
    sentence, fill, tiny, tmp_path, reader
):
    weights = torch.load(tiny.checkpoint, weights_only=True)['state_dict']
    encoder = {key: value for key, value in weights.items() if not key.startswith('decode_head')}
    head = {'decode_head.conv_seg.weight': torch.ones(9, 16, 1, 1)}
    torch.save(dict(meta={}, state_dict=encoder | head), tmp_path / 'supervised.pth')
    told = sentence(*fill(READERS[reader], BAD=tmp_path / 'supervised.pth'))
    assert 'decode_head.centroids' in told


@pytest.mark.parametrize('reader', ['test', 'predict', 'fit-centroids', 'store-map', 'baselines'])
def test_a_supervised_config_with_a_checkpoint_of_clusters_is_refused(sentence, fill, reader):
    line = READERS.get(reader, 'baselines CONFIG').replace('CONFIG', 'SUPERVISED')
    sentence(*fill(line.replace('BAD', 'CHECKPOINT')))


@pytest.mark.parametrize(
    'line',
    [
        'train CONFIG',
        'test CONFIG CHECKPOINT',
        pytest.param('compare CONFIG --seeds 1', marks=pytest.mark.slow),
    ],
)
def test_a_metric_that_takes_clusters_for_classes_is_refused(sentence, fill, line, tmp_path, tiny):
    config = Config.fromfile(tiny.config)
    config.val_evaluator = config.test_evaluator = dict(type='IoUMetric')
    config.dump(tmp_path / 'iou.py')
    told = sentence(*fill(line + ' --work-dir run', CONFIG=tmp_path / 'iou.py'))
    assert 'IoUMetric' in told and 'HungarianIoUMetric' in told


def test_a_map_needs_a_metric_that_matches(sentence, fill, tmp_path, tiny):
    config = Config.fromfile(tiny.config)
    config.val_evaluator = config.test_evaluator = dict(type='IoUMetric')
    config.default_hooks.pop('class_map')
    config.dump(tmp_path / 'iou.py')
    line = READERS['store-map'].replace('BAD', 'CHECKPOINT')
    assert 'HungarianIoUMetric' in sentence(*fill(line, CONFIG=tmp_path / 'iou.py'))
    assert not (tmp_path / 'out.pth').exists()


def test_few_labels_of_a_training_without_labels_are_refused(sentence, fill):
    told = sentence(*fill('few-labels CONFIG --init a=none --out run'))
    assert 'supervised' in told and 'CentroidHead' in told


# Lists --------------------------------------------------------------------------------------------

NAMES = ['a.png', 'caf\xe9.png', 'b.png']
GOOD = {
    'plain': '\n'.join(NAMES).encode(),
    'mark': codecs.BOM_UTF8 + '\n'.join(NAMES).encode(),
    'windows': '\r\n'.join(NAMES).encode(),
    'old mac': '\r'.join(NAMES).encode(),
    'utf-16': '\r\n'.join(NAMES).encode('utf-16'),
    'utf-16 big': codecs.BOM_UTF16_BE + '\n'.join(NAMES).encode('utf-16-be'),
    'utf-32': '\n'.join(NAMES).encode('utf-32'),
    'blank lines': ('\n\n  ' + ' \n\n\t'.join(NAMES) + '\n\n').encode(),
}
BAD = {
    'empty': b'',
    'only a mark': codecs.BOM_UTF8,
    'blank': b'\n \n\r\n',
    'latin-1': '\n'.join(NAMES).encode('latin-1'),
    'utf-16 without mark': '\n'.join(NAMES).encode('utf-16-le'),
    'twice': '\n'.join([*NAMES, NAMES[0]]).encode(),
    'binary': bytes(range(256)),
    'cut': '\n'.join(NAMES).encode('utf-16')[:-1],
}


@pytest.mark.parametrize('kind', GOOD)
def test_a_list_is_read_as_any_editor_writes_it(tmp_path, kind):
    (tmp_path / 'list.txt').write_bytes(GOOD[kind])
    assert read_lines(tmp_path / 'list.txt') == NAMES


@pytest.fixture
def listed(tiny, tmp_path) -> list[str]:
    """Words of a training on a folder of images that a list names."""
    config = Config.fromfile(tiny.config)
    names = ('type', 'data_root', 'ann_file', 'pipeline')
    pipeline = config.train_dataloader.dataset.pipeline
    values = ('ImageFolderDataset', str(tmp_path), 'list.txt', pipeline)
    config.train_dataloader.dataset = dict(zip(names, values, strict=True))
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    config.dump(tmp_path / 'listed.py')
    for name in NAMES:
        shutil.copy(tiny.image, tmp_path / name)
    return [str(tmp_path / 'listed.py')]


@pytest.mark.parametrize('command', ['train', 'check-data'])
@pytest.mark.parametrize('kind', [*BAD, 'missing', 'folder', 'unknown name'])
def test_a_list_that_cannot_be_read_is_refused_by_name(sentence, listed, tmp_path, command, kind):
    path = tmp_path / 'list.txt'
    if kind == 'folder':
        path.mkdir()
    elif kind == 'unknown name':
        path.write_text('nowhere.png\n')
    elif kind in BAD:
        path.write_bytes(BAD[kind])
    told = sentence(command, *listed)
    assert (str(path) if kind != 'unknown name' else 'nowhere.png') in told


# Results of earlier calls -------------------------------------------------------------------------

RESULTS = {
    'empty': b'',
    'text': b'no json\n',
    'cut': b'{"config_sha256": "a", "rows": {',
    'latin-1': '{"caf\xe9": 1}'.encode('latin-1'),
    'list': b'[1, 2]',
    'number': b'3',
    'nothing': b'{}',
    'other': b'{"config_sha256": "a", "fingerprint": "a", "rows": {}}',
    'rows': b'{"config_sha256": "a", "rows": [1]}',
    'words': b'{"config_sha256": "a", "rows": {"trained": {"metrics": {"mIoU": "high"}}}}',
    'deep': b'[' * 100_000,
    'binary': bytes(range(256)),
}


@pytest.mark.parametrize('content', RESULTS)
def test_a_result_that_cannot_be_read_is_refused_by_name(sentence, fill, tmp_path, content):
    for path, line in (
        (tmp_path / 'run/tiny/seed_1/result.json', 'compare CONFIG --seeds 1 --work-dir run'),
        (
            tmp_path / 'run/a_100percent_seed1/result.json',
            'few-labels SUPERVISED --init a=none --fractions 1 --seeds 1 --out run',
        ),
    ):
        path.parent.mkdir(parents=True)
        path.write_bytes(RESULTS[content])
        assert str(path.relative_to(tmp_path).parent) in sentence(*fill(line))


def test_a_result_with_a_byte_order_mark_is_read(tmp_path):
    from mmseg_picie.apis.json_files import read_json

    for encoding in ('utf-8-sig', 'utf-16', 'utf-32'):
        (tmp_path / 'a.json').write_bytes(json.dumps(dict(a='\xe9')).encode(encoding))
        assert read_json(tmp_path / 'a.json') == dict(a='\xe9')
