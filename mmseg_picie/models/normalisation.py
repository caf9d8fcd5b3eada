"""Whether images are normalised as the weights of a backbone want it."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from mmengine.logging import print_log
from mmengine.model import BaseDataPreprocessor
from torch import nn

from .parts import list_pretrained

#: Mean and deviation of RGB images from 0 to 255, by which torchvision's weights were trained.
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))

# Grey levels that make no difference: papers round these numbers in several ways.
_TOLERANCE = 1.0

Normalisation = tuple[Sequence[float], Sequence[float]]


def wanted_normalisation(backbone: nn.Module) -> Normalisation | None:
    """Find how images were normalised when the weights of a backbone were trained.

    Args:
        backbone (nn.Module): before ``init_weights``.

    Returns:
        tuple or None: mean and deviation of each channel, from 0 to 255, as timm has them on record
            for its models and torchvision for all of its. None if they are not known, or the
            backbone begins with random weights.
    """
    sources = list_pretrained(getattr(backbone, 'init_cfg', None))
    if any(source['checkpoint'].startswith('torchvision://') for source in sources):
        return IMAGENET
    if not (sources or getattr(backbone, 'weights', None) or getattr(backbone, 'is_init', False)):
        return None
    for module in backbone.modules():
        record = getattr(module, 'pretrained_cfg', None)
        if isinstance(record, Mapping) and record.get('mean') and record.get('std'):
            mean, std = ([255 * value for value in record[key]] for key in ('mean', 'std'))
            return mean, std
    return None


def check_normalisation(backbone: nn.Module, preprocessor: BaseDataPreprocessor) -> None:
    """Warn of images that are not normalised as the weights of a backbone want it.

    Args:
        backbone (nn.Module): before ``init_weights``.
        preprocessor (BaseDataPreprocessor): of the model.
    """
    wanted = wanted_normalisation(backbone)
    if wanted is None or not hasattr(preprocessor, 'mean'):
        return
    given = preprocessor.mean.flatten().tolist(), preprocessor.std.flatten().tolist()
    if np.shape(given) != np.shape(wanted) or np.allclose(given, wanted, rtol=0, atol=_TOLERANCE):
        return
    mean, std, right_mean, right_std = (
        '(' + ', '.join(f'{value:.6g}' for value in values) + ')' for values in (*given, *wanted)
    )
    print_log(
        f'model.data_preprocessor has mean {mean} and std {std}, but the weights of the backbone '
        f'were trained with mean {right_mean} and std {right_std}, which may cost some points of '
        f'mIoU; set model.data_preprocessor=dict(mean={right_mean}, std={right_std}).',
        logger='current',
        level=logging.WARNING,
    )
