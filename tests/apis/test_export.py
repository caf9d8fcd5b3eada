"""An exported file predicts what the model does, on any network, and says what its ids mean."""

import io
import json
from importlib import util
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.utils import digit_version
from mmseg.registry import MODELS
from PIL import Image

from mmseg_picie.apis import export as exporting
from mmseg_picie.apis.export_check import check, read_images
from mmseg_picie.apis.legends import choose_ids, describe_ids
from mmseg_picie.cli import main
from mmseg_picie.datasets.scenes.synthetic_scenes import draw_scene
from mmseg_picie.models.predictor import Predictor

D, K = 12, 5
#: The kinds of networks, cut down: backbone, channels of its levels, further options of the model.
NETWORKS = {
    'resnet18': (
        dict(type='ResNet', depth=18, base_channels=8, stem_channels=8),
        (8, 16, 32, 64),
        {},
    ),
    'efficientnet-lite0': (
        dict(
            type='TIMMBackbone',
            model_name='tf_efficientnet_lite0',
            features_only=True,
            pretrained=False,
            out_indices=(1, 2, 3),
        ),
        (24, 40, 112),
        {},
    ),
    'vit-s14': (
        dict(
            type='TIMMViT',
            model_name='vit_small_patch14_dinov2',
            out_indices=(-1,),
            options=dict(depth=2, embed_dim=48, num_heads=3),
        ),
        (48,),
        dict(data_preprocessor=dict(type='PairedViewDataPreProcessor', size_divisor=14)),
    ),
    'vit-s14 resized': (
        dict(
            type='TIMMViT',
            model_name='vit_small_patch14_dinov2',
            tokens='key',
            options=dict(depth=2, embed_dim=48, num_heads=3),
        ),
        (48,),
        {},
    ),
    'convnext': (
        dict(
            type='TIMMBackbone',
            model_name='convnext_tiny',
            features_only=True,
            pretrained=False,
            depths=(1, 1, 1, 1),
            dims=(8, 16, 24, 32),
        ),
        (8, 16, 24, 32),
        {},
    ),
}
torch_version = digit_version(torch.__version__)
needs_new_torch = pytest.mark.skipif(
    torch_version < digit_version('2.7'), reason='export needs torch 2.7'
)
PREPROCESSOR = dict(type='PairedViewDataPreProcessor', bgr_to_rgb=True)


@pytest.fixture(autouse=True)
def scope():
    """Find parts of models in mmseg's registries."""
    init_default_scope('mmseg')


@pytest.fixture
def make(make_picie, fit):
    """Build a model with one of the networks, merged centroids and the classes of its clusters."""

    def build(network: str):
        backbone, channels, options = NETWORKS[network]
        if 'model_name' in backbone:
            pytest.importorskip('timm')
        head = dict(centroids_per_cluster=2, predict_views=(1, 0))
        options = dict(dict(data_preprocessor=PREPROCESSOR), **options)
        neck = dict(type='SumFPN', in_channels=channels, out_channels=D)
        model = fit(make_picie(head, backbone=backbone, neck=neck, **options)).eval()
        with torch.no_grad():  # pixels of a scene, so that segments are many
            planes = torch.from_numpy(scenes((64, 96))[0]).permute(2, 0, 1)[None]
            data = model.data_preprocessor(dict(inputs=list(planes)))
            maps = model.extract_feat(data['inputs'][..., :56, :84])
            pixels = model.decode_head.embed(maps)[0].flatten(1).T
        chosen = pixels[torch.linspace(0, len(pixels) - 1, 2 * K).long()]
        counts = torch.ones(2, 2 * K, dtype=torch.int64)
        model.decode_head.set_centroids(chosen.expand(2, -1, -1), counts)
        classes = torch.tensor([3, 0, -1, 2, 1])
        meta = dict(classes=['sky', 'road', 'tree', 'car'], palette=[[i, 2, 3] for i in range(4)])
        model.decode_head.store_map((1,), classes[None], meta)
        return model

    return build


def scenes(*sizes):
    """(H, W, 3) BGR images."""
    return [draw_scene(7, index, *size)[0] for index, size in enumerate(sizes)]


def run_file(exported, images):
    """Run a file without this package, on a batch (N, H, W, 3) of RGB."""
    if exported.suffix == '.pt2':
        module = torch.export.load(io.BytesIO(exported.content)).module()
        return [array.numpy() for array in module(torch.from_numpy(images))]
    session = pytest.importorskip('onnxruntime').InferenceSession(exported.content)
    return session.run(['ids', 'confidence'], {'images': images})


