"""Cases of views, losses, decoder, heads and what enlarges their logits."""

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...clustering.naming import distinct_palette
from ...models import CentroidHead, DeepClusterHead, DenseCRF, IICHead, SumFPN, ViewHead
from ...models.enlarging import Grid, group_cells, label_bands, make_taps
from ...models.losses import (
    balanced_weights,
    frequency_weights,
    mutual_information,
    view_cross_entropies,
)
from ...models.stride import fit_to_stride, measure_stride
from ...models.view_head import map_to_bytes
from ...models.windows import blend_bands, hat, plan_intervals, share_weights
from ...views import GeometricDraw, crop_flip_features
from .cases import LeftOut, Results, case, draw, draw_counts
from .clustering_cases import D, K

#: Two crops of images, one of them mirrored.
DRAWS = (GeometricDraw(0.1, 0.2, 0.6, 0.7), GeometricDraw(0.3, 0.0, 0.5, 0.5, hflip=True))
_SIZE = (9, 7)


def draw_maps(seed: int, device: torch.device, channels: int = D) -> Tensor:
    """Maps (2, channels, 9, 7) that gradients are asked for."""
    return draw(seed, 2, channels, *_SIZE).to(device).requires_grad_()


def with_gradients(losses: dict[str, Tensor], *inputs: Tensor) -> Results:
    """Losses, and the gradients of their sum."""
    total = torch.stack(list(losses.values())).sum()
    return dict(losses, gradients=list(torch.autograd.grad(total, inputs)))


@case('crops and flips of feature maps')
def crop(device: torch.device) -> Results:
    maps = draw_maps(1, device)
    cropped = crop_flip_features(maps, DRAWS, (6, 8))
    weights = draw(2, *cropped.shape).to(device)
    return dict(cropped=cropped, **with_gradients(dict(sum=(cropped * weights).sum()), maps))


@case('losses between views')
def lose(device: torch.device) -> Results:
    maps = [draw_maps(seed, device) for seed in (1, 2)]
    unit = [F.normalize(each, dim=1) for each in maps]
    labels = [(draw_counts(seed, 2, *_SIZE) % K).to(device) for seed in (3, 4)]
    counts = draw_counts(5, 2, K)
    counts[0, 2] = 0
    counts = counts.to(device)
    centroids = draw(6, 2, K, D).to(device)
    losses = dict(
        frequency=view_cross_entropies(unit, labels, centroids, frequency_weights(counts)).sum(),
        balanced=view_cross_entropies(unit, labels, centroids, balanced_weights(counts)).sum(),
        plain=view_cross_entropies(unit, labels, centroids).sum(),
        information=mutual_information(maps[0].softmax(1), maps[1].softmax(1), 1),
    )
    return with_gradients(losses, *maps)


@case('decoder')
def decode(device: torch.device) -> Results:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        decoder = SumFPN((4, 6), D).to(device)
    levels = [draw(1, 2, 4, 8, 6).to(device), draw(2, 2, 6, 4, 3).to(device)]
    (first,) = decoder(levels)
    gradients = torch.autograd.grad(first.square().sum(), list(decoder.parameters()))
    decoder.project(draw(3, D, 10).to(device), draw(4, D).to(device))
    return dict(map=first, gradients=gradients, stacked=decoder.stack(levels), own=decoder(levels))


def _fit(head: CentroidHead, device: torch.device) -> None:
    shape = head.cluster_counts.shape
    head.set_centroids(draw(8, *shape, D).to(device), draw_counts(9, *shape).to(device))


@case('head of centroids')
def learn_centroids(device: torch.device) -> Results:
    results: Results = {}
    for name, options in dict(
        plain=dict(predict_views=(1, 0)),
        balanced=dict(class_weight='balanced'),
        merged=dict(centroids_per_cluster=3, class_weight='none'),
    ).items():
        head = CentroidHead(K, D, **options).to(device)  # type: ignore[arg-type]
        _fit(head, device)
        views = [[draw_maps(seed, device)] for seed in (1, 2)]
        labels = head.make_labels([[draw(seed, 2, D, *_SIZE).to(device)] for seed in (3, 4)])
        losses = head.loss_by_views(views, labels)
        results[name] = dict(
            labels=labels,
            logits=head(views[0]),
            prediction=head.predict(views[0], [dict(img_shape=(18, 14))], {}),
            **with_gradients(losses, *(maps for (maps,) in views)),
        )
    return results


