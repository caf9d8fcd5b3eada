"""Figures of a trained model that need no labels, to choose between runs."""

import copy
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.runner import Runner
from numpy.typing import NDArray
from torch import Tensor

from ..engine.distributed import unwrap_model
from ..engine.progress import track
from ..models import PiCIE
from .fresh_centroids import without_augmentation
from .runners import announce, build_runner

#: Images that a model is judged by.
NUM_IMAGES = 100
#: Pixels of all images together whose silhouette is taken.
NUM_SILHOUETTE = 4000
#: Share of an image's pixels that count as its colour edges.
EDGE_SHARE = 0.25
# Chooses images and pixels. Not the seed of the run, so that all runs look at the same ones.
_SEED = 0


class Judgement(NamedTuple):
    """What a model's clusters look like.

    Attributes:
        figures (dict[str, float]): by name, see :func:`judge`.
        clusters (NDArray): (n, h, w) clusters of the un-augmented images, in the same order for
            every model of the same data.
    """

    figures: dict[str, float]
    clusters: NDArray[np.int64]


def judge(cfg: Config, checkpoint: str, verbose: bool = True) -> Judgement:
    """Judge the clusters of a checkpoint by training images, without a label.

    - ``view agreement``: adjusted Rand index of the clusters of two augmented views, pixel by
      pixel (Hubert and Arabie 1985); NaN for a head that learns from one view.
    - ``silhouette``: mean silhouette of pixels by the cosine of their features (Rousseeuw 1987).
    - ``size entropy``: entropy of the clusters' shares of pixels, over that of equal shares.
    - ``edge share``: of the pixels at borders of segments, those whose colour gradient is among the
      largest quarter of their image.

    Args:
        cfg (Config): of its training.
        checkpoint (str): file.
        verbose (bool): as of :func:`.runs.build_runner`.

    Returns:
        Judgement: of the first view that predicts.

    Raises:
        ValueError: If the config is of no PiCIE.
    """
    views_of = copy.deepcopy(cfg.train_dataloader)
    cfg = without_augmentation(cfg)
    cfg.load_from, cfg.resume = checkpoint, False
    runner = build_runner(cfg, verbose)
    announce(runner)
    runner.load_or_resume()
    model = unwrap_model(runner).eval()
    assert isinstance(model, PiCIE)
    figures = {'view agreement': _judge_views(runner, model, views_of)}
    whole, clusters = _judge_images(runner, model, cfg.train_dataloader)
    return Judgement(figures | whole, clusters)


def rand_index(first: NDArray, second: NDArray) -> float:
    """Adjusted Rand index of two clusterings of the same pixels: 1 for the same, 0 for chance.

    Args:
        first (NDArray): clusters, of any shape.
        second (NDArray): clusters, of that shape.
    """
    from sklearn.metrics import adjusted_rand_score  # takes a second

    return float(adjusted_rand_score(first.ravel(), second.ravel()))


def edge_share(images: Tensor, clusters: Tensor) -> float:
    """Of the pixels at borders of segments, the share that lies on colour edges.

    A pixel is at a border if its right or its lower neighbour is of another cluster. Its gradient
    is the larger difference to these, in Euclidean distance of colours; edges are the
    :data:`EDGE_SHARE` of each image's pixels with the largest ones. Chance gives that share.

    Args:
        images (Tensor): (N, 3, H, W) colours.
        clusters (Tensor): (N, H, W).

    Returns:
        float: 0 to 1; NaN if there is no border.
    """
    here = images[..., :-1, :-1]
    right, lower = images[..., :-1, 1:], images[..., 1:, :-1]
    gradient = torch.maximum((right - here).norm(dim=1), (lower - here).norm(dim=1)).flatten(1)
    borders = clusters[:, :-1, :-1] != clusters[:, :-1, 1:]
    borders |= clusters[:, :-1, :-1] != clusters[:, 1:, :-1]
    number = max(1, round(EDGE_SHARE * gradient.shape[1]))
    edges = torch.zeros_like(gradient, dtype=torch.bool)
    edges.scatter_(1, gradient.topk(number, dim=1).indices, True)
    edges &= gradient > 0  # of a flat image, fewer than the share
    borders = borders.flatten(1)
    return float((borders & edges).sum() / borders.sum()) if borders.any() else float('nan')


