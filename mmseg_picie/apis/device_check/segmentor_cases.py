"""Cases of the whole segmentor: training steps, predictions, scores."""

from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from ...evaluation import HungarianIoUMetric
from ...models import CentroidHead, FrozenEncoder, PiCIE, ViewTTAModel
from ...models.frozen_copy import FrozenCopy
from ...models.predictor import Predictor
from ...models.window_prediction import find_unit, label_in_windows, plan_windows
from .cases import LeftOut, Results, case, draw, draw_counts
from .clustering_cases import D, K
from .model_cases import DRAWS

_SIZE = (64, 96)
_BACKBONE = dict(type='ResNet', depth=18, base_channels=8, stem_channels=8)
_NECK = dict(type='SumFPN', in_channels=(8, 16, 32, 64), out_channels=D)


def build(device: torch.device, head: dict | None = None, **options: Any) -> PiCIE:
    """A PiCIE of 0.2 million weights, with centroids and a frozen encoder.

    Args:
        device (torch.device): where it is put; its weights are drawn on the CPU.
        head (dict, optional): further options of its head.
        options (Any): of the segmentor.
    """
    config = dict(
        type='PiCIE',
        data_preprocessor=dict(type='PairedViewDataPreProcessor'),
        backbone=_BACKBONE,
        neck=_NECK,
        decode_head=dict(type='CentroidHead', num_clusters=K, in_channels=D, **(head or {})),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )
    init_default_scope('mmseg')
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        model: Any = MODELS.build(ConfigDict({**config, **options}))
    model.to(device)
    for index, found in enumerate(model.heads().values()):
        if isinstance(found, CentroidHead):
            shape = found.cluster_counts.shape
            counts = draw_counts(index, *shape).to(device)
            found.set_centroids(draw(index, *shape, D).to(device), counts)
    model.freeze_encoder()
    return model


def draw_views() -> dict[str, Any]:
    """A batch of two images as two views, as a data loader gives it."""
    views = [[_draw_image(10 * view + index) for index in range(2)] for view in range(2)]
    metas = [dict(geometry=geometry, sample_idx=index) for index, geometry in enumerate(DRAWS)]
    return dict(inputs=views, data_samples=[SegDataSample(metainfo=meta) for meta in metas])


def draw_images() -> dict[str, Any]:
    """A batch of two images to predict."""
    metas = [dict(ori_shape=(70, 100), img_shape=_SIZE, pad_shape=_SIZE) for _ in range(2)]
    samples = [SegDataSample(metainfo=meta) for meta in metas]
    return dict(inputs=[_draw_image(index) for index in range(2)], data_samples=samples)


def _draw_image(seed: int) -> Tensor:
    return (draw(seed, 3, *_SIZE) * 50 + 120).clamp(0, 255).byte()


def train_once(model: PiCIE) -> Results:
    """Losses of a training step, and the size of each gradient."""
    data = model.data_preprocessor(draw_views(), True)
    model.train()
    losses = model.loss(**data)
    model.zero_grad()
    torch.stack(list(losses.values())).sum().backward()
    gradients = [weight.grad for weight in model.parameters()]
    sizes = [gradient.norm() for gradient in gradients if gradient is not None]
    return dict(losses=losses, gradients=sizes)


@case('training step', slack=10)
def train(device: torch.device) -> Results:
    second = dict(type='CentroidHead', num_clusters=2 * K, in_channels=D)
    return dict(one=train_once(build(device)), two=train_once(build(device, auxiliary_head=second)))


@case('training step of a frozen backbone', slack=10)
def train_decoder(device: torch.device) -> Results:
    model = build(device, frozen=('backbone',))
    stored = {name: value.clone() for name, value in (model.labeler_weights or {}).items()}
    model.freeze_encoder(stored)
    return train_once(model)


@case('training step, view by view', slack=10)
def train_views(device: torch.device) -> Results:
    model = build(device)
    model.train()
    data = model.data_preprocessor(draw_views(), True)
    return dict(losses=list(model.losses_by_view(**data)), separable=model.is_separable)


