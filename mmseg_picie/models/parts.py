"""Parts of a model: by the names that a config gives, and whether weights fit them."""

import os.path as osp
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.runner import CheckpointLoader
from torch import Tensor, nn


def find_parts(model: nn.Module, argument: str, names: Sequence[str]) -> list[nn.Module]:
    """Find the parts of a model that an argument names.

    Args:
        model (nn.Module): whose parts they are.
        argument (str): of the model, for the message.
        names (Sequence[str]): such as ``('backbone', 'neck.laterals')``.

    Returns:
        list[nn.Module]: one for each name.

    Raises:
        ValueError: If the model has no part of a name.
    """
    parts = dict(model.named_modules())
    if isinstance(names, str) or not set(names) <= set(parts) - {''}:
        raise ValueError(
            f"{argument} of {type(model).__name__} must list parts of the model such as 'backbone' "
            f"or 'backbone.layer1', but got {names!r}; its parts are "
            f'{", ".join(name for name, _ in model.named_children())}.'
        )
    return [parts[name] for name in names]


def freeze(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Take parts of a model out of its training.

    Args:
        model (nn.Module): whose weights in these parts get no gradient any more.
        names (Sequence[str]): as of :func:`find_parts`.

    Returns:
        list[nn.Module]: the parts, to be kept in eval mode.

    Raises:
        ValueError: If the model has no part of a name, or nothing is left to train.
    """
    frozen = [part.requires_grad_(False) for part in find_parts(model, 'frozen', names)]
    if frozen and not any(weight.requires_grad for weight in model.parameters()):
        raise ValueError(
            f'frozen of {type(model).__name__} is {tuple(names)!r}, which leaves nothing to train; '
            'leave a part out, or score untrained features by tools/baselines.py.'
        )
    return frozen


#: Options that PiCIE had in version 0.1 -> what does the same now.
_MOVED_OPTIONS = {
    'frozen_dtype': 'default_hooks.acceleration.frozen_dtype',
    'activation_budget': "mmengine's top-level key activation_checkpointing",
    'activation_checkpointing': "mmengine's top-level key activation_checkpointing",
}


def take_moved_options(options: dict[str, Any]) -> str | None:
    """Take out of PiCIE's options those of version 0.1 that moved, and say where to.

    Args:
        options (dict): keyword arguments of PiCIE, changed in place.

    Returns:
        str | None: the old ``frozen_dtype``, which is still followed.
    """
    found = {name: options.pop(name) for name in _MOVED_OPTIONS if name in options}
    for name in found:
        warnings.warn(
            f'model.{name} has moved to {_MOVED_OPTIONS[name]}; set that instead.',
            FutureWarning,
            stacklevel=3,
        )
    return found.get('frozen_dtype')


def check_encoder(model: nn.Module, weights: Mapping[str, Tensor], prefix: str = '') -> None:
    """Refuse the weights of another encoder: a load that is not strict would leave it random.

    Args:
        model (nn.Module): with a ``backbone`` and perhaps a ``neck``.
        weights (Mapping[str, Tensor]): of a checkpoint, for all of the model.
        prefix (str): what their names begin with.

    Raises:
        ValueError: If a tensor of backbone or neck is missing, of another shape, or unknown.
    """
    own = {prefix + key: value.shape for key, value in model.state_dict().items()}
    parts = tuple(f'{prefix}{name}.' for name in ('backbone', 'neck'))
    # Counters of batches are newer than some published weights, and change nothing here.
    names = [
        key
        for key in {**own, **weights}
        if key.startswith(parts) and not key.endswith('num_batches_tracked')
    ]
    wrong = [
        key
        for key in names
        if key not in own or key not in weights or own[key] != weights[key].shape
    ]
    if wrong:
        raise ValueError(
            f'the checkpoint is of another backbone or neck than the config: of {len(names)} '
            f'tensors, {len(wrong)} are missing, unknown or of another shape, such as {wrong[0]}; '
            'give the config that it was trained with, or take over its backbone alone by '
            "model.backbone.init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')."
        )


def check_heads(
    heads: Mapping[str, nn.Module], weights: Mapping[str, Tensor], prefix: str = ''
) -> None:
    """Refuse the weights of another method: a load that is not strict would leave a head random.

    Args:
        heads (Mapping[str, nn.Module]): by their place in the model, such as 'decode_head'.
        weights (Mapping[str, Tensor]): of a checkpoint, for all of the model.
        prefix (str): what their names begin with.

    Raises:
        ValueError: If a tensor of a head is missing.
    """
    for place, head in heads.items():
        # Other buffers have a value from the start, and older checkpoints lack some of them.
        names = [*getattr(head, 'learned_buffers', ()), *dict(head.named_parameters())]
        missing = [f'{place}.{key}' for key in names if f'{prefix}{place}.{key}' not in weights]
        if missing:
            raise ValueError(
                f'the checkpoint is of another method than the config: it lacks {missing[0]}, and '
                f'{place} is a {type(head).__name__}, which would be left as it is made; give the '
                'config that it was trained with, or take over its backbone alone by '
                "model.backbone.init_cfg=dict(type='Pretrained', checkpoint=..., "
                "prefix='backbone.')."
            )


def list_pretrained(init_cfg: Any) -> list[Mapping[str, Any]]:
    """The entries of an ``init_cfg`` that load weights.

    Args:
        init_cfg (dict, list[dict], optional): of a backbone, as MMEngine takes it.

    Returns:
        list[Mapping]: each with its ``checkpoint``.
    """
    entries = [init_cfg] if isinstance(init_cfg, Mapping) else init_cfg or ()
    return [entry for entry in entries if entry.get('checkpoint')]


def describe_backbone(settings: Mapping[str, Any]) -> str:
    """Kind and size of a backbone, such as 'ResNet 18'.

    Args:
        settings (Mapping[str, Any]): of a backbone, or of a frozen encoder that has one.
    """
    settings = settings.get('backbone') or settings
    words = [settings.get(key) for key in ('type', 'model_name', 'arch', 'depth')]
    return ' '.join(str(word) for word in words if word)


def check_pretrained(backbone: nn.Module, init_cfg: Mapping[str, Any]) -> None:
    """Refuse a weight file that is missing, or that holds nothing for a backbone.

    Args:
        backbone (nn.Module): to be initialised.
        init_cfg (Mapping[str, Any]): of type 'Pretrained', with the path of a file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If no tensor of the file has a name and shape of the backbone's.
    """
    path, prefix = init_cfg['checkpoint'], init_cfg.get('prefix', '')
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'backbone.init_cfg.checkpoint names the file {path!r}, which does not exist; give the '
            'path of the weights, or backbone.init_cfg=None to train from scratch.'
        )
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    weights = checkpoint.get('state_dict', checkpoint)
    start = prefix if not prefix or prefix.endswith('.') else f'{prefix}.'
    own = backbone.state_dict()
    if not any(
        getattr(weights.get(start + key), 'shape', None) == value.shape
        for key, value in own.items()
    ):
        raise ValueError(
            f'backbone.init_cfg.checkpoint {path} holds no tensor of this backbone '
            f'({type(backbone).__name__}) below the prefix {prefix!r}, but such as '
            f"{next(iter(weights), 'none')}; set init_cfg.prefix to 'backbone.' for a checkpoint "
            'of a segmentor, or give weights of this backbone.'
        )
