"""Centroids fitted afresh, with the weights as they are, on un-augmented training images."""

import copy
import dataclasses

from mmengine.config import Config
from mmengine.runner import Runner

from ..models import CentroidHead, DeepClusterHead, PiCIE
from .centroid_hook import KMeansCentroidHook
from .clustering_pass import PassSettings, build_clustering_loader, cluster_views
from .distributed import unwrap_model


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


def pass_settings(runner: Runner) -> PassSettings:
    """The clustering of the config, for a single pass.

    Args:
        runner (Runner): of a config whose ``default_hooks.clustering`` is a
            :class:`KMeansCentroidHook`.

    Returns:
        PassSettings: with the runner's seed, as of epoch 0, normalisation in eval mode.
    """
    return dataclasses.replace(clustering_hook(runner).settings(runner.seed, 0), norm_eval=True)


def clustering_hook(runner: Runner) -> KMeansCentroidHook:
    """The hook that the config's ``default_hooks.clustering`` makes."""
    return next(hook for hook in runner.hooks if isinstance(hook, KMeansCentroidHook))


def fit_fresh_centroids(runner: Runner) -> None:
    """Cluster the features of whole images and write the centroids into the heads, for all views.

    From then on the model predicts with them: a classifier takes them as its weights.

    Args:
        runner (Runner): of a config :func:`without_augmentation`, its model's weights in place.

    Raises:
        ValueError: If the head that predicts does not cluster, or the ranks cannot have equal
            shares of a batch.
    """
    model = unwrap_model(runner)
    assert isinstance(model, PiCIE)
    head = model.decode_head
    if not isinstance(head, CentroidHead):
        raise ValueError(
            'fresh centroids need a decode_head that clusters, such as CentroidHead, but it is a '
            f'{type(head).__name__}; test that model as it is.'
        )
    hook = clustering_hook(runner)
    loader = build_clustering_loader(
        runner, hook.batch_size, hook.images_per_epoch, hook.forward_batch_size
    )
    for name, clusterings in cluster_views(model, loader, pass_settings(runner)).items():
        # The last view is resized as images are for evaluation.
        last, fitted = clusterings[-1], model.heads()[name]
        fitted.set_centroids(
            last.centroids.expand_as(fitted.centroids), last.counts.expand_as(fitted.cluster_counts)
        )
        if isinstance(fitted, DeepClusterHead):
            fitted.classify_by_centroids()  # its classifier belonged to the old ones