@pytest.mark.parametrize('suffix', ['.pt2', pytest.param('.onnx', marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    'network',
    [
        name if name == 'resnet18' else pytest.param(name, marks=pytest.mark.slow)
        for name in NETWORKS
    ],
)
@needs_new_torch
def test_a_file_for_any_size_predicts_what_the_model_does(make, network, suffix):
    if suffix == '.onnx':
        pytest.importorskip('onnxscript')
        pytest.importorskip('onnxruntime')
    elif network == 'resnet18' and torch_version < digit_version('2.9'):
        pytest.skip('torch 2.8 gives the sides of its maps numbers')
    model = make(network)
    ids = choose_ids(model)
    exported = exporting.export(model, suffix, None, ids)
    images = [*scenes((64, 96), (70, 98), (97, 61), (33, 120)), scenes((32, 32))[0][:9, :20]]
    found = check(model, exported, iter(images))
    assert found.num_images == 5
    assert found.difference < 1e-5
    assert found.share < 1e-3
    # Pictures are not of one segment, or the comparison would tell nothing.
    rgb = np.stack([images[0][..., ::-1]] * 3)
    result, confidence = run_file(exported, rgb)
    assert result.dtype == np.uint8 and len(np.unique(result)) > 1
    assert set(np.unique(result)) <= {0, 1, 2, 3, 255}
    assert (result[0] == result[2]).all() and result.shape == confidence.shape == (3, 64, 96)
    assert confidence.min() >= 1 / K and confidence.max() <= 1


@needs_new_torch
def test_a_file_for_one_size_takes_it_alone_and_any_number_of_images(make):
    model = make('resnet18')
    exported = exporting.export(model, '.pt2', (50, 70), choose_ids(model, 'cluster'))
    (image,) = scenes((50, 70))
    assert check(model, exported, iter([image])).difference < 1e-5
    for number in (1, 4):
        ids, _ = run_file(exported, np.stack([image[..., ::-1]] * number))
        assert ids.shape == (number, 50, 70) and ids.max() < K
    with pytest.raises((AssertionError, RuntimeError), match='Guard failed|shape'):
        run_file(exported, np.zeros((1, 64, 64, 3), np.uint8))


@pytest.mark.slow
@needs_new_torch
def test_a_network_that_makes_numbers_of_shapes_takes_one_image_of_one_size(make_picie, fit):
    """Mmseg's Swin counts its windows in Python."""
    backbone = dict(type='SwinTransformer', embed_dims=12, depths=(1, 1), num_heads=(1, 2))
    backbone.update(strides=(4, 2), out_indices=(0, 1), window_size=4)
    neck = dict(type='SumFPN', in_channels=(12, 24), out_channels=D)
    options = dict(backbone=backbone, neck=neck, data_preprocessor=PREPROCESSOR)
    model = fit(make_picie(**options)).eval()
    with pytest.raises(ValueError, match='SwinTransformer cannot be exported for any size.*--size'):
        exporting.export(model, '.pt2', None, choose_ids(model))
    exported = exporting.export(model, '.pt2', (32, 48), choose_ids(model))
    extra = {exporting.DESCRIPTION: ''}
    torch.export.load(io.BytesIO(exported.content), extra_files=extra)
    assert '(1, 32, 48, 3)' in json.loads(extra[exporting.DESCRIPTION])['images']
    assert check(model, exported, iter(scenes((32, 48)))).difference < 1e-5


@pytest.mark.parametrize('normalised', [True, False])
@needs_new_torch
def test_colours_are_brought_into_the_order_of_the_network(make_picie, fit, normalised):
    """A network that takes BGR, or values as they are, gets them from a file, too."""
    preprocessor = dict(type='SegDataPreProcessor', bgr_to_rgb=False)
    if normalised:
        preprocessor.update(mean=[10, 100, 200], std=[50, 60, 70])
    model = fit(make_picie(data_preprocessor=preprocessor)).eval()
    exported = exporting.export(model, '.pt2', (32, 48), choose_ids(model))
    found = check(model, exported, iter(scenes((32, 48))))
    assert found.difference < 1e-5


@needs_new_torch
def test_a_file_that_is_of_another_model_is_found(make):
    model = make('resnet18')
    exported = exporting.export(model, '.pt2', (32, 48), choose_ids(model))
    model.decode_head.centroids.mul_(-1)
    with pytest.raises(RuntimeError, match='differs from the model'):
        check(model, exported, iter(scenes((32, 48))))


def test_ids_are_named_by_the_classes_of_the_view_that_predicts(make):
    model = make('resnet18')
    ids = choose_ids(model)
    assert ids.kind == 'class' and ids.of_clusters.tolist() == [3, 0, 255, 2, 1]
    legend = describe_ids(model, ids)
    assert [legend[i]['name'] for i in (0, 1, 2, 3, 255)] == [
        *('sky', 'road', 'tree', 'car', 'no class')
    ]
    assert legend[3]['colour'] == [3, 2, 3]
    assert describe_ids(model, choose_ids(model, 'cluster'))[0]['name'] == 'car'
    model.decode_head.cluster_to_class.fill_(-1)
    assert choose_ids(model).kind == 'cluster'
    with pytest.raises(ValueError, match='never validated on labels'):
        choose_ids(model, 'class')


def test_ids_above_a_byte_are_wider(make):
    model = make('resnet18')
    images = torch.from_numpy(scenes((32, 48))[0][None])
    with torch.no_grad():
        ids, _ = Predictor(model, [300, 1, 2, 3, 65535])(images)
        narrow, _ = Predictor(model, [0, 1, 2, 3, 4])(images)
    assert (ids.dtype, narrow.dtype) == (torch.int32, torch.uint8)
    assert torch.equal(ids == 300, narrow == 0) and torch.equal(ids == 65535, narrow == 4)


@needs_new_torch
def test_a_crf_is_refused_and_a_network_that_cannot_be_traced(make):
    model = make('resnet18')
    ids = choose_ids(model)
    model.crf = object()
    with pytest.raises(ValueError, match='model.crf cannot be exported'):
        exporting.export(model, '.pt2', None, ids)
    model.crf = None
    forward = model.backbone.forward
    model.backbone.forward = lambda images: forward(images if images.sum() > 0 else images)
    with pytest.raises(ValueError, match='the backbone ResNet cannot be exported for any size'):
        exporting.export(model, '.pt2', None, ids)


@needs_new_torch
def test_missing_packages_are_named(monkeypatch):
    found = util.find_spec
    monkeypatch.setattr(util, 'find_spec', lambda name: None if name == 'onnx' else found(name))
    with pytest.raises(ImportError, match=r'needs the packages onnx.*mmseg_picie\[export\]'):
        exporting.check_packages('.onnx')
    exporting.check_packages('.pt2')


def test_an_old_torch_is_named(make, monkeypatch):
    model = make('resnet18')
    monkeypatch.delattr(torch.compiler, 'is_exporting', raising=False)
    with pytest.raises(RuntimeError, match=r'export needs torch 2\.7 or newer, but .* upgrade it'):
        exporting.export(model, '.pt2', (32, 48), choose_ids(model))


@pytest.fixture
def trained(tiny_config, tmp_path):
    """Config and checkpoint of a tiny model with random centroids, as words of a command."""
    model = MODELS.build(tiny_config().model)
    head = model.decode_head
    head.set_centroids(torch.randn_like(head.centroids), torch.ones_like(head.cluster_counts))
    torch.save(dict(meta={}, state_dict=model.state_dict()), tmp_path / 'fitted.pth')
    return [str(tmp_path / 'tiny.py'), str(tmp_path / 'fitted.pth')]


@pytest.mark.slow
@pytest.mark.parametrize('suffix', ['.pt2', '.onnx'])
@needs_new_torch
def test_the_command_checks_and_describes_what_it_writes(trained, tmp_path, capsys, suffix):
    if suffix == '.onnx':
        onnx = pytest.importorskip('onnx')
        pytest.importorskip('onnxscript')
        pytest.importorskip('onnxruntime')
    out = tmp_path / f'model{suffix}'
    found = main(['export', *trained, str(out), '--num-images', '3'])
    assert found.num_images == 3 and found.difference < 1e-5 and found.share < 1e-3
    printed = capsys.readouterr().out
    assert 'images of 32 x 48, 9 clusters' in printed
    assert 'on 3 images: confidence differs by at most' in printed
    if suffix == '.pt2':
        extra = {exporting.DESCRIPTION: ''}
        torch.export.load(out, extra_files=extra)
        description = json.loads(extra[exporting.DESCRIPTION])
    else:
        proto = onnx.load(out)
        onnx.checker.check_model(proto)
        (entry,) = proto.metadata_props
        assert entry.key == exporting.DESCRIPTION
        description = json.loads(entry.value)
        dims = proto.graph.input[0].type.tensor_type.shape.dim
        assert [dim.dim_param or dim.dim_value for dim in dims] == ['N', 32, 48, 3]
    assert description['legend']['8']['name'] == 'cluster 8'
    assert set(description['versions']) >= {'mmseg_picie', 'torch'}
    assert 'uint8 RGB, (N, 32, 48, 3)' in description['images']


@pytest.mark.slow
@needs_new_torch
def test_the_command_checks_on_given_images(trained, tmp_path, capsys):
    folder = tmp_path / 'photographs'
    folder.mkdir()
    for index, image in enumerate(scenes((90, 120), (61, 200))):
        Image.fromarray(image).save(folder / f'{index}.png')
    out = tmp_path / 'model.pt2'
    words = ['export', *trained, str(out), '--dynamic', '--images', str(folder)]
    assert main(words).num_images == 2
    assert 'any size' in capsys.readouterr().out


@needs_new_torch
def test_images_that_cannot_be_read_are_left_out_of_the_check(trained, tmp_path):
    cfg = Config.fromfile(trained[0])
    for index, image in enumerate(scenes((90, 120), (90, 120))):
        Image.fromarray(image).save(tmp_path / f'{index}.png')
    (tmp_path / 'broken.png').write_bytes(b'no image')
    (tmp_path / 'gone.png').symlink_to(tmp_path / 'nowhere.png')
    assert len(list(read_images(cfg, [str(tmp_path)], None, 4))) == 2
    for index in range(2):
        (tmp_path / f'{index}.png').unlink()
    with pytest.raises((FileNotFoundError, ValueError), match='correct the path|repair it'):
        list(read_images(cfg, [str(tmp_path)], None, 4))


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['{out}.pth'], 'OUT: must end in .onnx or .pt2'),
        (['{out}.pt2', '--size', '0', '5'], '--size: H and W must be from 1'),
        (['{out}.pt2', '--size', '9', '5', '--dynamic'], 'not allowed with'),
        (['{out}.pt2', '--images', 'nowhere'], '--images: nowhere does not exist'),
        (['{out}.pt2', '--num-images', '0'], '--num-images: must be at least 1'),
        (['{out}.pt2', '--ids', 'class'], 'never validated on labels'),
    ],
)
@needs_new_torch
def test_bad_input_is_refused_in_one_sentence(trained, tmp_path, capsys, words, message):
    out = str(tmp_path / 'file')
    with pytest.raises(SystemExit) as stop:
        main(['export', *trained, *[word.format(out=out) for word in words]])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.glob('file*'))