def size_entropy(clusters: NDArray, num_clusters: int) -> float:
    """Entropy of the clusters' shares of pixels, over that of equal shares: 0 to 1.

    Args:
        clusters (NDArray): of any shape.
        num_clusters (int): K, at least 2.
    """
    shares = np.bincount(clusters.ravel(), minlength=num_clusters) / clusters.size
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum() / np.log(num_clusters))


def silhouette(points: NDArray, clusters: NDArray) -> float:
    """Mean silhouette by the cosine; NaN if all points are of one cluster.

    Args:
        points (NDArray): (P, D).
        clusters (NDArray): (P,).
    """
    from sklearn.metrics import silhouette_score

    number = len(np.unique(clusters))
    if not 1 < number < len(clusters):
        return float('nan')
    return float(silhouette_score(points, clusters, metric='cosine'))


@torch.no_grad()
def _judge_views(runner: Runner, model: PiCIE, loader: dict) -> float:
    """Agreement of two augmented views."""
    if model.num_views < 2:
        return float('nan')
    found: list[list[NDArray]] = [[], []]
    batches = _build(runner, loader)
    for batch in track(batches, 'Comparing views', len(batches)):
        data = model.data_preprocessor(batch, False)
        seen = model.forward_frozen(data['inputs'], data['data_samples'])
        views = model.extract_views(seen, data['data_samples'], model.encoder)
        for clusters, maps in zip(found, views, strict=False):
            clusters.append(_logits(model, maps).argmax(1).cpu().numpy())
    first, second = (np.concatenate(clusters) for clusters in found)
    return rand_index(first, second)


@torch.no_grad()
def _judge_images(
    runner: Runner, model: PiCIE, loader: dict
) -> tuple[dict[str, float], NDArray[np.int64]]:
    """The other figures, and the clusters, of whole images."""
    rng = np.random.default_rng(_SEED)
    points, labels, shares, maps_of_clusters = [], [], [], []
    batches = _build(runner, loader)
    for batch in track(batches, 'Judging segments', len(batches)):
        images = model.data_preprocessor(batch, False)['inputs'][-1]
        maps = model.extract_feat(images)
        logits = _logits(model, maps)
        clusters = logits.argmax(1)
        features = model.decode_head.embed(maps).permute(0, 2, 3, 1)
        per_image = max(1, NUM_SILHOUETTE // NUM_IMAGES)
        for of_image, of_clusters in zip(features.flatten(1, 2), clusters.flatten(1), strict=True):
            chosen = rng.permutation(len(of_clusters))[:per_image]
            points.append(of_image[chosen].cpu().numpy())
            labels.append(of_clusters[chosen].cpu().numpy())
        large = F.interpolate(logits, images.shape[2:], mode='bilinear', align_corners=False)
        for image, segments in zip(images, large.argmax(1), strict=True):
            shares.append(edge_share(image[None], segments[None]))
        maps_of_clusters.append(clusters.cpu().numpy())
    predicted = np.concatenate(maps_of_clusters)
    known = [share for share in shares if not np.isnan(share)]
    figures = {
        'silhouette': silhouette(np.concatenate(points), np.concatenate(labels)),
        'size entropy': size_entropy(predicted, model.decode_head.num_clusters),
        'edge share': float(np.mean(known)) if known else float('nan'),
    }
    return figures, predicted


def _build(runner: Runner, loader: dict) -> torch.utils.data.DataLoader:
    """A loader of the same images for every run of the same data, few enough to look at."""
    sampler = dict(type='EpochKeySampler', round_up=False, num_samples=NUM_IMAGES)
    return runner.build_dataloader(dict(loader, sampler=sampler, drop_last=False), seed=_SEED)


def _logits(model: PiCIE, maps: list[Tensor]) -> Tensor:
    """Logits (N, K, h, w) of the first view that predicts."""
    return model.decode_head(maps)[:, : model.decode_head.num_clusters].float()
