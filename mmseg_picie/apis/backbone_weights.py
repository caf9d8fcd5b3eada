"""The backbone inside a checkpoint: take it out, and see whether it fits a network."""

import copy
import re
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..checkpoint_loading import read_checkpoint
from ..engine.checkpoint_files import save_whole
from .config_files import read_config_file
from .model_store import get_checkpoint

PREFIX = 'backbone.'

#: Names of the tensors of torchvision's ResNets, and of mmseg's ``ResNet``, which has the same.
_RESNET_KEY = re.compile(
    r'(conv1|bn1|layer[1-4]\.\d+\.(conv[123]|bn[123]|downsample\.[01]))'
    r'\.(weight|bias|running_mean|running_var|num_batches_tracked)'
)


class Match(NamedTuple):
    """How the tensors of a file fit those of a network.

    Attributes:
        matched (list[str]): names that both have, with the same shape.
        reshaped (list[str]): names that both have, with different shapes.
        missing (list[str]): names that only the network has.
        unexpected (list[str]): names that only the file has.
    """

    matched: list[str]
    reshaped: list[str]
    missing: list[str]
    unexpected: list[str]

    def __str__(self) -> str:
        """One line for a log."""
        text = f'{len(self.matched)} tensors match'
        for name in ('reshaped', 'missing', 'unexpected'):
            found = getattr(self, name)
            if found:
                text += f', {len(found)} {name} ({found[0]}{", ..." if found[1:] else ""})'
        return text


def read_tensors(path: str) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint, or of a plain state dict.

    Args:
        path (str): file of mmengine or torch.

    Returns:
        dict[str, Tensor]: by name.

    Raises:
        ValueError: If the file is no checkpoint.
    """
    checkpoint = read_checkpoint(path)
    weights = checkpoint.get('state_dict', checkpoint)
    return {name: value for name, value in weights.items() if isinstance(value, Tensor)}


def read_backbone(path: str) -> dict[str, Tensor]:
    """Read the tensors of the backbone from a checkpoint of a segmentor.

    Args:
        path (str): file of mmengine; names that start with ``backbone.`` are the backbone's.

    Returns:
        dict[str, Tensor]: by name, without ``backbone.``.

    Raises:
        ValueError: If the file is no checkpoint, or holds no backbone; the message says what it
            holds.
    """
    weights = read_tensors(path)
    found = {
        name.removeprefix(PREFIX): value
        for name, value in weights.items()
        if name.startswith(PREFIX)
    }
    if found:
        return found
    parts = sorted({name.split('.')[0] for name in weights})
    raise ValueError(
        f'{path} holds no tensor whose name starts with {PREFIX!r}, but '
        f'{len(weights)} tensors of {", ".join(parts) or "nothing"}; give a checkpoint of a '
        'segmentor, such as epoch_10.pth of a PiCIE training.'
    )


def build_backbone(config: Config) -> nn.Module:
    """Build the backbone of a config without its weights.

    Args:
        config (Config): of a segmentor; it is left as it is.

    Returns:
        nn.Module: with random weights.
    """
    backbone = copy.deepcopy(config.model.backbone)
    backbone.init_cfg = None
    if backbone.type == 'TIMMBackbone':
        backbone.pretrained = False  # it would be downloaded
    init_default_scope(config.get('default_scope') or 'mmseg')
    return MODELS.build(backbone)


def to_torchvision(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Check that a backbone is one that torchvision names alike.

    Args:
        weights (dict[str, Tensor]): of mmseg's ``ResNet``.

    Returns:
        dict[str, Tensor]: the same, for ``torchvision.models.resnetXX().load_state_dict(...,
            strict=False)``; only ``fc`` is missing.

    Raises:
        ValueError: If a name is none of torchvision's ResNets.
    """
    strange = [name for name in weights if not _RESNET_KEY.fullmatch(name)]
    if strange:
        hint = ''
        if any(name.startswith('stem.') for name in strange):
            hint = ' (ResNetV1c and ResNetV1d have a stem of three convolutions)'
        raise ValueError(
            f"the form 'torchvision' is for mmseg's ResNet, but {len(strange)} names, such as "
            f"{strange[0]}, are not of torchvision's ResNets{hint}; write the form 'mmseg'."
        )
    return weights


