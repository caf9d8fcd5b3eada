"""One pass over the images that clusters the features of every view."""

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import torch
from mmengine.dist import get_world_size
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..clustering import Clustering, StreamingKMeans
from ..datasets import EpochKeySampler
from ..models import CentroidHead, PiCIE
from .clustering_parts import Part, plan_parts
from .distributed import ProcessGroup
from .progress import track


@dataclass(frozen=True)
class PassSettings:
    """How a pass clusters.

    Attributes:
        batch_size (int): images per batch, over all ranks, of which it is a multiple.
        num_init_batches (int): batches of the initial fit.
        num_iters (int): Lloyd iterations of the initial fit.
        batches_per_update (int): batches per mini-batch update.
        pixels_per_image (int, optional): pixels of a feature map that are used, chosen at random
            and alike in all views; all by default.
        max_init_points (int, optional): pixels of a view that the initial fit holds at most, over
            all ranks, chosen likewise, equally many of each image; all by default.
        norm_eval (bool): whether normalisation layers use their running statistics.
        seed (int): what every random choice of the pass depends on.
        epoch (int): likewise.
        warm_start (bool): whether the initial fit begins with the head's centroids, if it has any.
    """

    batch_size: int
    num_init_batches: int
    num_iters: int
    batches_per_update: int
    pixels_per_image: int | None
    max_init_points: int | None
    norm_eval: bool
    seed: int
    epoch: int
    warm_start: bool = False


def build_clustering_loader(
    runner: Runner,
    batch_size: int,
    num_images: int | None = None,
    forward_batch_size: int | None = None,
) -> DataLoader:
    """Make the data loader of a pass over the training images.

    Args:
        runner (Runner): whose training data, workers and seed are used.
        batch_size (int): images per batch, over all ranks.
        num_images (int, optional): images per epoch, chosen at random; all by default.
        forward_batch_size (int, optional): images that a rank loads and forwards at once at most;
            its share of a batch by default.

    Returns:
        DataLoader: of the training data set with its pipeline, each image once an epoch.

    Raises:
        ValueError: If the ranks cannot have equal shares of a batch.
    """
    train_loader = runner.train_dataloader
    share, rest = divmod(batch_size, get_world_size())
    if rest:
        raise ValueError(
            f'batch_size of KMeansCentroidHook must divide evenly over {get_world_size()} ranks, '
            f'but got {batch_size}.'
        )
    return runner.build_dataloader(
        dict(
            dataset=train_loader.dataset,
            sampler=dict(type='EpochKeySampler', round_up=False, num_samples=num_images),
            batch_size=min(share, forward_batch_size or share),
            num_workers=train_loader.num_workers,
            persistent_workers=train_loader.persistent_workers and train_loader.num_workers > 0,
            pin_memory=train_loader.pin_memory,
        ),
        seed=runner.seed,
    )


@torch.no_grad()
def cluster_views(
    model: PiCIE,
    dataloader: DataLoader,
    settings: PassSettings,
    description: str = 'Clustering features',
) -> dict[str, list[Clustering]]:
    """Cluster the features of every view, for every head of the model that needs centroids.

    The model is left in the mode in which it was used, and with ``norm_eval`` its frozen encoder is
    what the features are from.

    Args:
        model (PiCIE): not wrapped. Its parameters stay as they are.
        dataloader (DataLoader): paired views. All ranks must iterate over one stream of images, of
            which rank r holds every W-th.
        settings (PassSettings): how to cluster.
        description (str): of the progress bar.

    Returns:
        dict[str, list[Clustering]]: for each head, by the prefix of its losses, one per view. The
            same on every rank.

    Raises:
        ValueError: If there are fewer pixels than clusters, or a feature is not finite.
        RuntimeError: On the other ranks, if that is so on one.
    """
    model.train(not settings.norm_eval)
    encoder = model.freeze_encoder() if settings.norm_eval else model.encoder
    plan, num_init = _plan(dataloader, settings)
    heads = {name: head for name, head in model.heads().items() if isinstance(head, CentroidHead)}
    streams = {
        name: [_stream(head, view, num_init, settings) for view in range(head.num_views)]
        for name, head in heads.items()
    }
    # A rank with an image less than others may have a forward pass less.
    batches = track(dataloader, description, len(dataloader))
    for batch, parts in zip_longest(batches, plan):
        views, samples = ([], []) if batch is None else _forward(model, encoder, batch)
        for name, head in heads.items():
            for view, stream in enumerate(streams[name]):
                _add_parts(
                    stream, head, views[view] if views else None, samples, parts, num_init, settings
                )
        del views  # before the next forward pass
    return {name: [stream.finish() for stream in group] for name, group in streams.items()}


