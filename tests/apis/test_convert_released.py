"""Proofs for `picie convert released` on checkpoints of random weights."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config, DictAction
from PIL import Image

from mmseg_picie.apis import convert_released
from mmseg_picie.apis.prediction import load_model
from mmseg_picie.cli import main
from mmseg_picie.datasets.scenes.synthetic_scenes import draw_scene

ROOT = Path(__file__).parents[2]
#: Facts measured elsewhere, next to the repository where they are at hand.
KEYS_JSON = ROOT.parent / 'shared' / 'golden' / 'checkpoint_keys.json'


def released_levels(state: dict, images: torch.Tensor) -> list[torch.Tensor]:
    """Run the released ResNet in eval mode, from its state dict and torch's functions alone."""

    def conv(x, name, stride=1, padding=0):
        return F.conv2d(x, state[f'module.backbone.{name}.weight'], None, stride, padding)

    def norm(x, name):
        names = ('running_mean', 'running_var', 'weight', 'bias')
        return F.batch_norm(x, *(state[f'module.backbone.{name}.{part}'] for part in names))

    def block(x, name, stride):
        bottleneck = f'module.backbone.{name}.conv3.weight' in state
        # Kernel 1, 3, 1 or 3, 3; the stride is that of the first 3 x 3.
        steps = [(1, 0), (stride, 1), (1, 0)] if bottleneck else [(stride, 1), (1, 1)]
        y = x
        for i, (step, padding) in enumerate(steps, 1):
            y = conv(y if i == 1 else y.relu(), f'{name}.conv{i}', step, padding)
            y = norm(y, f'{name}.bn{i}')
        if f'module.backbone.{name}.downsample.0.weight' in state:
            x = conv(x, f'{name}.downsample.0', stride)
            x = norm(x, f'{name}.downsample.1')
        return (x + y).relu()

    x = norm(conv(images, 'conv1', 2, 3), 'bn1').relu()
    x = F.max_pool2d(x, 3, 2, 1)
    levels = []
    for stage in range(1, 5):
        count = len({k.split('.')[3] for k in state if f'.backbone.layer{stage}.' in k})
        for i in range(count):
            x = block(x, f'layer{stage}.{i}', 2 if stage > 1 and i == 0 else 1)
        levels.append(x)
    return levels


