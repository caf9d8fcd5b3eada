"""Make two views of an image, and pack them for the model."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample
from torch import Tensor

from ...views import (
    GeometricDraw,
    GeometricSpace,
    PhotometricDraw,
    PhotometricSpace,
    apply_photometric,
    cover,
    crop_flip_image,
    resize,
)
from .sizes import SizeLike, to_size

#: No arguments: the released recipe. Read only, as it is a default value.
_DEFAULTS: Mapping = MappingProxyType({})


@TRANSFORMS.register_module()
class PairedViews(BaseTransform):
    """Views of one image: own photometric draws, one shared geometric draw (PiCIE section 3).

    The base image is the centre of the image at ``base_size``, or all of it. View 0 is the base
    after its photometric draw, cropped, flipped and resized to ``view_size``. View 1 is the whole
    base after its own photometric draw, resized to ``view_size``; the same crop and flip wait, as
    data, for its feature map. Further views are made as view 1 is; with one view there is view 0
    alone.

    Required keys: ``img`` ((H, W, 3) uint8 BGR), ``rng`` (from :class:`KeyedSegDataset`).
    Added keys: ``views`` (V (height, width, 3) uint8 BGR arrays), ``geometry``
    (:class:`GeometricDraw`).

    Args:
        base_size (int or (int, int)): (height, width) of the base image in pixels; one number for
            a square. Smaller images are enlarged to it.
        view_size (int or (int, int)): (height, width) of both views in pixels.
        photometric (dict, optional): arguments of :class:`PhotometricSpace`; None for no
            photometric change (the equivariance-only ablation). Blur is in pixels of the base.
        geometric (dict, optional): arguments of :class:`GeometricSpace`; None for the whole image,
            not flipped (the invariance-only ablation).
        num_views (int): V, at least 1.
        keep_ratio (bool): whether the base image keeps the aspect, so that what juts out is cut
            off; if not, the whole image is stretched to ``base_size``.

    Raises:
        ValueError: If a size, range or number makes no sense.
    """

    def __init__(
        self,
        base_size: SizeLike = 640,
        view_size: SizeLike = 320,
        photometric: Mapping | None = _DEFAULTS,
        geometric: Mapping | None = _DEFAULTS,
        num_views: int = 2,
        keep_ratio: bool = True,
    ) -> None:
        if num_views < 1:
            raise ValueError(f'num_views of PairedViews must be at least 1, but got {num_views}.')
        self.num_views = num_views
        self.base_size = to_size(base_size, 'base_size')
        self.view_size = to_size(view_size, 'view_size')
        self.keep_ratio = keep_ratio
        self.photometric = None if photometric is None else PhotometricSpace(**photometric)
        self.geometric = None if geometric is None else GeometricSpace(**geometric)

    def transform(self, results: dict) -> dict:
        """Add ``views`` and ``geometry``."""
        if 'rng' not in results:
            raise KeyError(
                "PairedViews needs results['rng']; set the sampler of the dataloader to "
                "dict(type='EpochKeySampler') and use a dataset of this package."
            )
        rng = results['rng']
        draws = [
            self.photometric.draw(rng) if self.photometric else PhotometricDraw()
            for _ in range(self.num_views)
        ]
        geometry = self.geometric.draw(rng) if self.geometric else GeometricDraw()
        base = (cover if self.keep_ratio else resize)(results['img'], self.base_size)
        first, *others = draws
        results['views'] = [
            crop_flip_image(apply_photometric(base, first), geometry, self.view_size),
            *(resize(apply_photometric(base, draw), self.view_size) for draw in others),
        ]
        results['geometry'] = geometry
        return results


class PackedViews(list):
    """The V views of one item: (3, H, W) uint8 BGR tensors.

    MMSegmentation's ``browse_dataset.py`` takes the inputs of an item for one image, and turns its
    axes. So a list of views can be turned as well.
    """

    def permute(self, *dims: int) -> Tensor:
        """Turn the axes of all views, side by side as one image.

        Args:
            dims (int): order of the axes, as in ``torch.permute``.

        Returns:
            Tensor: (3, H, V W) in that order.
        """
        return torch.cat(list(self), dim=-1).permute(*dims)


@TRANSFORMS.register_module()
class PackPairedViews(BaseTransform):
    """Pack paired views for :class:`PairedViewDataPreProcessor`.

    Required keys: ``views``, ``geometry``. The result holds ``inputs``, :class:`PackedViews`
    of V (3, H, W) uint8 BGR tensors, and ``data_samples``, a ``SegDataSample`` whose metainfo has
    ``geometry`` and those of ``meta_keys`` that are there.

    Args:
        meta_keys (Sequence[str]): further entries to keep.
    """

    def __init__(self, meta_keys: tuple[str, ...] = ('img_path', 'sample_idx')) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Return ``inputs`` and ``data_samples``."""
        sample = SegDataSample(
            metainfo={key: results[key] for key in self.meta_keys if key in results}
        )
        sample.set_metainfo(dict(geometry=results['geometry']))
        # A view of (H, W, 3) memory: the batch is stacked channels last without a copy in between.
        inputs = [torch.from_numpy(np.array(view)).permute(2, 0, 1) for view in results['views']]
        return dict(inputs=PackedViews(inputs), data_samples=sample)
