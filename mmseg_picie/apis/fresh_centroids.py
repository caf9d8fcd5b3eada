"""Centroids fitted afresh, with the weights as they are, on un-augmented training images."""

import copy
import dataclasses

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from mmseg.registry import MODELS

from ..engine.clustering_pass import PassSettings, build_clustering_loader, cluster_views
from ..engine.distributed import unwrap_model
from ..engine.facts import log_file
from ..engine.hooks import PrincipalDecoderHook
from ..engine.hooks.kmeans_centroid_hook import KMeansCentroidHook
from ..models import CentroidHead, PiCIE
from .checkpoints import save_for_prediction
from .launchers import leave_process_group
from .runners import announce, build_runner
from .runs import Done


def without_augmentation(cfg: Config) -> Config:
    """A copy of a config whose views are the whole training images, unchanged.

    Args:
        cfg (Config): config whose training pipeline has :class:`PairedViews`.

    Returns:
        Config: the same without photometric and geometric draws.

    Raises:
        ValueError: If it is of no PiCIE.
    """
    if not issubclass(MODELS.get(cfg.model.type) or object, PiCIE):
        raise ValueError(
            f'model.type must be PiCIE, whose features are clustered, but is {cfg.model.type}; '
            'give the config of a PiCIE training.'
        )
    cfg = copy.deepcopy(cfg)
    for transform in cfg.train_dataloader.dataset.pipeline:
        if transform['type'] == 'PairedViews':
            transform.update(photometric=None, geometric=None)
    return cfg


def on_validation_images(cfg: Config) -> Config:
    """A copy of a config whose training images are those of its validation.

    Args:
        cfg (Config): with a validation.

    Returns:
        Config: the same, its training pipeline included.
    """
    cfg = copy.deepcopy(cfg)
    pipeline = cfg.train_dataloader.dataset.pipeline
    cfg.train_dataloader.dataset = copy.deepcopy(cfg.val_dataloader.dataset)
    cfg.train_dataloader.dataset.pipeline = pipeline
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
    for hook in runner.hooks:
        if isinstance(hook, KMeansCentroidHook):
            return hook
    raise ValueError(
        'default_hooks.clustering of the config must say how to cluster, but is missing; add '
        "dict(type='KMeansCentroidHook')."
    )


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
        fitted.classify_by_centroids()  # what it has learned belonged to the old ones


def start_from_pretrained(runner: Runner) -> None:
    """Give the model the weights that a training starts from.

    Args:
        runner (Runner): of a config :func:`without_augmentation`, with nothing to load.
    """
    model = unwrap_model(runner)
    assert isinstance(model, PiCIE)
    model.init_weights()
    for hook in runner.hooks:
        if isinstance(hook, PrincipalDecoderHook):
            hook.before_train(runner)


def score_fresh_centroids(
    cfg: Config,
    checkpoint: str | None,
    out: str | None = None,
    verbose: bool = True,
    on_validation: bool = False,
) -> Done:
    """Fit the centroids of a checkpoint afresh, and score them.

    Args:
        cfg (Config): of its training.
        checkpoint (str, optional): file whose weights are used; without it those that a training
            would start from, the decoder being begun by the config's ``PrincipalDecoderHook`` if
            it has one: k-means on frozen features.
        out (str, optional): checkpoint to write, with the new centroids and their map to classes.
        verbose (bool): as of :func:`.runs.build_runner`.
        on_validation (bool): whether the images of the validation are clustered, not those of the
            training. Some papers do so.

    Returns:
        Done: the scores of the validation; none if the config has no validation.

    Raises:
        ValueError: As of :func:`fit_fresh_centroids`.
    """
    cfg = without_augmentation(on_validation_images(cfg) if on_validation else cfg)
    cfg.load_from, cfg.resume = checkpoint, False
    runner = build_runner(cfg, verbose)
    announce(runner)
    if checkpoint is None:
        start_from_pretrained(runner)
    runner.load_or_resume()
    fit_fresh_centroids(runner)
    metrics = runner.val() if cfg.get('val_cfg') else {}
    if out and is_main_process():
        save_for_prediction(runner, checkpoint, out)
    done = Done(metrics, log_file(runner), out or '', is_main_process())
    del runner
    leave_process_group()
    return done
