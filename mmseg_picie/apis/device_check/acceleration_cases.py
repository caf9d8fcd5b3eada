"""Cases of what computes the same sooner."""

from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from ...acceleration.feature_cache import keep_features
from ...acceleration.in_place import save_results
from ...acceleration.precision import FrozenCopyIn
from ...acceleration.recompute import recompute_cheap_layers, statistics_kept
from ...acceleration.view_by_view import train_view_by_view
from .cases import Results, case, draw
from .segmentor_cases import build, draw_views


def _network(channels: int = 4) -> nn.Sequential:
    """Two blocks with activations in place."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        blocks = [
            nn.Sequential(
                nn.Conv2d(size, channels, 3, padding=1),
                nn.BatchNorm2d(channels),
                nn.ReLU6(inplace=True),
            )
            for size in (3, channels)
        ]
    return nn.Sequential(*blocks)


def _forward(network: nn.Module, images: torch.Tensor) -> Results:
    """Its result, gradients and running statistics."""
    result = network(images)
    gradients = torch.autograd.grad(result.square().mean(), list(network.parameters()))
    return dict(result=result, gradients=gradients, statistics=list(network.buffers()))


@case('frozen copy in float32')
def copy_frozen(device: torch.device) -> Results:
    return dict(maps=FrozenCopyIn('float32', _network().to(device))(draw(1, 2, 3, 8, 9).to(device)))


@case('activations in place')
def save(device: torch.device) -> Results:
    network = _network().to(device)
    save_results(network)
    return _forward(network, draw(1, 2, 3, 16, 12).to(device))


@case('layers that are computed again', slack=10)
def recompute(device: torch.device) -> Results:
    network = _network(8).to(device)
    found = recompute_cheap_layers(network)
    images = draw(1, 2, 3, 256, 512).to(device)  # of which a block takes 8 MiB
    with statistics_kept(network):
        network(images)
    return dict(_forward(network, images), blocks=found)


@case('maps of a frozen backbone, kept')
def keep(device: torch.device) -> Results:
    model = build(device, frozen=('backbone',))
    cache = keep_features(model, 64)
    data = model.eval().data_preprocessor(draw_views(), False)
    first = model.forward_frozen(data['inputs'], data['data_samples'])
    again = model.train().forward_frozen(data['inputs'], data['data_samples'])
    held = cache.num_bytes
    cache.clear()
    return dict(first=first, again=again, held=held)


@case('weights after a step, view by view', slack=10)
def step_by_view(device: torch.device) -> Results:
    model: Any = build(device).train()
    # Of plain descent, as Adam would take a step of full size in the direction of rounding errors.
    optimiser = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    log = train_view_by_view(model, draw_views(), optimiser)
    return dict(log=log, sizes=[weight.norm() for weight in model.parameters()])