def released_features(state: dict, images: torch.Tensor) -> torch.Tensor:
    """Run the whole released encoder likewise: decode from stride 32 (layer1) to 4 (layer4)."""
    total = torch.zeros(1, 1, 1, 1)
    for layer, level in enumerate(reversed(released_levels(state, images)), 1):
        weight, bias = (state[f'module.decoder.layer{layer}.{part}'] for part in ('weight', 'bias'))
        total = F.interpolate(total, level.shape[2:], mode='bilinear', align_corners=False)
        total = total + F.conv2d(level, weight, bias)
    return total / total.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(
    ('depth', 'dim', 'num_clusters', 'size'),
    [
        (18, 128, 27, (64, 96)),
        (18, 128, 27, (96, 64)),
        (34, 128, 27, (32, 96)),
        (50, 256, 10, (64, 32)),
    ],
)
@torch.no_grad()
def test_converted_model_is_the_released_network(
    released_file, make_released, tmp_path, capsys, depth, dim, num_clusters, size
):
    """Tolerance 1e-5 on unit-length features and on logits of magnitude 2 to 4."""
    kind = dict(depth=depth, dim=dim, num_clusters=num_clusters)
    dst = tmp_path / 'deep' / 'converted.pth'
    main(['convert', 'released', str(released_file(**kind)), str(dst)])
    out = capsys.readouterr().out
    assert f'ResNet-{depth}, D = {dim}, K = {num_clusters}, epoch 10' in out
    assert [path.name for path in dst.parent.iterdir()] == ['converted.pth']

    words = shlex.split(out.splitlines()[-1])
    assert words[:4] == ['picie', 'test', 'configs/picie_fpn_r18_cocostuff.py', str(dst)]
    assert len(words) == {18: 4, 34: 6, 50: 10}[depth]
    config = Config.fromfile(ROOT / words[2])
    options = dict(word.split('=', 1) for word in words[5:])
    config.merge_from_dict({k: DictAction._parse_iterable(v) for k, v in options.items()})
    config.model.decode_head.predict_views = (0, 1)
    model = load_model(config, str(dst), 'cpu')  # takes no care of names that do not fit
    converted = torch.load(dst, weights_only=True)
    model.load_state_dict(converted['state_dict'], strict=True)

    released = make_released(**kind)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    features = released_features(released['state_dict'], images)
    maps = model.extract_feat(images)
    torch.testing.assert_close(model.decode_head.embed(maps), features, rtol=0, atol=1e-5)
    views = [released[f'classifier{view}_state_dict'].values() for view in (1, 2)]
    logits = torch.cat([F.conv2d(features, weight, bias) for weight, bias in views], dim=1)
    torch.testing.assert_close(model.decode_head(maps), logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize('depth', [18, 34, 50])
@torch.no_grad()
def test_restated_backbone_is_torchvisions(make_released, depth):
    """Tolerance 1e-4 on values of magnitude 10 and more."""
    models = pytest.importorskip('torchvision.models')
    theirs = getattr(models, f'resnet{depth}')().eval()
    theirs.fc = torch.nn.Identity()
    released = make_released(depth=depth)['state_dict']
    prefix = 'module.backbone.'
    backbone = {k.removeprefix(prefix): x for k, x in released.items() if k.startswith(prefix)}
    theirs.load_state_dict(backbone, strict=True)
    images = torch.randn(1, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
    for i, level in enumerate(released_levels(released, images), 1):
        x = getattr(theirs, f'layer{i}')(x)
        torch.testing.assert_close(level, x, rtol=1e-5, atol=1e-4)


@pytest.mark.skipif(not KEYS_JSON.is_file(), reason='the measured key names are not at hand')
def test_layout_of_these_tests_is_the_measured_one(make_released):
    measured = json.loads(KEYS_JSON.read_text())
    released = make_released()
    assert list(released) == measured['top']
    assert {k: list(v.shape) for k, v in released['state_dict'].items()} == measured['keys']
    classifier = released['classifier1_state_dict']
    assert {k: list(v.shape) for k, v in classifier.items()} == measured['c1']


def test_checkpoint_keeps_where_it_comes_from_in_plain_values(released_file, tmp_path):
    def change(checkpoint):
        checkpoint['args'].odd = [checkpoint['args']]

    convert_released.convert(released_file(change), tmp_path / 'dst.pth')
    converted = torch.load(tmp_path / 'dst.pth', weights_only=True)
    meta = converted['meta']
    assert meta['epoch'] == 10
    assert meta['released_args'] == dict(arch='resnet18', lr=1e-4, equiv=True, restart_path=None)
    assert meta['converted_from'] == 'released.pth.tar'
    assert meta['dataset_meta']['classes'] == tuple(f'cluster {k}' for k in range(27))
    state = converted['state_dict']
    assert state['backbone.layer3.1.bn2.num_batches_tracked'] == 1234
    assert (state['decode_head.cluster_counts'] == 1).all()
    assert (state['decode_head.cluster_to_class'] == -1).all()


def test_names_without_the_wrappers_prefix_and_half_precision_are_read(released_file, tmp_path):
    def change(checkpoint):
        for key in ('state_dict', 'classifier1_state_dict', 'classifier2_state_dict'):
            state = {name.removeprefix('module.'): x for name, x in checkpoint[key].items()}
            checkpoint[key] = {
                n: x.half() if x.is_floating_point() else x for n, x in state.items()
            }
        del checkpoint['classifier1_state_dict']['bias'], checkpoint['args'], checkpoint['epoch']

    convert_released.convert(released_file(change, depth=34), tmp_path / 'dst.pth')
    converted = torch.load(tmp_path / 'dst.pth', weights_only=True)
    state = converted['state_dict']
    assert {x.dtype for x in state.values()} <= {torch.float32, torch.int64, torch.uint8}
    assert (converted['meta']['epoch'], converted['meta']['released_args']) == (None, {})


def drop(part, *names):
    return lambda checkpoint: [checkpoint[part].pop(name) for name in names]


def put(part, name, shape, value=0.0):
    return lambda checkpoint: checkpoint[part].update({name: torch.full(shape, value)})


ONES = torch.ones(9)
C1, C2 = 'classifier1_state_dict', 'classifier2_state_dict'
BN = 'module.backbone.layer2.0.bn1'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (drop('state_dict', f'{BN}.bias'), "state_dict lacks 'backbone.layer2.0.bn1.bias';"),
        (put('state_dict', 'module.fc.weight', (2,)), "state_dict has the unknown 'fc.weight';"),
        (
            lambda c: c.update(
                state_dict={k: x for k, x in c['state_dict'].items() if 'running' not in k}
            ),
            r"lacks 'backbone.bn1.running_mean', .*0.bn2.running_mean', ... \(40 in all\);",
        ),
        (put('state_dict', 'backbone.conv1.weight', (2,)), 'state_dict must hold each name once'),
        (put('state_dict', f'{BN}.bias', (7,)), r"'backbone.layer2.0.bn1.bias' \(7,\) instead of"),
        (
            put('state_dict', f'{BN}.bias', (128,), float('nan')),
            'not finite numbers.* such as module.backbone.layer2.0.bn1.bias',
        ),
        (drop('state_dict', 'module.decoder.layer2.bias'), "lacks 'decoder.layer2.bias';"),
        (lambda c: c['state_dict'].update(note='x'), "got a str for 'note'"),
        (
            lambda c: c.update(state_dict=[1]),
            r"must hold a dict of weights by name in \['state_dict'\]",
        ),
        (lambda c: c.pop(C2), "lacks 'classifier2_state_dict';"),
        (lambda c: c.update(ema_state_dict={}), "has the unknown 'ema_state_dict';"),
        (
            lambda c: c[C2].update({'module.weight': torch.ones(9, 8, 1, 1), 'module.bias': ONES}),
            r'got \(27, 128\) and \(9, 8\)',
        ),
        (put(C2, 'module.weight', (27, 128, 3, 3)), r'\(K, D, 1, 1\), but got \(27, 128, 3, 3\)'),
        (put(C1, 'module.bias', (26,)), r"'bias' in classifier1_state_dict .* but got \(26,\)"),
        (drop(C1, 'module.weight'), "classifier1_state_dict lacks 'weight'"),
        (
            lambda c: [put(part, 'module.weight', (27, 64, 1, 1))(c) for part in (C1, C2)],
            r"D = 64, .* has 'decoder.layer4.weight' \(128, 64, 1, 1\) instead of \(64, 64, 1, 1\)",
        ),
        (put('state_dict', 'module.backbone.layer3.2.conv1.weight', (1,)), r'have \(2, 2, 3, 2\)'),
    ],
)
def test_what_does_not_fit_is_refused_by_name(released_file, tmp_path, capsys, change, message):
    src, dst = released_file(change, blank=True), tmp_path / 'out' / 'dst.pth'
    with pytest.raises(SystemExit) as stop:
        main(['convert', 'released', str(src), str(dst)])
    assert stop.value.code == 2
    assert re.search(message, capsys.readouterr().err.splitlines()[-1])
    assert not dst.parent.exists()