@case('head of modified DeepCluster')
def learn_classifier(device: torch.device) -> Results:
    results: Results = {}
    for predictor in ('classifier', 'centroids'):
        head = DeepClusterHead(K, D, predict_with=predictor, class_weight='frequency').to(device)
        _fit(head, device)
        head.classify_by_centroids()  # what it starts with is drawn on the device
        maps = draw_maps(1, device)
        losses = head.loss_by_views(
            [[maps]], head.make_labels([[draw(2, 2, D, *_SIZE).to(device)]])
        )
        weights = head.parameters_of_epoch()
        results[predictor] = dict(logits=head([maps]), **with_gradients(losses, maps, *weights))
    return results


@case('head of IIC')
def learn_information(device: torch.device) -> Results:
    head = IICHead(K, D)
    head.conv_seg.load_state_dict(dict(weight=draw(3, K, D, 1, 1), bias=draw(4, K)))
    head = head.to(device)
    views = [draw_maps(seed, device) for seed in (1, 2)]
    losses = head.loss_by_views([[maps] for maps in views])
    return dict(logits=head([views[0]]), **with_gradients(losses, *views, head.conv_seg.weight))


@case('names of clusters')
def name(device: torch.device) -> Results:
    head: ViewHead = CentroidHead(K, D).to(device)
    classes = [f'class {index}' for index in range(K)]
    meta = dict(classes=classes, palette=np.array(distinct_palette(K)))
    head.store_map([0], torch.arange(K)[None], meta)
    head.store_map([1], torch.arange(K).flip(0)[None].to(device), meta)
    return dict(
        map=head.cluster_to_class,
        bytes=head.map_classes,
        again=map_to_bytes(head.map_meta),
        colours=[head.name_clusters(view).palette for view in range(2)],
    )


@case('labels of enlarged logits')
def enlarge(device: torch.device) -> Results:
    logits = draw(1, 2 * K, 6, 5).to(device)
    bands = [(0, logits[:, :4]), (4, logits[:, 4:])]
    rows, columns = (group_cells(make_taps(n, m), device) for n, m in ((6, 31), (5, 40)))
    return dict(
        bands=torch.cat([part for _, part in label_bands(bands, (6, 5), (31, 40), K)], dim=1),
        whole=Grid(logits[:K]).label(rows, columns),
    )


@case('blended windows')
def blend(device: torch.device) -> Results:
    image = draw(1, 3, 24, 20).to(device)
    rows, columns = plan_intervals(24, 12, 8), plan_intervals(20, 8, 4)
    strips = [
        band
        for _, band in blend_bands(
            lambda windows: F.avg_pool2d(windows, 2) ** 2,
            lambda top, bottom: image[:, top:bottom],
            rows,
            columns,
            2,
        )
    ]
    shares = share_weights(rows, 2, hat(6))
    return dict(blended=torch.cat(strips, dim=1), shares=shares)


@case('fit of images to a stride')
def fit_stride(device: torch.device) -> Results:
    network = nn.Conv2d(3, 4, 3, stride=8, padding=1).to(device)
    fitted = fit_to_stride(draw(1, 2, 3, 30, 45).to(device), 8)
    return dict(stride=measure_stride(network), fitted=fitted)


@case('refinement by a CRF')
def refine(device: torch.device) -> Results:
    try:
        crf = DenseCRF(num_iters=2)
    except ImportError as error:
        raise LeftOut('pydensecrf2 is not installed') from error
    image = (draw(1, 12, 10, 3) * 50 + 128).clamp(0, 255).byte().numpy()
    return dict(probabilities=crf(image, draw(2, K, 12, 10).to(device)))


@case('tokens of a vision transformer')
def transform(device: torch.device) -> Results:
    try:
        import timm  # noqa: F401
    except ImportError as error:
        raise LeftOut('timm is not installed') from error
    results: Results = {}
    for tokens in ('patch', 'key'):
        small = dict(img_size=28, depth=2, embed_dim=24, num_heads=2)
        settings = dict(
            type='TIMMViT', model_name='vit_tiny_patch16_224', tokens=tokens, options=small
        )
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            network = MODELS.build(ConfigDict(settings)).to(device).eval()
        results[tokens] = network(draw(1, 1, 3, 48, 32).to(device))
    return results
