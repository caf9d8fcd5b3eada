"""Features of an encoder before any training, of some pixels of some images."""

import copy
import uuid
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor

from ..engine.clustering_pass import build_clustering_loader
from ..engine.distributed import unwrap_model
from ..engine.progress import track
from ..models import CentroidHead, PiCIE
from .folder_survey import list_photographs
from .fresh_centroids import start_from_pretrained, without_augmentation
from .runners import build_runner

# Images that are forwarded together.
_BATCH = 16
# Colours are counted up to here.
_MOST_COLOURS = 10_000


class FeatureSample(NamedTuple):
    """Features of pixels.

    Attributes:
        points (Tensor): (n, P, D) float32, of unit length, of P pixels of each of n images, on the
            device of the model. Images are in the order of the data set, which is that of names.
        columns (Tensor): (n, P) int64, the column of the map that each of them is in.
        centroids_per_cluster (int): with which the config forms clusters.
        num_colours (int): different colours in these images, as the network sees them; counted up
            to ten thousand.
    """

    points: Tensor
    columns: Tensor
    centroids_per_cluster: int
    num_colours: int


def use_folder(cfg: Config, folder: str | Path) -> None:
    """Let a config train on a folder of photographs; those that cannot be read are left out.

    Args:
        cfg (Config): of a PiCIE training, changed in place. Its pipeline is kept.
        folder (str or Path): as of :func:`.folder_survey.list_photographs`.

    Raises:
        FileNotFoundError: If the folder is missing or holds no image.
    """
    list_photographs(folder)
    loader = cfg.train_dataloader
    loader.dataset = dict(
        type='ImageFolderDataset',
        data_root=str(folder),
        pipeline=loader.dataset.pipeline,
        on_bad_image='skip',
    )


def build_untrained(cfg: Config, device: str | None = None, verbose: bool = True) -> Runner:
    """A runner whose model is as a training of the config begins, in eval mode.

    The backbone has its pretrained weights, and the decoder those that it begins with: principal
    components if the config has a :class:`PrincipalDecoderHook`, else random ones.

    Args:
        cfg (Config): of a PiCIE training, with a ``work_dir``.
        device (str, optional): such as 'cuda:0'; mmengine's choice by default.
        verbose (bool): as of :func:`.runs.build_runner`.

    Returns:
        Runner: its training images are not augmented, and have one view. A later runner of the same
            config, in the same process, is not disturbed by it.

    Raises:
        ValueError: If the config is of no PiCIE, or its head does not cluster.
    """
    cfg = without_augmentation(cfg)
    for transform in cfg.train_dataloader.dataset.pipeline:
        if transform['type'] == 'PairedViews':
            transform.num_views = 1
    cfg.load_from, cfg.resume = None, False
    # mmengine keeps a logger and a visualiser for each name: those of a training are left to it.
    cfg.experiment_name = uuid.uuid4().hex
    if cfg.get('visualizer'):
        cfg.visualizer.name = cfg.experiment_name
    runner = build_runner(cfg, verbose)
    model = unwrap_model(runner)
    if not isinstance(model.decode_head, CentroidHead):
        raise ValueError(
            'a number of clusters is looked for with a decode_head that clusters, such as '
            f'CentroidHead, but it is a {type(model.decode_head).__name__}; give the config of a '
            'PiCIE training.'
        )
    if device is not None:
        model.to(device)
    start_from_pretrained(runner)
    model.eval()
    return runner


def gather_features(runner: Runner, num_images: int, num_points: int) -> FeatureSample:
    """Features of training images. Memory grows with the points, and not with the images.

    Args:
        runner (Runner): of :func:`build_untrained`.
        num_images (int): images that are looked at, chosen at random; all if there are fewer.
        num_points (int): pixels of all of them together, equally many of each, chosen at random.

    Returns:
        FeatureSample: a function of the config, its seed and the weights alone.
    """
    model = unwrap_model(runner)
    assert isinstance(model, PiCIE) and isinstance(model.decode_head, CentroidHead)
    number = min(num_images, len(runner.train_dataloader.dataset))
    loader = build_clustering_loader(runner, _BATCH, number)
    generator = torch.Generator().manual_seed(runner.seed)
    points: list[Tensor] = []
    columns: list[Tensor] = []
    indices: list[int] = []
    colours: set[int] = set()
    for batch in track(loader, 'Looking at pixels', len(loader)):
        if len(colours) < _MOST_COLOURS:
            colours.update(_find_colours(torch.stack(batch['inputs'][-1])))
        indices += [sample.metainfo['sample_idx'] for sample in batch['data_samples']]
        maps = embed(model, batch)
        for pixels in maps.flatten(2).mT:
            chosen = torch.randperm(len(pixels), generator=generator)[: -(-num_points // number)]
            points.append(pixels[chosen.to(pixels.device)])
            columns.append(chosen % maps.shape[3])
    head, order = model.decode_head, torch.tensor(indices).argsort()
    return FeatureSample(
        torch.stack(points)[order.to(points[0].device)],
        torch.stack(columns)[order],
        head.num_centroids // head.num_clusters,
        min(len(colours), _MOST_COLOURS),
    )


@torch.no_grad()
def embed(model: PiCIE, batch: dict) -> Tensor:
    """Features of a batch of whole images.

    Args:
        model (PiCIE): in eval mode.
        batch (dict): of a data loader, of paired views (the last one is taken) or of images.

    Returns:
        Tensor: (N, D, h, w) float32, of unit length.
    """
    images = model.data_preprocessor(copy.copy(batch), False)['inputs']
    images = images if isinstance(images, Tensor) else images[-1]
    return model.decode_head.embed(model.extract_feat(images)).float()


def _find_colours(images: Tensor) -> list[int]:
    """Different colours of images (N, 3, H, W) uint8, as numbers; some of them if they are many."""
    first, second, third = images.int().unbind(1)
    return torch.unique((first << 16) + (second << 8) + third)[:_MOST_COLOURS].tolist()