def test_existing_files_are_kept_unless_forced_and_the_source_always(released_file, tmp_path):
    src, dst = released_file(blank=True), tmp_path / 'dst.pth'
    dst.write_text('mine')
    before = src.read_bytes()
    with pytest.raises(FileExistsError, match='exists; give another name, or --force'):
        convert_released.convert(src, dst)
    for wrong in (src, tmp_path):
        with pytest.raises(FileExistsError, match='a file other than SRC'):
            convert_released.convert(src, wrong, force=True)
    with pytest.raises(FileNotFoundError, match='there is no file'):
        convert_released.convert(tmp_path / 'none.pth', dst, force=True)
    assert dst.read_text() == 'mine' and src.read_bytes() == before
    convert_released.convert(src, dst, force=True)
    assert 'state_dict' in torch.load(dst, weights_only=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['dst.pth', 'src']


@pytest.mark.parametrize('cityscapes', [False, True])
def test_a_config_that_is_not_there_is_not_named_as_ready(
    released_file, tmp_path, capsys, monkeypatch, cityscapes
):
    monkeypatch.setitem(convert_released.CONFIGS, True, 'configs/none.py')
    src = released_file(lambda c: setattr(c['args'], 'cityscapes', cityscapes), blank=True)
    main(['convert', 'released', str(src), str(tmp_path / 'dst.pth')])
    out = capsys.readouterr().out
    assert ('There is no configs/none.py' in out) == cityscapes
    config = 'CONFIG' if cityscapes else 'configs/picie_fpn_r18_cocostuff.py'
    assert shlex.split(out.splitlines()[-1])[2] == config


@pytest.mark.slow
def test_converted_checkpoint_is_scored_and_segments_as_the_released_network(
    released_file, make_released, run_tool, tmp_path
):
    """The label map is compared with the restated network's on a scene of the test's own size."""

    def run(tool, *words):
        return run_tool(tool, *words).stdout

    src, dst = released_file(num_clusters=9), tmp_path / 'dst.pth'
    assert 'K = 9' in run('model_converters/picie2mmseg.py', src, dst)
    config = ROOT / 'configs' / 'picie_fpn_r18_scenes.py'
    few = ['test_dataloader.dataset.num_images=4', 'test_dataloader.num_workers=0']
    assert re.search(r'mIoU: +\d', run('test.py', config, dst, '--cfg-options', *few))

    image = draw_scene(1, 0, 128, 192)[0]
    Image.fromarray(image).save(tmp_path / 'scene.png')
    out_dir = tmp_path / 'out'
    words = [config, dst, tmp_path / 'scene.png', '--out-dir', out_dir, '--device', 'cpu']
    run('predict.py', *words, '--cfg-options', 'model.decode_head.predict_views=[0]')
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    pixels = torch.from_numpy((image - mean) / std).float().permute(2, 0, 1)[None]
    released = make_released(num_clusters=9)
    with torch.no_grad():
        features = released_features(released['state_dict'], pixels)
        logits = F.conv2d(features, *released[C1].values())
    clusters = F.interpolate(logits, (128, 192), mode='bilinear', align_corners=False).argmax(1)
    written = np.asarray(Image.open(out_dir / 'labels' / 'scene.png'))
    assert len(np.unique(written)) > 1
    assert (written == clusters[0].numpy()).mean() > 0.999
    names = {entry['name'] for entry in json.loads((out_dir / 'legend.json').read_text()).values()}
    assert names == {f'cluster {k}' for k in range(9)}
