"""A small PiCIE and inputs for it."""

from collections.abc import Callable

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_picie.models import PiCIE
from mmseg_picie.views import GeometricDraw

K, D = 5, 12


@pytest.fixture
def make_picie() -> Callable[..., PiCIE]:
    """Build a PiCIE of about 0.2 million weights; keyword arguments replace parts of its config."""

    def make(head: dict | None = None, **kwargs) -> PiCIE:
        torch.manual_seed(0)
        config = dict(
            type='PiCIE',
            frozen_dtype='float32',  # the same on every processor
            backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8),
            neck=dict(type='SumFPN', in_channels=(8, 16, 32, 64), out_channels=D),
            decode_head=dict(type='CentroidHead', num_clusters=K, in_channels=D, **(head or {})),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        )
        return MODELS.build(ConfigDict({**config, **kwargs}))

    return make


@pytest.fixture
def efficientnet() -> dict:
    """Options of `make_picie` for an EfficientNet-Lite0."""
    pytest.importorskip('timm')
    return dict(
        backbone=dict(
            type='TIMMBackbone',
            model_name='tf_efficientnet_lite0',
            features_only=True,
            pretrained=False,
        ),
        neck=dict(type='SumFPN', in_channels=(16, 24, 40, 112, 320), out_channels=D),
    )


@pytest.fixture
def fit() -> Callable[[PiCIE], PiCIE]:
    """Give the heads of a model random centroids and counts, and the model a labeler."""

    def fit_heads(model: PiCIE) -> PiCIE:
        generator = torch.Generator().manual_seed(1)
        for head in model.heads().values():
            counts = torch.randint(1, 100, head.cluster_counts.shape, generator=generator)
            head.set_centroids(torch.randn(head.centroids.shape, generator=generator), counts)
        model.refresh_labeler()
        return model

    return fit_heads


@pytest.fixture
def pair() -> tuple[list[torch.Tensor], list[SegDataSample]]:
    """Two views of two images of 32 x 48 pixels, and their samples."""
    generator = torch.Generator().manual_seed(2)
    views = [torch.randn(2, 3, 32, 48, generator=generator) for _ in range(2)]
    draws = [GeometricDraw(0.1, 0.2, 0.6, 0.7), GeometricDraw(0.3, 0.0, 0.5, 0.5, hflip=True)]
    return views, [SegDataSample(metainfo=dict(geometry=draw)) for draw in draws]