def match_weights(backbone: nn.Module, weights: dict[str, Tensor]) -> Match:
    """Compare tensors of a file with those of a network, by name and shape.

    Args:
        backbone (nn.Module): network.
        weights (dict[str, Tensor]): of the file.

    Returns:
        Match: names of each kind, in order.
    """
    own = backbone.state_dict()
    shared = [name for name in own if name in weights]
    return Match(
        matched=[name for name in shared if own[name].shape == weights[name].shape],
        reshaped=[name for name in shared if own[name].shape != weights[name].shape],
        missing=[name for name in own if name not in weights],
        unexpected=[name for name in weights if name not in own],
    )


def set_weights(cfg: Config, source: str) -> str:
    """Let the backbone of a config start from a source.

    Args:
        cfg (Config): of a segmentor, changed in place.
        source (str): 'none' for random weights, 'config' to leave all as it is, an address such as
            ``torchvision://resnet18``, a file (a segmentor's checkpoint or a plain backbone), or
            the name of a released model.

    Returns:
        str: how the tensors of a file match the backbone; empty if there is nothing to say.

    Raises:
        ValueError: If a file is missing, or no tensor of it fits the backbone.
    """
    if source == 'config':
        return ''
    backbone = cfg.model.backbone
    if 'pretrained' in cfg.model:
        cfg.model.pretrained = None  # mmseg would prefer it to init_cfg
    if backbone.type == 'TIMMBackbone':
        backbone.pretrained = False
    if source == 'none':
        backbone.init_cfg = None
        return ''
    remark, init_cfg = '', dict(type='Pretrained', checkpoint=source)
    if '://' not in source:
        try:
            path = get_checkpoint(source)
        except FileNotFoundError as error:
            raise ValueError(f'starting weights are to come from {source}, but {error}.') from error
        init_cfg['checkpoint'] = str(Path(path).resolve())
        weights = read_tensors(path)
        if any(name.startswith(PREFIX) for name in weights):
            init_cfg['prefix'] = PREFIX
            weights = read_backbone(path)
        match = match_weights(build_backbone(cfg), weights)
        if not match.matched or match.reshaped:
            raise ValueError(
                f'{source} does not fit the backbone of the config, {backbone.type}: {match}; '
                'give a checkpoint with this backbone.'
            )
        remark = f'{source}: {match}'
    # Assigned whole: what the config had, such as a prefix, must not remain.
    backbone.pop('init_cfg', None)
    backbone.init_cfg = init_cfg
    return remark


def extract_backbone(checkpoint: str | Path, out: str | Path, form: str = 'mmseg') -> int:
    """Write the backbone of a checkpoint.

    Args:
        checkpoint (str or Path): file of a segmentor.
        out (str or Path): file to write; it is replaced whole or not at all.
        form (str): 'mmseg' or 'torchvision'.

    Returns:
        int: how many tensors were written.

    Raises:
        ValueError: If the checkpoint holds no backbone, or none of this form.
    """
    weights = read_backbone(str(checkpoint))
    if form == 'torchvision':
        weights = to_torchvision(weights)
    save_whole(weights, out)
    return len(weights)


def match_config(checkpoint: str | Path, config: str | Path) -> Match:
    """Compare the backbone of a checkpoint with the one of a config.

    Args:
        checkpoint (str or Path): file of a segmentor.
        config (str or Path): config file of a segmentor.

    Returns:
        Match: the names that match and that do not.

    Raises:
        ValueError: If none matches.
    """
    cfg = read_config_file(str(config))
    weights = read_backbone(str(checkpoint))
    match = match_weights(build_backbone(cfg), weights)
    if not match.matched:
        raise ValueError(
            f'no tensor of {checkpoint} fits the backbone of {config}, {cfg.model.backbone.type}: '
            f'{match}; give the config that the checkpoint was trained with, or one of that '
            'backbone.'
        )
    return match
