"""Whether a device trains as a CPU does: an epoch, and a step in mixed precision."""

import math
import tempfile
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner

from ..devices import using_device
from ..epoch_timer import EpochTimer
from ..ready_configs import find_config
from ..run_options import enable_amp, require_device_for_amp
from .cases import LeftOut
from .rows import Found, Row, attempt
from .segmentor_cases import build, draw_views

#: Shares by which losses may differ: that of the first step, the mean of an epoch, in mixed
#: precision. The first clusters are of features that differ by rounding, and a step moves weights
#: a little further apart each time.
FIRST_LOSS, EPOCH_LOSS, MIXED_LOSS = 0.01, 0.05, 0.05
READY = 'picie_fpn_r18_scenes'


class Epoch(NamedTuple):
    """What an epoch leaves.

    Attributes:
        losses (list[float]): of its steps.
        scores (dict[str, float]): of the validation.
        seconds (dict[str, float]): of its parts.
    """

    losses: list[float]
    scores: dict[str, float]
    seconds: dict[str, float]


def make_config(quick: bool) -> Config:
    """The config of PiCIE on scenes, cut down.

    Args:
        quick (bool): to a few small scenes and a narrow network.

    Returns:
        Config: of one epoch.
    """
    config = Config.fromfile(find_config(READY))
    number = 8 if quick else 64
    for name in ('train_dataloader', 'val_dataloader'):
        config[name].update(batch_size=4 if quick else 16, num_workers=0, persistent_workers=False)
        config[name].dataset.num_images = number if name.startswith('train') else number // 4
        if quick:
            config[name].dataset.scene_size = (64, 96)
            for transform in config[name].dataset.pipeline:
                sides = dict(base_size=(64, 96), view_size=(32, 48), size=(32, 48))
                transform.update({key: sides[key] for key in sides if key in transform})
    if quick:
        config.model.backbone.update(base_channels=8, stem_channels=8)
        config.model.neck.update(in_channels=(8, 16, 32, 64), out_channels=16)
        config.model.decode_head.in_channels = 16
    config.default_hooks.clustering.update(batch_size=number // 2, num_init_batches=1, num_iters=10)
    config.default_hooks.acceleration.frozen_dtype = 'float32'  # to compare with other devices
    config.default_hooks.pop('visualization')
    config.default_hooks.logger.interval = 1
    config.train_cfg.max_epochs = 1
    config.merge_from_dict(dict(randomness=dict(seed=0)))
    return config


def run_epoch(config: Config, device: torch.device) -> Epoch:
    """Cluster, train and validate once, in a folder that is removed.

    Args:
        config (Config): of :func:`make_config`; not changed.
        device (torch.device): where.

    Returns:
        Epoch: what came of it.
    """
    config = config.copy()
    with tempfile.TemporaryDirectory() as folder, using_device(str(device)):
        config.work_dir = folder
        # mmengine keeps one logger and one visualiser for each name.
        config.experiment_name = config.visualizer.name = uuid.uuid4().hex
        config.log_level = 'ERROR'
        runner = Runner.from_cfg(config)
        timer = EpochTimer(runner)
        runner.train()
    hub = runner.message_hub
    losses = hub.get_scalar('train/loss').data[0].tolist()
    scores = {name: float(hub.get_scalar(f'val/{name}').current()) for name in ('aAcc', 'mIoU')}
    return Epoch(losses, scores, timer.epochs[0])


def check_training(device: torch.device, quick: bool) -> Iterator[Row]:
    """Train an epoch on the device, and on the CPU beside.

    Args:
        device (torch.device): of the training.
        quick (bool): as of :func:`make_config`.

    Yields:
        Row: of the epoch, and of how far its losses are from those of the CPU.
    """
    epochs: list[Epoch] = []
    yield attempt('training', 'epoch on scenes', partial(_train, device, quick, epochs))
    yield attempt('training', 'losses of the epoch', partial(_compare, quick, epochs))


def _train(device: torch.device, quick: bool, epochs: list[Epoch]) -> Found:
    epoch = run_epoch(make_config(quick), device)
    epochs.append(epoch)
    parts = ', '.join(f'{part} {seconds:.2f} s' for part, seconds in epoch.seconds.items())
    text = f'mIoU {epoch.scores["mIoU"]:.2f} %, {parts}'
    finite = all(map(math.isfinite, [*epoch.losses, *epoch.scores.values()]))
    return Found(finite, text, 'all losses finite', epoch.seconds | epoch.scores)


def _compare(quick: bool, epochs: list[Epoch]) -> Found:
    if not epochs:
        raise LeftOut('there was no epoch')
    ours, reference = epochs[0].losses, run_epoch(make_config(quick), torch.device('cpu')).losses
    first = abs(ours[0] / reference[0] - 1)
    mean = abs(sum(ours) / sum(reference) - 1)
    return Found(
        first <= FIRST_LOSS and mean <= EPOCH_LOSS,
        f"{first:.2%} from the CPU's at first, {mean:.2%} as a mean",
        f'{FIRST_LOSS:.0%} at first, {EPOCH_LOSS:.0%} as a mean',
        dict(first=first, mean=mean),
    )


def check_mixed_precision(device: torch.device) -> Found:
    """Take a step as ``picie train --amp`` does, and one in float32 beside.

    Args:
        device (torch.device): where.

    Returns:
        Found: how far the losses are apart.

    Raises:
        LeftOut: If training refuses mixed precision there.
    """
    config = Config(
        dict(optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)))
    )
    plain = _step(config, device)
    with using_device(str(device)):
        enable_amp(config)
        try:
            require_device_for_amp(config)
        except ValueError as error:
            raise LeftOut(str(error)) from error
        mixed = _step(config, device)
    apart = abs(mixed / plain - 1)
    kind = config.optim_wrapper.type
    text = f'{kind}: loss {mixed:.4f}, in float32 {plain:.4f}, {apart:.2%} apart'
    passed = math.isfinite(mixed) and apart <= MIXED_LOSS
    return Found(passed, text, f'finite, {MIXED_LOSS:.0%} apart', dict(loss=mixed, apart=apart))


def _step(config: Config, device: torch.device) -> float:
    """Loss of the step after one, so that the weights that it leaves are seen as well."""
    model: Any = build(device).train()
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    logs: list[dict[str, Any]] = [model.train_step(draw_views(), wrapper) for _ in range(2)]
    return float(logs[-1]['loss'].detach())
