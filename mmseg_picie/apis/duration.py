"""How long a training on a folder will take, from a few timed steps."""

import copy
import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS

from ..datasets.base import unchecked_files
from ..datasets.sampler import SampleKey
from ..models import CentroidHead, PiCIE
from ..toolbox import without_notices

#: Images that steps are timed with.
NUM_IMAGES = 8
#: What k-means, checkpoints and the rest add to the passes of the network.
_OVERHEAD = 1.1
#: Epochs at most where a number of minutes says how long to train.
MAX_EPOCHS = 30


class StepTimes(NamedTuple):
    """Seconds for one image.

    Attributes:
        load (float): to read it and make its views.
        forward (float): to forward its views, as for clustering.
        train (float): to label it, and to learn from it.
    """

    load: float
    forward: float
    train: float


class Plan(NamedTuple):
    """How much to train.

    Attributes:
        epochs (int): at least one.
        images (int): of an epoch.
        seconds (float): that it will take, about.
    """

    epochs: int
    images: int
    seconds: float


def time_steps(config: Config, device: str) -> StepTimes:
    """Time the steps of a training, on the first images and with random weights.

    Args:
        config (Config): of a training on images that exist.
        device (str): such as 'cpu' or 'cuda:0'.

    Returns:
        StepTimes: the lesser of two measurements each.
    """
    init_default_scope('mmseg')
    with without_notices(), unchecked_files():
        settings = copy.deepcopy(config.train_dataloader.dataset)
        dataset = DATASETS.build(settings)
        backbone = dict(config.model.backbone)
        backbone.pop('init_cfg', None)  # weights do not matter here
        model = MODELS.build(dict(config.model, backbone=backbone))
    assert isinstance(model, PiCIE)
    model.to(device).to(memory_format=torch.channels_last).train()
    for head in model.heads().values():
        if isinstance(head, CentroidHead):
            centroids = torch.randn_like(head.centroids)
            head.set_centroids(centroids, torch.ones_like(head.cluster_counts))
    keys = _readable_keys(dataset)
    load, items = _time(lambda: [dataset[key] for key in keys])
    batch = model.data_preprocessor(pseudo_collate(items), True)

    encoder = model.freeze_encoder()

    def forward() -> None:
        with torch.no_grad():
            seen = model.forward_frozen(batch['inputs'], batch['data_samples'])
            for _ in model.extract_views(seen, batch['data_samples'], encoder):
                pass

    def train() -> None:
        losses = model.loss(batch['inputs'], batch['data_samples'])
        torch.stack(list(losses.values())).sum().backward()

    seconds = [load, _time(forward)[0], _time(train)[0]]
    return StepTimes(*(value / len(keys) for value in seconds))


def _readable_keys(dataset: torch.utils.data.Dataset) -> list[SampleKey]:
    """Keys of the first images that can be read."""
    keys: list[SampleKey] = []
    for index in range(len(dataset)):  # type: ignore[arg-type]
        if len(keys) == NUM_IMAGES:
            break
        key = SampleKey(0, 0, index)
        try:
            dataset[key]
        except (OSError, ValueError):
            continue
        keys.append(key)
    return keys


def _time(step: Callable) -> tuple[float, object]:
    """The shorter of two runs, and what it returns."""
    best = math.inf
    for _ in range(2):
        start = time.perf_counter()
        result = step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best, result


def plan_training(
    config: Config, times: StepTimes, number: int, minutes: float | None = None
) -> Plan:
    """Say how long a training takes, or fit it into a number of minutes.

    A training that is too long gets fewer images an epoch (others each time), then fewer epochs.
    One that would be done early gets more epochs.

    Args:
        config (Config): of the training.
        times (StepTimes): of :func:`time_steps`.
        number (int): images.
        minutes (float, optional): how long it may take; None for what the config says.

    Returns:
        Plan: at least one epoch of one batch.
    """
    epochs, batch = config.train_cfg.max_epochs, config.train_dataloader.batch_size
    images = min(number, config.train_dataloader.sampler.get('num_samples') or number)
    if minutes is None:
        return Plan(epochs, images, _seconds(config, times, epochs, images))
    budget = 60 * minutes
    images = min(images, int(images * budget / _seconds(config, times, epochs, images)))
    while images < batch and epochs > 1:
        epochs -= 1
        images = int(number * budget / _seconds(config, times, epochs, number))
    images = min(max(images, batch), number)
    while epochs < MAX_EPOCHS and _seconds(config, times, epochs + 1, images) <= budget:
        epochs += 1
    return Plan(epochs, images, _seconds(config, times, epochs, images))


def _seconds(config: Config, times: StepTimes, epochs: int, images: int) -> float:
    """What the passes over the images add up to."""
    clusterings = min(epochs, config.default_hooks.clustering.get('num_clusterings') or epochs)
    workers = max(1, config.train_dataloader.num_workers)
    load = times.load / workers
    clustering = clusterings * (load + times.forward)
    training = epochs * (load + times.train)
    return _OVERHEAD * images * (clustering + training)


def say_duration(seconds: float) -> str:
    """A duration in words.

    Args:
        seconds (float): how long.

    Returns:
        str: such as '40 s', '12 min' or '3.5 h'.
    """
    if seconds < 90:
        return f'{max(1, round(seconds))} s'
    return f'{seconds / 60:.0f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'
