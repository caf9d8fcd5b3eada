"""Checkpoints in the released layout, with random weights."""

import argparse
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_picie.models import PiCIE

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


@cache  # drawing them takes longer than what most tests do with them
def released_tensors(depth: int, dim: int, num_clusters: int) -> dict[str, torch.Tensor]:
    """Draw the encoder and both sets of centroids; statistics of norms are far from defaults."""
    generator = torch.Generator().manual_seed(depth)
    shapes = {name: torch.Size(shape) for name, shape in released_shapes(depth, dim).items()}
    tensors = {}
    for name, shape in shapes.items():
        if name.endswith('num_batches_tracked'):
            tensors[name] = torch.tensor(1234)
        elif name.endswith(('running_var', 'weight')) and len(shape) == 1:
            tensors[name] = 0.5 + torch.rand(shape, generator=generator)
        else:
            scale = shape[1:].numel() ** -0.5 if len(shape) > 1 else 0.3
            tensors[name] = scale * torch.randn(shape, generator=generator)
    for view in (1, 2):
        shape = torch.Size((num_clusters, dim, 1, 1))
        tensors[f'centroids{view}'] = 0.2 * torch.randn(shape, generator=generator)
        tensors[f'bias{view}'] = 0.2 * torch.randn(num_clusters, generator=generator)
    return tensors


@pytest.fixture
def make_released() -> Callable[..., dict]:
    """Make a released checkpoint in memory. Its tensors are shared and not to be changed."""

    def make(depth: int = 18, dim: int = 128, num_clusters: int = 27) -> dict:
        state = dict(released_tensors(depth, dim, num_clusters))
        classifiers = {
            f'classifier{view}_state_dict': {
                'module.weight': state.pop(f'centroids{view}'),
                'module.bias': state.pop(f'bias{view}'),
            }
            for view in (1, 2)
        }
        state = {f'module.{name}': value for name, value in state.items()}
        args = argparse.Namespace(arch=f'resnet{depth}', lr=1e-4, equiv=True, restart_path=None)
        optimizer = {'state': {}, 'param_groups': [{'lr': 1e-4, 'params': [0]}]}
        return dict(epoch=10, args=args, state_dict=state, **classifiers, optimizer=optimizer)

    return make


@pytest.fixture
def released_file(make_released: Callable[..., dict], tmp_path: Path) -> Iterator[Callable]:
    """Write a released checkpoint; `change` may spoil it before, `blank` makes the file tiny."""
    path = tmp_path / 'src' / 'released.pth.tar'

    def write(
        change: Callable[[dict], None] | None = None, blank: bool = False, **kwargs: int
    ) -> Path:
        checkpoint = make_released(**kwargs)
        if blank:  # every tensor is a single stored zero, seen as one of full shape
            state = checkpoint['state_dict']
            state.update({name: x.new_zeros(()).expand(x.shape) for name, x in state.items()})
        if change:
            change(checkpoint)
        path.parent.mkdir(exist_ok=True)
        torch.save(checkpoint, path)
        return path

    yield write
    for file in [path, *tmp_path.rglob('*.pth')]:  # pytest keeps the folders of a few runs
        file.unlink(missing_ok=True)


@pytest.fixture
def model(tiny_config: Callable[..., Config]) -> PiCIE:
    """A tiny model with random centroids, trained on 32 x 48 pixels."""
    config = tiny_config()
    init_default_scope('mmseg')
    torch.manual_seed(0)
    built = MODELS.build(config.model).eval()
    head = built.decode_head
    head.set_centroids(torch.randn_like(head.centroids), torch.ones_like(head.cluster_counts))
    built.cfg = config
    return built
