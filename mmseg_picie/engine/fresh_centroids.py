"""Centroids fitted afresh, with the weights as they are, on un-augmented training images."""

import copy
import os

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from ..models import CentroidHead, PiCIE
from .class_map_hook import describe_clusters
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


def pass_settings(runner: Runner) -> PassSettings:
    """The clustering of the config, for a single pass.

    Args:
        runner (Runner): of a config whose ``default_hooks.clustering`` is a
            :class:`KMeansCentroidHook`.

    Returns:
        PassSettings: with the runner's seed, as of epoch 0, normalisation in eval mode.
    """
    clustering = runner.cfg.default_hooks.clustering
    return PassSettings(
        num_init_batches=clustering.num_init_batches,
        num_iters=clustering.num_iters,
        batches_per_update=clustering.get('batches_per_update', 1),
        pixels_per_image=clustering.get('pixels_per_image'),
        norm_eval=True,
        seed=runner.seed,
        epoch=0,
    )


def fit_fresh_centroids(runner: Runner) -> None:
    """Cluster the features of whole images and write the centroids into the heads, for all views.

    Args:
        runner (Runner): of a config :func:`without_augmentation`, its model's weights in place.

    Raises:
        ValueError: If a head has no centroids that predict.
    """
    model = runner.model
    assert isinstance(model, PiCIE)
    head = model.decode_head
    if not isinstance(head, CentroidHead):
        raise ValueError(
            'fresh centroids need a decode_head that clusters, such as CentroidHead, but it is a '
            f'{type(head).__name__}; test that model as it is.'
        )
    if getattr(head, 'predict_with', 'centroids') != 'centroids':
        raise ValueError(
            f"decode_head.predict_with is '{head.predict_with}', so centroids would not be used; "
            'add --cfg-options model.decode_head.predict_with=centroids.'
        )
    clustering = runner.cfg.default_hooks.clustering
    loader = build_clustering_loader(
        runner, clustering.batch_size, clustering.get('images_per_epoch')
    )
    for name, clusterings in cluster_views(model, loader, pass_settings(runner)).items():
        # The last view is resized as images are for evaluation.
        last, fitted = clusterings[-1], model.heads()[name]
        fitted.set_centroids(
            last.centroids.expand_as(fitted.centroids), last.counts.expand_as(fitted.cluster_counts)
        )


def save_with_centroids(runner: Runner, source: str, path: str) -> None:
    """Write a checkpoint again with the centroids, and the map, that the model has now.

    Args:
        runner (Runner): whose model.
        source (str): checkpoint that the weights come from; a local file.
        path (str): file to write; it is replaced whole or not at all. It holds no optimiser.
    """
    checkpoint = torch.load(source, map_location='cpu', weights_only=True)
    state = {key: value.cpu() for key, value in runner.model.state_dict().items()}
    meta = checkpoint.get('meta', {}) | dict(
        dataset_meta=describe_clusters(runner), centroids='fresh'
    )
    temporary = path + '.tmp'
    torch.save(dict(meta=meta, state_dict=state), temporary)
    os.replace(temporary, path)
