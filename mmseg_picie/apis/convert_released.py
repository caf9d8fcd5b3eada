"""A checkpoint in the layout of PiCIE's released implementation, as one of this project.

`picie convert released --help` says what is converted, and what is made up.
"""

import re
import shlex
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmseg.models.backbones.resnet import Bottleneck, ResNet
from mmseg.registry import MODELS

from ..clustering import UNMATCHED
from ..engine.checkpoint_files import save_whole
from ..evaluation import name_clusters
from ..models import PiCIE
from ..version import __version__
from .ready_configs import find_config
from .released_checkpoint import ReleasedCheckpoint, check_names, join_names, read_released

BASE_MODEL = 'configs/_base_/models/picie_fpn_r18.py'
# By the training's argument `cityscapes`.
CONFIGS = {False: 'configs/picie_fpn_r18_cocostuff.py', True: 'configs/picie_fpn_r18_cityscapes.py'}
NUM_LEVELS = 4


class Converted(NamedTuple):
    """What a conversion found.

    Attributes:
        depth: Layers of the ResNet.
        released: The checkpoint.
        options: Settings in which its model differs from the ready ResNet-18 one.
    """

    depth: int
    released: ReleasedCheckpoint
    options: dict[str, Any]


def convert(src: str | Path, dst: str | Path, force: bool = False) -> Converted:
    """Convert a checkpoint; on any error `dst` is left as it was.

    Args:
        src: Checkpoint in the released layout.
        dst: File to write.
        force: Replace `dst` if it exists.

    Returns:
        What was found.

    Raises:
        FileNotFoundError: `src` is no file.
        FileExistsError: `dst` exists and is not to be replaced, or is a folder, or `src` itself.
        ValueError: `src` is not such a checkpoint, or holds more than data.
    """
    src, dst = Path(src), Path(dst)
    if not src.is_file():
        raise FileNotFoundError(f'SRC must be a checkpoint, and there is no file {src}')
    if dst.is_dir() or (dst.exists() and dst.samefile(src)):
        raise FileExistsError(f'DST must be a file other than SRC, got {dst}; give another name')
    if dst.exists() and not force:
        raise FileExistsError(f'DST must be new, and {dst} exists; give another name, or --force')
    released = read_released(src)
    depth = find_depth(released.weights)
    num_clusters, dim = released.centroids.shape[1:]
    model, options = build_model(depth, num_clusters, dim)
    fill_model(model, released)

    names = name_clusters([UNMATCHED] * num_clusters)
    meta = dict(
        dataset_meta=names._asdict(),
        epoch=released.epoch,
        released_args=released.arguments,
        mmseg_picie_version=__version__,
        converted_from=src.name,
    )
    save_whole(dict(meta=meta, state_dict=model.state_dict()), dst)
    return Converted(depth, released, options)


def find_depth(names: Collection[str]) -> int:
    """Recognise the ResNet by its blocks.

    Args:
        names: Of all weights.

    Returns:
        Its depth, such as 18.
    """
    blocks: list[set[str]] = [set() for _ in range(NUM_LEVELS)]
    for name in names:
        if found := re.match(r'backbone\.layer([1-4])\.(\d+)\.', name):
            blocks[int(found[1]) - 1].add(found[2])
    counts = tuple(map(len, blocks))
    # Only a bottleneck block has a third convolution.
    has_bottlenecks = any(re.match(r'backbone\.layer\d\.\d+\.conv3\.', name) for name in names)
    for depth, (block, expected) in ResNet.arch_settings.items():
        if expected == counts and (block is Bottleneck) == has_bottlenecks:
            return depth
    kind = 'bottleneck' if has_bottlenecks else 'basic'
    raise ValueError(
        f'the backbone must be a ResNet of depth {", ".join(map(str, ResNet.arch_settings))}, but '
        f'its layers 1 to 4 have {counts} {kind} blocks; give a checkpoint of the released layout'
    )


