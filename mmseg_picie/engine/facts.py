"""What there is to say about a run, in words."""

import math
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from torch import nn

from ..models.parts import describe_backbone, list_pretrained
from .distributed import unwrap_model

#: What the images of a training are for.
TRAIN = 'train on'
#: Score of a validation -> what it is called on the terminal.
SCORES = {'aAcc': 'accuracy', 'mIoU': 'mIoU'}


def describe_scores(metrics: dict[str, float]) -> str:
    """Accuracy and mIoU of a validation.

    Args:
        metrics (dict[str, float]): all that the metrics have found.

    Returns:
        str: on a line; empty without them.
    """
    found = [
        f'{name} {metrics[key]:.2f} %'
        for key, name in SCORES.items()
        if not math.isnan(metrics.get(key, math.nan))
    ]
    return '  '.join(found)


def describe_run(runner: Runner, loops: dict[str, Any]) -> dict[str, str]:
    """What a run does.

    Args:
        runner (Runner): the run.
        loops (dict[str, Any]): what images are for, such as :data:`TRAIN` -> the loop that they are
            for; those that are not made do not count.

    Returns:
        dict[str, str]: facts by subject.
    """
    data: dict[str, list[str]] = {}
    for use, loop in loops.items():
        if isinstance(loop, BaseLoop):
            dataset = loop.dataloader.dataset
            part = f'{len(dataset):,} images to {use}'
            data.setdefault(type(dataset).__name__, []).append(part)
    facts = {
        'Data': ', '.join(f'{name}, {", ".join(parts)}' for name, parts in data.items()),
        'Model': _describe_model(runner.cfg, unwrap_model(runner)),
        'Device': _describe_device(next(runner.model.parameters()).device),
        'Results': runner.work_dir,
    }
    loop = loops.get(TRAIN)
    if isinstance(loop, BaseLoop):
        batch = f'steps of {loop.dataloader.batch_size} images'
        facts['Schedule'] = f'{loop.max_iters} {batch}'
        if isinstance(loop, EpochBasedTrainLoop):
            facts['Schedule'] = f'{loop.max_epochs} epochs of {len(loop.dataloader)} {batch}'
    return facts


def log_file(runner: Runner) -> str:
    """Where the toolbox's log of a run is."""
    return str(Path(runner.log_dir, f'{runner.timestamp}.log'))


def _describe_model(config: Any, model: nn.Module) -> str:
    """Its type, backbone, weights and number of clusters or classes."""
    settings = config.model.get('module', config.model)  # of test-time augmentation
    model = getattr(model, 'module', model)
    words = [type(model).__name__]
    backbone = settings.get('backbone') or {}
    words.append(describe_backbone(backbone))
    head = getattr(model, 'decode_head', None)
    for name in ('num_clusters', 'num_classes'):
        if isinstance(getattr(head, name, None), int):
            words.append(f'{getattr(head, name)} {name.removeprefix("num_")}')
            break
    sources = [source['checkpoint'] for source in list_pretrained(backbone.get('init_cfg'))]
    if config.get('load_from') or sources:
        words.append(f'weights of {config.get("load_from") or " and ".join(sources)}')
    return ', '.join(words)


def _describe_device(device: torch.device) -> str:
    name = f'{device}, {torch.get_num_threads()} threads'
    if device.type == 'cuda':
        name = f'{device}, {torch.cuda.get_device_name(device)}'
    number = get_world_size()
    return name if number == 1 else f'{number} processes, the first on {name}'
