"""One pass over the images that clusters the features of every view."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.runner import Runner
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from ..clustering import Clustering, StreamingKMeans
from ..datasets import EpochKeySampler
from ..models import CentroidHead, PiCIE
from .distributed import ProcessGroup


@dataclass(frozen=True)
class PassSettings:
    """How a pass clusters.

    Attributes:
        num_init_batches (int): batches of the initial fit.
        num_iters (int): Lloyd iterations of the initial fit.
        batches_per_update (int): batches per mini-batch update.
        pixels_per_image (int, optional): pixels of a feature map that are used, chosen at random
            and alike in all views; all by default.
        norm_eval (bool): whether normalisation layers use their running statistics.
        seed (int): what every random choice of the pass depends on.
        epoch (int): likewise.
    """

    num_init_batches: int
    num_iters: int
    batches_per_update: int
    pixels_per_image: int | None
    norm_eval: bool
    seed: int
    epoch: int


def build_clustering_loader(
    runner: Runner, batch_size: int, num_images: int | None = None
) -> DataLoader:
    """Make the data loader of a pass over the training images.

    Args:
        runner (Runner): whose training data, workers and seed are used.
        batch_size (int): images per batch, over all ranks.
        num_images (int, optional): images per epoch, chosen at random; all by default.

    Returns:
        DataLoader: of the training data set with its pipeline, each image once an epoch.
    """
    train_loader = runner.train_dataloader
    return runner.build_dataloader(
        dict(
            dataset=train_loader.dataset,
            sampler=dict(type='EpochKeySampler', round_up=False, num_samples=num_images),
            batch_size=batch_size // get_world_size(),
            num_workers=train_loader.num_workers,
            persistent_workers=train_loader.persistent_workers,
            pin_memory=train_loader.pin_memory,
        ),
        seed=runner.seed,
    )


@torch.no_grad()
def cluster_views(
    model: PiCIE, dataloader: DataLoader, settings: PassSettings
) -> dict[str, list[Clustering]]:
    """Cluster the features of every view, for every head of the model that needs centroids.

    The model is left in the mode in which it was used.

    Args:
        model (PiCIE): not wrapped. Its parameters stay as they are.
        dataloader (DataLoader): paired views. All ranks must iterate over one stream of images, of
            which rank r holds every W-th.
        settings (PassSettings): how to cluster.

    Returns:
        dict[str, list[Clustering]]: for each head, by the prefix of its losses, one per view. The
            same on every rank.

    Raises:
        ValueError: If there are fewer pixels than clusters, or a feature is not finite.
    """
    model.train(not settings.norm_eval)
    heads = {name: head for name, head in model.heads().items() if isinstance(head, CentroidHead)}
    streams = {
        name: [_stream(head, view, settings) for view in range(head.num_views)]
        for name, head in heads.items()
    }
    for batch in _with_progress(dataloader, settings.epoch):
        data = model.data_preprocessor(batch, False)
        views = model.extract_views(data['inputs'], data['data_samples'])
        chosen = _choose_pixels(data['data_samples'], views[0][0], settings)
        for name, head in heads.items():
            for stream, maps in zip(streams[name], views[: head.num_views], strict=True):
                stream.add(_to_points(head.embed(maps), chosen))
    for name, head in heads.items():
        for _ in range(_missing_steps(dataloader)):
            for stream in streams[name]:
                stream.add(head.centroids.new_empty(0, 1, head.centroids.shape[-1]))
    return {name: [stream.finish() for stream in group] for name, group in streams.items()}


def _stream(head: CentroidHead, view: int, settings: PassSettings) -> StreamingKMeans:
    """The k-means of one view of one head, with a seed of its own."""
    sequence = np.random.SeedSequence((settings.seed, settings.epoch, view))
    return StreamingKMeans(
        head.num_clusters,
        settings.num_init_batches,
        settings.num_iters,
        settings.batches_per_update,
        seed=int(sequence.generate_state(1)[0] >> 1),  # faiss takes 31 bits
        communicator=ProcessGroup(),
    )


def _with_progress(dataloader: DataLoader, epoch: int) -> Iterator[dict]:
    """The batches, with a progress bar on the main process."""
    description = f'Clustering before epoch {epoch + 1}'
    batches: Iterable[dict] = dataloader
    return iter(track(batches, description, total=len(dataloader), disable=not is_main_process()))


def _missing_steps(dataloader: DataLoader) -> int:
    """Batches that rank 0 has and this rank has not, as the images do not divide evenly."""
    if get_world_size() == 1:
        return 0
    sampler, batch_size = dataloader.sampler, dataloader.batch_size
    assert isinstance(sampler, EpochKeySampler) and batch_size is not None
    most = len(range(0, sampler.size, sampler.world_size))
    return -(-most // batch_size) - len(dataloader)


def _choose_pixels(data_samples: list, maps: Tensor, settings: PassSettings) -> Tensor | None:
    """(N, P) indices of the pixels to use, a function of seed, epoch and image; None for all."""
    total = maps.shape[2] * maps.shape[3]
    if settings.pixels_per_image is None or settings.pixels_per_image >= total:
        return None
    chosen = [
        np.random.default_rng(
            (settings.seed, settings.epoch, sample.metainfo['sample_idx'], total)
        ).choice(total, settings.pixels_per_image, replace=False)
        for sample in data_samples
    ]
    return torch.from_numpy(np.stack(chosen)).to(maps.device)


def _to_points(embedding: Tensor, chosen: Tensor | None) -> Tensor:
    """(N, P, D) points of an (N, D, H, W) map."""
    points = embedding.flatten(2).mT
    if chosen is not None:
        points = points.gather(1, chosen[..., None].expand(-1, -1, points.shape[2]))
    return points.contiguous()