def build_model(depth: int, num_clusters: int, dim: int) -> tuple[PiCIE, dict[str, Any]]:
    """Build the model that the checkpoint must fit.

    Args:
        depth: Of the ResNet.
        num_clusters: K.
        dim: D.

    Returns:
        The model, and the settings in which it differs from the ready ResNet-18 one.
    """
    expansion = ResNet.arch_settings[depth][0].expansion
    config = Config.fromfile(find_config(BASE_MODEL))
    wanted = {
        ('backbone', 'depth'): depth,
        ('neck', 'in_channels'): [64 * expansion * 2**level for level in range(NUM_LEVELS)],
        ('neck', 'out_channels'): dim,
        ('decode_head', 'in_channels'): dim,
        ('decode_head', 'num_clusters'): num_clusters,
    }
    options = {}
    for (part, name), value in wanted.items():
        ready = config.model[part][name]
        if value != (list(ready) if isinstance(ready, tuple) else ready):
            options[f'model.{part}.{name}'] = value
    config.merge_from_dict({**options, 'model.backbone.init_cfg': None})
    del config.model['data_preprocessor']  # it has no weights
    return MODELS.build(config.model), options


def fill_model(model: PiCIE, released: ReleasedCheckpoint) -> None:
    """Put weights and centroids into the model, if they are exactly what it needs.

    Args:
        model: PiCIE.
        released: The checkpoint.
    """
    weights, head = released.weights, model.decode_head
    state = model.state_dict()
    sources = {name: released_name(name) for name in state if not name.startswith('decode_head.')}
    check_names('state_dict', weights, sources.values())
    wrong = [
        f'{source!r} {tuple(weights[source].shape)} instead of {tuple(state[name].shape)}'
        for name, source in sources.items()
        if weights[source].shape != state[name].shape
    ]
    if wrong:
        raise ValueError(
            f'state_dict must have the shapes of a ResNet-{model.backbone.depth} and a decoder '
            f"with D = {head.in_channels}, the classifiers' channels, but has {join_names(wrong)}"
        )
    model.load_state_dict(state | {name: weights[source] for name, source in sources.items()})
    head.set_centroids(released.centroids, torch.ones_like(head.cluster_counts))
    head.logit_bias.copy_(released.biases)


def released_name(name: str) -> str:
    """Say what the release calls a weight of this project's model.

    Its decoder counts from coarse to fine: layer1 reads stride 32, layer4 stride 4.

    Args:
        name: Such as 'neck.laterals.0.weight'.

    Returns:
        Such as 'decoder.layer4.weight'.
    """
    part, _, rest = name.partition('.laterals.')
    if part != 'neck':
        return name
    level, _, kind = rest.partition('.')
    return f'decoder.layer{NUM_LEVELS - int(level)}.{kind}'


def describe(found: Converted, dst: str) -> str:
    """Say what was found, and how to score it.

    Args:
        found: Of :func:`convert`.
        dst: The file that was written.

    Returns:
        A few lines; the last one is a command.
    """
    released = found.released
    num_clusters, dim = released.centroids.shape[1:]
    lines = [
        f'{dst}: ResNet-{found.depth}, D = {dim}, K = {num_clusters}, epoch {released.epoch!r}, '
        f'{len(released.weights)} weights and {len(released.centroids)} sets of centroids'
    ]
    config = CONFIGS[bool(released.arguments.get('cityscapes'))]
    try:
        find_config(config)
    except FileNotFoundError:
        lines.append(f'There is no {config}; CONFIG stands for a config of your own.')
        config = 'CONFIG'
    lines.append('To score it:')
    words = ['picie', 'test', config, dst]
    if found.options:
        values = {key: str(value).replace(' ', '') for key, value in found.options.items()}
        words += ['--cfg-options', *(f'{key}={value}' for key, value in values.items())]
    return '\n'.join([*lines, shlex.join(words)])
