"""Parts of a model, by the names that a config gives."""

from collections.abc import Sequence

from torch import nn


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