@needs_new_torch
def test_a_config_without_a_size_needs_one(trained, tmp_path, capsys):
    config = Config.fromfile(trained[0])
    config.test_pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(96, 64), keep_ratio=True),
        dict(type='PackSegInputs'),
    ]
    config.dump(trained[0])
    with pytest.raises(SystemExit):
        main(['export', *trained, str(tmp_path / 'file.pt2')])
    assert 'give --size H W, or --dynamic' in capsys.readouterr().err


def snippets() -> list[str]:
    """The Python code of docs/export.md."""
    text = (Path(__file__).parents[2] / 'docs' / 'export.md').read_text('utf-8')
    return [part.split('```')[0] for part in text.split('```python\n')[1:]]


@pytest.mark.slow
@pytest.mark.parametrize('suffix', ['.onnx', '.pt2'])
@needs_new_torch
def test_the_code_of_the_documentation_runs(make, tmp_path, monkeypatch, capsys, suffix):
    if suffix == '.onnx':
        pytest.importorskip('onnxscript')
        pytest.importorskip('onnxruntime')
    model = make('resnet18')
    exported = exporting.export(model, suffix, (32, 48), choose_ids(model))
    (tmp_path / f'model{suffix}').write_bytes(exported.content)
    Image.fromarray(draw_scene(7, 0, 64, 96)[0][..., ::-1]).save(tmp_path / 'image.png')
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(snippets()[suffix == '.pt2'], names)
    assert tuple(names['ids'].shape) == (1, 32, 48)
    if suffix == '.onnx':
        shares = dict(line.rsplit(' ', 1) for line in capsys.readouterr().out.splitlines())
        assert set(shares) <= {'sky', 'road', 'tree', 'car', 'no class'}
        assert sum(float(share.rstrip('%')) for share in shares.values()) == pytest.approx(
            100, 0.01
        )
