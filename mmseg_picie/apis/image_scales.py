"""The size at which the network sees an image."""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from mmengine.config import Config

from ..datasets.raster_files import Place
from ..datasets.transforms.sizes import to_size
from ..views import cover_size

#: What `--scale` may be, for messages.
FORMS = 'auto, train, full, a factor such as 0.5, or a shorter side such as 640px'
#: 'auto': images whose shorter side is so many times that of the training are seen finer, ...
LARGE = 4
#: ... at so many times the size of the training.
FINER = 1.5
# Steps of a test pipeline between which the network's size is the one of ResizeCenterCrop.
_KNOWN = {'LoadImageFromFile', 'LoadImageFromNDArray', 'LoadAnnotations', 'LoadRGAnnotations'}
_KNOWN |= {'RemapLabels', 'ResizeCenterCrop', 'PackSegInputs'}
_MOST_FACTOR = 4


class Scale(NamedTuple):
    """A rule for the size at which the network sees an image.

    Attributes:
        kind (str): 'auto', 'train', 'factor' or 'side'.
        value (float): the factor, or pixels of the shorter side.
    """

    kind: str
    value: float = 1.0


class TrainedSize(NamedTuple):
    """How the test pipeline of a config resizes an image.

    Attributes:
        size (tuple[int, int]): (height, width) in pixels.
        keep_ratio (bool): whether the image covers ``size``, or is stretched to it.
    """

    size: tuple[int, int]
    keep_ratio: bool

    def fit(self, shape: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of an image of (H, W)."""
        return cover_size(shape, self.size) if self.keep_ratio else self.size


def parse_scale(text: str | float) -> Scale:
    """Read a rule.

    Args:
        text (str or float): 'auto'; 'train', the size of the training; 'full', the pixels of the
            file; a factor of these, above 0 and up to 4; or pixels of the shorter side, as '640px'.

    Raises:
        ValueError: If it is something else.
    """
    word = str(text)
    if word in ('auto', 'train'):
        return Scale(word)
    if word == 'full':
        return Scale('factor', 1.0)
    if re.fullmatch(r'[1-9]\d{0,5}px', word):
        return Scale('side', int(word[:-2]))
    try:
        factor = float(word)
    except ValueError:
        factor = math.nan
    if not 0 < factor <= _MOST_FACTOR:
        raise ValueError(
            f'scale must be {FORMS} (a factor is above 0 and at most {_MOST_FACTOR}), but got '
            f'{word!r}.'
        )
    return Scale('factor', factor)


def read_trained_size(config: Config) -> TrainedSize | None:
    """How the test pipeline resizes an image.

    Args:
        config (Config): with ``test_pipeline``.

    Returns:
        TrainedSize or None: None if steps that are not this package's may change it.
    """
    steps: list[Mapping] = config.test_pipeline
    resizing = [step for step in steps if step['type'] == 'ResizeCenterCrop']
    if len(resizing) != 1 or any(step['type'] not in _KNOWN for step in steps):
        return None
    return TrainedSize(to_size(resizing[0]['size'], 'size'), resizing[0].get('keep_ratio', True))


def choose_size(
    scale: Scale, shape: tuple[int, int], place: Place | None, trained: TrainedSize
) -> tuple[int, int]:
    """Choose the size at which the network sees an image.

    'auto' is the training's size, and :data:`FINER` times it for an image whose shorter side is at
    least :data:`LARGE` times as long as the training's. Things are then between as large as in the
    whole images and as large as in the crops that the network learned from; docs/large-images.md
    has scores. An image that lies on the earth has no frame that a photographer chose. Its pixels
    are of a size, and all of them are seen.

    Args:
        scale (Scale): the rule.
        shape (tuple[int, int]): (H, W) of the image in pixels.
        place (Place, optional): where it lies on the earth.
        trained (TrainedSize): of the model.

    Returns:
        tuple[int, int]: (h, w), at least 1 each.
    """
    if scale.kind == 'auto' and place is not None:
        scale = Scale('factor', 1.0)
    if scale.kind == 'train':
        return trained.fit(shape)
    if scale.kind == 'auto':
        height, width = trained.fit(shape)
        is_large = min(shape) >= LARGE * min(trained.size)
        finer = FINER if is_large else 1
        return round(finer * height), round(finer * width)
    if scale.kind == 'side':
        return cover_size(shape, (int(scale.value), int(scale.value)))
    height, width = (max(1, round(side * scale.value)) for side in shape)
    return height, width
