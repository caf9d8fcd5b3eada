"""From packed images to normalised batches, for two views as for one image."""

from typing import Any

import torch
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from .normalisation import IMAGENET


@MODELS.register_module()
class PairedViewDataPreProcessor(SegDataPreProcessor):
    """``SegDataPreProcessor`` that also takes the lists of views of :class:`PackPairedViews`.

    Args:
        mean (Sequence[float]): mean of R, G, B in [0, 255]; the ImageNet mean by default.
        std (Sequence[float]): standard deviation of R, G, B; ImageNet's by default.
        bgr_to_rgb (bool): whether images come as BGR (as all of mmcv's do) and the network takes
            RGB.
        size_divisor (int, optional): labelled and evaluated images are padded to a multiple of it.
        pad_val (float): value of padding.
        seg_pad_val (int): label of padding.
    """

    def __init__(
        self,
        mean: tuple[float, ...] = IMAGENET[0],
        std: tuple[float, ...] = IMAGENET[1],
        bgr_to_rgb: bool = True,
        size_divisor: int | None = None,
        pad_val: float = 0,
        seg_pad_val: int = 255,
    ) -> None:
        for name, values in (('mean', mean), ('std', std)):
            if values is not None and len(values) not in (1, 3):
                raise ValueError(
                    f'{name} of data_preprocessor must have a number for each of R, G and B, but '
                    f'got {list(values)}.'
                )
        super().__init__(
            mean=mean,
            std=std,
            bgr_to_rgb=bgr_to_rgb,
            # mmseg asks for one in supervised training; 1 pads to the largest image of the batch.
            size_divisor=size_divisor or 1,
            pad_val=pad_val,
            seg_pad_val=seg_pad_val,
            test_cfg=None if size_divisor is None else dict(size_divisor=size_divisor),
        )
        self.bgr_to_rgb = bgr_to_rgb

    def forward(self, data: dict, training: bool = False) -> dict[str, Any]:
        """Stack, move to the device, normalise.

        Args:
            data (dict): ``inputs``: N images, or V lists of N views, (3, H, W) uint8 each;
                ``data_samples``: N samples, which images that are predicted may lack.
            training (bool): as in ``SegDataPreProcessor``; views are treated alike in both.

        Returns:
            dict: ``inputs``: (N, 3, H, W) float32, or V of them; ``data_samples``.
        """
        if isinstance(data['inputs'][0], Tensor):
            if data.get('data_samples') is None and self.test_cfg and not training:
                # mmseg notes in them how images were padded.
                blank = [SegDataSample() for _ in data['inputs']]
                return super().forward(dict(data, data_samples=blank)) | dict(data_samples=None)
            return super().forward(data, training)
        data = self.cast_data(data)
        data['inputs'] = [self._normalise(torch.stack(view)) for view in data['inputs']]
        return data

    def _normalise(self, images: Tensor) -> Tensor:
        if self.bgr_to_rgb:
            images = images.flip(1)
        return (images.float() - self.mean) / self.std
