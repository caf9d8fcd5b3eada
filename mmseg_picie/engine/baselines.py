"""Scores to compare PiCIE with: k-means without any training, with the same K and evaluator."""

import copy

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from mmengine.structures import PixelData
from torch import Tensor

from ..clustering import StreamingKMeans, assign
from .clustering_pass import PassSettings, build_clustering_loader, cluster_views


def without_augmentation(cfg: Config) -> Config:
    """A copy of a config whose views are the whole training images, unchanged.

    Args:
        cfg (Config): config whose training pipeline has :class:`PairedViews`.

    Returns:
        Config: the same without photometric and geometric draws.
    """
    cfg = copy.deepcopy(cfg)
    for transform in cfg.train_dataloader.dataset.pipeline:
        if transform['type'] == 'PairedViews':
            transform.update(photometric=None, geometric=None)
    return cfg


def score_untrained_features(runner: Runner) -> dict[str, float]:
    """k-means on the features of the encoder as it is before training.

    Args:
        runner (Runner): of a config :func:`without_augmentation`; its model is initialised here.

    Returns:
        dict[str, float]: the metrics of the validation.
    """
    model = runner.model
    model.init_weights()
    settings = _settings(runner)
    loader = build_clustering_loader(runner, runner.cfg.default_hooks.clustering.batch_size)
    for name, clusterings in cluster_views(model, loader, settings).items():
        # The second view is resized as images are for evaluation.
        last = clusterings[-1]
        head = model.heads()[name]
        head.set_centroids(
            last.centroids.expand_as(head.centroids), last.counts.expand_as(head.cluster_counts)
        )
    return runner.val()


@torch.no_grad()
def score_raw_colours(runner: Runner) -> dict[str, float]:
    """k-means on the R, G, B values of the pixels.

    Args:
        runner (Runner): of a config :func:`without_augmentation`.

    Returns:
        dict[str, float]: the metrics of the validation.
    """
    num_clusters = runner.model.decode_head.num_clusters
    settings = _settings(runner)
    stream = StreamingKMeans(
        num_clusters, settings.num_init_batches, settings.num_iters, seed=settings.seed
    )
    loader = build_clustering_loader(runner, runner.cfg.default_hooks.clustering.batch_size)
    for batch in loader:
        stream.add(_colours(torch.stack(batch['inputs'][-1])))
    centroids = stream.finish().centroids
    evaluator: Evaluator = runner.val_evaluator
    for batch in runner.val_dataloader:
        for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
            clusters = assign(_colours(image[None])[0], centroids).labels.view(1, *image.shape[1:])
            sample.pred_sem_seg = PixelData(data=clusters)
            sample.seg_logits = PixelData(
                data=torch.nn.functional.one_hot(clusters[0], num_clusters).permute(2, 0, 1)
            )
        evaluator.process(data_samples=batch['data_samples'], data_batch=batch)
    return evaluator.evaluate(len(runner.val_dataloader.dataset))


def _settings(runner: Runner) -> PassSettings:
    """The clustering of the config, for a single pass."""
    clustering = runner.cfg.default_hooks.clustering
    return PassSettings(
        num_init_batches=clustering.num_init_batches,
        num_iters=clustering.num_iters,
        batches_per_update=1,
        pixels_per_image=None,
        norm_eval=True,
        seed=runner.seed,
        epoch=0,
    )


def _colours(images: Tensor) -> Tensor:
    """(N, P, 3) float32 values in [0, 1] of (N, 3, H, W) uint8 images."""
    return images.flatten(2).mT.float().div(255).contiguous()
