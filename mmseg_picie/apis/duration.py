"""How long a training on a folder will take, from a few timed steps."""

import copy
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS

from ..datasets.base import unchecked_files
from ..datasets.sampler import SampleKey
from ..models import CentroidHead, PiCIE
from ..toolbox import without_notices
from .devices import time_call

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


class Steps(NamedTuple):
    """Steps of a training that can be called again and again.

    Attributes:
        model (PiCIE): in train mode, with random weights and centroids.
        batch (dict): preprocessed images of the training.
        number (int): how many they are.
        load (float): seconds to load one of them.
    """

    model: PiCIE
    batch: dict[str, Any]
    number: int
    load: float

    @torch.no_grad()
    def encode(self) -> list[list[torch.Tensor]]:
        """Forward all views by the frozen encoder, as for clustering and pseudo-labels."""
        inputs, samples = self.batch['inputs'], self.batch['data_samples']
        seen = self.model.forward_frozen(inputs, samples)
        encoder = self.model._frozen_encoder[0]
        return list(self.model.extract_views(seen, samples, encoder))

    def train(self) -> None:
        """Label, forward and propagate back."""
        losses = self.model.loss(self.batch['inputs'], self.batch['data_samples'])
        torch.stack(list(losses.values())).sum().backward()


def prepare_steps(config: Config, device: torch.device, most: int = NUM_IMAGES) -> Steps:
    """Build what the steps of a training need, on the first images and with random weights.

    Args:
        config (Config): of a training on images that exist.
        device (torch.device): where the model is.
        most (int): images at most.
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
    keys = _readable_keys(dataset, most)
    load, items = time_call(lambda: [dataset[key] for key in keys], torch.device('cpu'))
    batch = model.data_preprocessor(pseudo_collate(items), True)
    model.freeze_encoder()
    return Steps(model, batch, len(keys), load / len(keys))


def time_steps(config: Config, device: str) -> StepTimes:
    """Time the steps of a training.

    Args:
        config (Config): of a training on images that exist.
        device (str): such as 'cpu' or 'cuda:0'.

    Returns:
        StepTimes: the lesser of two measurements each.
    """
    place = torch.device(device)
    steps = prepare_steps(config, place)
    forward, train = (time_call(step, place)[0] for step in (steps.encode, steps.train))
    return StepTimes(steps.load, forward / steps.number, train / steps.number)


def _readable_keys(dataset: torch.utils.data.Dataset, most: int) -> list[SampleKey]:
    """Keys of the first images that can be read."""
    keys: list[SampleKey] = []
    for index in range(len(dataset)):  # type: ignore[arg-type]
        if len(keys) == most:
            break
        key = SampleKey(0, 0, index)
        try:
            dataset[key]
        except (OSError, ValueError):
            continue
        keys.append(key)
    return keys


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