def _add_parts(
    stream: StreamingKMeans,
    head: CentroidHead,
    maps: list[Tensor] | None,
    samples: list,
    parts: list[Part],
    num_init: int,
    settings: PassSettings,
) -> None:
    """Give the k-means of a view the points of a forward pass; None: of no image."""
    if maps is None:
        embedding = head.centroids.new_empty(0, head.centroids.shape[-1], 1, 1)
    else:
        embedding = head.embed(maps)
    for part in parts:
        chosen = embedding[part.images], samples[part.images]
        stream.add_part(*_to_points(*chosen, num_init * part.is_initial, settings))
        if part.ends_batch:
            stream.end_batch()


def _plan(dataloader: DataLoader, settings: PassSettings) -> tuple[list[list[Part]], int]:
    """The parts of each forward pass, alike on all ranks, and the images of the initial fit."""
    sampler, per_forward = dataloader.sampler, dataloader.batch_size
    assert isinstance(sampler, EpochKeySampler) and per_forward is not None
    most_images = len(range(0, sampler.size, sampler.world_size))  # those of rank 0
    per_batch = settings.batch_size // sampler.world_size
    plan = plan_parts(most_images, per_forward, per_batch, settings.num_init_batches)
    return plan, min(sampler.size, settings.num_init_batches * settings.batch_size)


def _stream(
    head: CentroidHead, view: int, num_init: int, settings: PassSettings
) -> StreamingKMeans:
    """The k-means of one view of one head, with a seed of its own."""
    sequence = np.random.SeedSequence((settings.seed, settings.epoch, view))
    return StreamingKMeans(
        head.num_centroids,
        settings.num_init_batches,
        settings.num_iters,
        settings.batches_per_update,
        seed=int(sequence.generate_state(1)[0] >> 1),  # 31 bits
        communicator=ProcessGroup(),
        num_init_images=num_init,
        start=head.centroids[view].clone() if settings.warm_start and head.is_fitted else None,
    )


def _forward(model: PiCIE, encoder: nn.Module, batch: dict) -> tuple[list[list[Tensor]], list]:
    """The decoder's maps of each view, and the samples."""
    data = model.data_preprocessor(batch, False)
    samples = data['data_samples']
    inputs = model.forward_frozen(data['inputs'], samples)
    return list(model.extract_views(inputs, samples, encoder)), samples


def _to_points(
    embedding: Tensor, samples: list, num_init: int, settings: PassSettings
) -> tuple[Tensor, int]:
    """Points of maps, and what they stand for.

    Args:
        embedding (Tensor): (n, D, H, W).
        samples (list): n samples.
        num_init (int): images of the initial fit if these are some of them, else 0.
        settings (PassSettings): how many pixels are used.

    Returns:
        tuple[Tensor, int]: (n, P, D), and the pixels per image that the P points stand for.
    """
    points = embedding.flatten(2).mT
    total = points.shape[1]
    pixels = held = min(settings.pixels_per_image or total, total)
    if num_init and settings.max_init_points is not None:
        held = min(held, settings.max_init_points // num_init)
    if held < total and samples:
        chosen = _choose_pixels(samples, total, held, settings).to(points.device)
        points = points.gather(1, chosen[..., None].expand(-1, -1, points.shape[2]))
    return points.contiguous(), pixels


def _choose_pixels(samples: list, total: int, number: int, settings: PassSettings) -> Tensor:
    """(n, ``number``) indices below ``total``, a function of seed, epoch and image."""
    chosen = [
        np.random.default_rng(
            (settings.seed, settings.epoch, sample.metainfo['sample_idx'], total)
        ).choice(total, number, replace=False)
        for sample in samples
    ]
    return torch.from_numpy(np.stack(chosen))
