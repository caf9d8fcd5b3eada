"""Checkpoints in the released layout, with random weights."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

#: Depth -> blocks per stage, convolutions per block, and what a block widens its channels by.
RESNETS = {18: ((2, 2, 2, 2), 2, 1), 34: ((3, 4, 6, 3), 2, 1), 50: ((3, 4, 6, 3), 3, 4)}


def released_shapes(depth: int, dim: int) -> dict[str, tuple[int, ...]]:
    """List names and shapes of the encoder, written down from the papers and the layout."""

    def norm(name: str, channels: int) -> None:
        for part in ('weight', 'bias', 'running_mean', 'running_var'):
            shapes[f'backbone.{name}.{part}'] = (channels,)
        shapes[f'backbone.{name}.num_batches_tracked'] = ()

    blocks, num_convs, expansion = RESNETS[depth]
    shapes: dict[str, tuple[int, ...]] = {'backbone.conv1.weight': (64, 3, 7, 7)}
    norm('bn1', 64)
    before = 64
    for stage, count in enumerate(blocks, 1):
        width = 64 * 2 ** (stage - 1)
        sizes = [(3, width), (3, width)] if num_convs == 2 else [(1, width), (3, width)]
        sizes += [(1, 4 * width)] * (num_convs - 2)
        for block in range(count):
            prefix, channels = f'layer{stage}.{block}', before
            for i, (kernel, out) in enumerate(sizes, 1):
                shapes[f'backbone.{prefix}.conv{i}.weight'] = (out, channels, kernel, kernel)
                norm(f'{prefix}.bn{i}', out)
                channels = out
            if before != channels:
                shapes[f'backbone.{prefix}.downsample.0.weight'] = (channels, before, 1, 1)
                norm(f'{prefix}.downsample.1', channels)
            before = channels
    for layer, stage in ((4, 0), (3, 1), (2, 2), (1, 3)):
        shapes[f'decoder.layer{layer}.weight'] = (dim, 64 * 2**stage * expansion, 1, 1)
        shapes[f'decoder.layer{layer}.bias'] = (dim,)
    return shapes


@pytest.fixture
def make_released() -> Callable[..., dict]:
    """Make a released checkpoint in memory; statistics of norms are far from their defaults."""

    def draw(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        if name.endswith('num_batches_tracked'):
            return torch.tensor(1234)
        if name.endswith(('running_var', 'weight')) and len(shape) == 1:
            return 0.5 + torch.rand(shape, generator=generator)
        values = torch.randn(shape, generator=generator)
        return values / shape[1:].numel() ** 0.5 if len(shape) > 1 else 0.3 * values

    def make(depth: int = 18, dim: int = 128, num_clusters: int = 27) -> dict:
        generator = torch.Generator().manual_seed(depth)
        state = {
            f'module.{name}': draw(name, torch.Size(shape), generator)
            for name, shape in released_shapes(depth, dim).items()
        }
        classifiers = {
            f'classifier{view}_state_dict': {
                'module.weight': 0.2 * torch.randn(num_clusters, dim, 1, 1, generator=generator),
                'module.bias': torch.zeros(num_clusters),
            }
            for view in (1, 2)
        }
        args = argparse.Namespace(arch=f'resnet{depth}', lr=1e-4, equiv=True, restart_path=None)
        optimizer = {'state': {}, 'param_groups': [{'lr': 1e-4, 'params': [0]}]}
        return dict(epoch=10, args=args, state_dict=state, **classifiers, optimizer=optimizer)

    return make


@pytest.fixture
def released_file(make_released: Callable[..., dict], tmp_path: Path) -> Callable[..., Path]:
    """Write a released checkpoint; `change` may spoil it before."""

    def write(change: Callable[[dict], None] | None = None, **kwargs: int) -> Path:
        checkpoint = make_released(**kwargs)
        if change:
            change(checkpoint)
        path = tmp_path / 'src' / 'released.pth.tar'
        path.parent.mkdir(exist_ok=True)
        torch.save(checkpoint, path)
        return path

    return write