@case('prediction')
def predict(device: torch.device) -> Results:
    results: Results = {}
    slide = ConfigDict(mode='slide', crop_size=(48, 48), stride=(32, 32))
    for name, mode in dict(whole=ConfigDict(mode='whole'), slide=slide).items():
        model = build(device, dict(predict_views=(1, 0)), test_cfg=mode).eval()
        data = model.data_preprocessor(draw_images(), False)
        with torch.no_grad():
            results[name] = _read(model.predict(**data))
            model.most_logits = 0  # by bands
            samples = model.data_preprocessor(draw_images(), False)['data_samples']
            results[f'{name} in bands'] = _read(model.predict(data['inputs'], samples))
            with model.only_labels():
                results[f'{name}, labels'] = _read(model.predict(data['inputs']))
    return results


def _read(samples: list[SegDataSample]) -> Results:
    fields = ('pred_sem_seg', 'pred_view_sem_seg', 'seg_logits')
    return {
        name: [sample.get(name).data for sample in samples] for name in fields if name in samples[0]
    }


@case('prediction of padded images, and names')
def predict_padded(device: torch.device) -> Results:
    preprocessor = dict(type='PairedViewDataPreProcessor', size_divisor=50)
    model = build(device, data_preprocessor=preprocessor).eval()
    data = draw_images()
    with torch.no_grad():
        found = model.predict(**model.data_preprocessor(data, False))
    return dict(_read(found), colours=model.dataset_meta['palette'])


@case('prediction in windows')
def predict_windows(device: torch.device) -> Results:
    model = build(device).eval()
    image = _draw_image(1)
    rows, columns = (plan_windows(side, 32, find_unit(model)) for side in _SIZE)
    bands = label_in_windows(
        model, lambda top, bottom: image[:, top:bottom], rows, columns, (80, 120)
    )
    return dict(labels=torch.cat([labels for _, labels in bands], dim=1))


@case('prediction as it is exported')
def predict_exported(device: torch.device) -> Results:
    predictor = Predictor(build(device).eval(), range(K)).eval()
    images = torch.stack([_draw_image(seed) for seed in (1, 2)]).permute(0, 2, 3, 1).to(device)
    with torch.no_grad():
        ids, confidence = predictor(images)
    return dict(ids=ids, confidence=confidence)


@case('test-time augmentation')
def augment(device: torch.device) -> Results:
    results: Results = {}
    for name, views in dict(one=(0,), both=(1, 0)).items():
        model = build(device, dict(predict_views=views)).eval()
        augmented = ViewTTAModel(model)
        data = [model.data_preprocessor(draw_images(), False) for _ in range(2)]
        with torch.no_grad():
            found = [model.predict(each['inputs'], each['data_samples']) for each in data]
        results[name] = _read(augmented.merge_preds(list(zip(*found, strict=True))))
    return results


@case('refined prediction')
def refine(device: torch.device) -> Results:
    try:
        model = build(device, dict(predict_views=(1, 0)), crf=dict(num_iters=2)).eval()
    except ImportError as error:
        raise LeftOut('pydensecrf2 is not installed') from error
    with torch.no_grad():
        return _read(model.predict(**model.data_preprocessor(draw_images(), False)))


@case('frozen encoder')
def freeze(device: torch.device) -> Results:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        encoder = FrozenEncoder(_BACKBONE, _NECK)
    encoder = encoder.to(device)
    images = draw(1, 2, 3, 50, 70).to(device)
    copied = FrozenCopy(encoder.backbone)
    return dict(features=encoder(images), levels=copied(encoder.fit_images(images)))


@case('scores of predictions')
def score(device: torch.device) -> Results:
    model = build(device, dict(predict_views=(1, 0))).eval()
    metric = HungarianIoUMetric()
    metric.dataset_meta = dict(classes=[f'class {index}' for index in range(K)])
    with torch.no_grad():
        samples = model.predict(**model.data_preprocessor(draw_images(), False))
    for seed, sample in enumerate(samples):
        labels = (draw_counts(seed, 1, 70, 100) % K).to(device)
        sample.set_data(dict(gt_sem_seg=type(sample.pred_sem_seg)(data=labels)))
    metric.process({}, [sample.to_dict() for sample in samples])
    scores = metric.evaluate(len(samples))
    return {name: torch.tensor(value) for name, value in scores.items()}
