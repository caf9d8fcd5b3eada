"""Let a network see images whose sides are multiples of its stride.

At other sides networks pad unevenly (those that came from TensorFlow most of all), lose the last
pixels, or refuse the image. What is then computed along the border is of another kind than what is
computed further in.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..device_limits import without_autocast

# Sides of the image that a network is tried with, in turn: multiples of 32, and of the patches of
# vision transformers that take nothing else (7, 8, 14, 16; 10, 12, 15, 20; 9, 18; 11, 13, 22, 26).
_TRIED_SIDES = (224, 240, 252, 286)


def fit_to_stride(images: Tensor, stride: int) -> Tensor:
    """Resize images to the nearest sides that are multiples of a stride, at least one stride.

    Args:
        images (Tensor): (N, C, H, W).
        stride (int): of the network.

    Returns:
        Tensor: (N, C, H', W'), the images themselves if their sides are multiples already.
    """
    sides = images.shape[2:]
    if all(_is_multiple(side, stride) for side in sides):
        return images
    size = [to_multiple(side, stride, stride // 2) for side in sides]
    return F.interpolate(images, size, mode='bilinear', align_corners=False, antialias=True)


def to_multiple(side: int, unit: int, added: int) -> int:
    """The largest multiple of a unit that is not above ``side + added``, at least one unit.

    Args:
        side (int): of an image; in ``torch.export``, perhaps one that is not known yet.
        unit (int): such as a stride.
        added (int): ``unit // 2`` to round to the nearest multiple, ``unit - 1`` to round up.

    Returns:
        int: likewise.
    """
    if not isinstance(side, torch.SymInt):
        return max(1, (side + added) // unit) * unit
    # A number of its own, so that the sizes of all maps are plain multiples of it: exact divisions,
    # which the export can tell, where those of the side itself pile up.
    count = (torch.scalar_tensor(side + added, dtype=torch.int64) // unit).clamp(min=1).item()
    torch._check(count >= 1)
    return count * unit


def _is_multiple(side: int, unit: int) -> bool:
    """Whether a side is known to be a multiple of a unit."""
    if not isinstance(side, torch.SymInt):
        return side % unit == 0
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    return statically_known_true(side % unit == 0)


def find_only_size(network: nn.Module) -> tuple[int, int] | None:
    """The one size of images that a network of timm takes.

    Args:
        network (nn.Module): any.

    Returns:
        tuple[int, int] or None: height and width; None if it takes others as well.
    """
    for module in network.modules():
        size = getattr(module, 'img_size', None)
        if getattr(module, 'strict_img_size', False) and size is not None:
            return (int(size[0]), int(size[1]))
    return None


@torch.no_grad()
def measure_stride(network: nn.Module) -> int:
    """Pixels of an image for one pixel of the coarsest map of a network.

    A small black image is sent through. Nothing of the network changes.

    Args:
        network (nn.Module): maps images (N, 3, H, W) to a map (N, D, h, w) or a sequence of them.

    Returns:
        int: such as 32 for a ResNet, or the side of a patch of a vision transformer. 1 of a network
            that gives no maps.

    Raises:
        Exception: What the network raises, if it takes none of the images.
    """
    only = find_only_size(network)
    tried = [(side, side) for side in _TRIED_SIDES] if only is None else [only]
    weight = next(network.parameters(), torch.empty(0))
    modes = [(module, module.training) for module in network.modules()]
    network.eval()  # running statistics stay, and nothing is drawn
    try:
        for size in tried:
            image = torch.zeros(1, 3, *size, device=weight.device, dtype=weight.dtype)
            try:
                with without_autocast(weight.device.type):
                    maps = network(image)
            except (AssertionError, RuntimeError, ValueError):  # a side that it does not take
                if size == tried[-1]:
                    raise
                continue
            levels = maps if isinstance(maps, Sequence) else [maps]
            sides = [x.shape[2] for x in levels if isinstance(x, Tensor) and x.ndim == 4]
            return round(size[0] / min(sides, default=size[0]))
    finally:
        for module, mode in modes:
            module.training = mode
    raise AssertionError  # not reached


class StrideFitting:
    """What a module with a ``backbone`` needs to fit images to its stride."""

    backbone: nn.Module
    _stride: int | None = None
    _only_size: tuple[int, int] | None = None

    @property
    def stride(self) -> int:
        """Pixels of an image for one pixel of the backbone's coarsest map; measured once."""
        if self._stride is None:
            self._stride = measure_stride(self.backbone)
            self._only_size = find_only_size(self.backbone)
        return self._stride

    def fit_images(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) as the backbone sees them; see :func:`fit_to_stride`.

        Raises:
            ValueError: If the backbone takes images of one other size alone.
        """
        images = fit_to_stride(images, self.stride)
        if self._only_size is not None and self._only_size != tuple(images.shape[2:]):
            raise ValueError(
                'the backbone takes images of {} x {} pixels alone, but got {} x {}; set '
                'dynamic_img_size=True of a vision transformer, strict_img_size=False of a Swin, '
                'or img_size and the sizes of all pipelines alike.'.format(
                    *self._only_size, *images.shape[2:]
                )
            )
        return images
