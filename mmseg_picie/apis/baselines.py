"""Scores to compare PiCIE with: k-means without any training, with the same K and evaluator."""

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from mmengine.structures import PixelData
from torch import Tensor

from ..clustering import StreamingKMeans, assign
from ..engine.clustering_pass import build_clustering_loader
from ..engine.progress import track
from .fresh_centroids import fit_fresh_centroids, pass_settings, without_augmentation
from .runners import announce, build_runner


def score_baselines(cfg: Config, verbose: bool = True) -> dict[str, dict[str, float]]:
    """Score all baselines.

    Args:
        cfg (Config): of a PiCIE training, with a validation.
        verbose (bool): as of :func:`.runs.build_runner`.

    Returns:
        dict[str, dict[str, float]]: the metrics of each.

    Raises:
        ValueError: If the head does not cluster.
    """
    cfg = without_augmentation(cfg)
    cfg.load_from, cfg.resume = None, False
    runner = build_runner(cfg, verbose)
    announce(runner)
    return {
        'k-means on raw colours': score_raw_colours(runner),
        'k-means on untrained features': score_untrained_features(runner),
    }


def score_untrained_features(runner: Runner) -> dict[str, float]:
    """k-means on the features of the encoder as it is before training.

    Args:
        runner (Runner): of a config :func:`without_augmentation`; its model is initialised here.

    Returns:
        dict[str, float]: the metrics of the validation.
    """
    runner.model.init_weights()
    fit_fresh_centroids(runner)
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
    settings = pass_settings(runner)
    stream = StreamingKMeans(
        num_clusters, settings.num_init_batches, settings.num_iters, seed=settings.seed
    )
    loader = build_clustering_loader(runner, settings.batch_size)
    for batch in track(loader, 'Clustering raw colours', len(loader)):
        stream.add(_colours(torch.stack(batch['inputs'][-1])))
    centroids = stream.finish().centroids
    evaluator: Evaluator = runner.val_evaluator
    images = runner.val_dataloader
    for batch in track(images, 'Evaluating raw colours', len(images)):
        for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
            clusters = assign(_colours(image[None])[0], centroids).labels.view(1, *image.shape[1:])
            sample.pred_sem_seg = PixelData(data=clusters)
            sample.seg_logits = PixelData(
                data=torch.nn.functional.one_hot(clusters[0], num_clusters).permute(2, 0, 1)
            )
        evaluator.process(data_samples=batch['data_samples'], data_batch=batch)
    return evaluator.evaluate(len(images.dataset))


def _colours(images: Tensor) -> Tensor:
    """(N, P, 3) float32 values in [0, 1] of (N, 3, H, W) uint8 images."""
    return images.flatten(2).mT.float().div(255).contiguous()
