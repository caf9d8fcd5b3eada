"""Label images of any size with a model, in memory that is bounded whatever the clusters.

Images at the training's size are forwarded as a whole, several at once; all others in windows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from numpy.typing import NDArray

from ..datasets.image_reading import to_colour
from ..datasets.image_strips import MOST_WHOLE, ArrayStrips, ResizedStrips, Strips
from ..models import PiCIE
from ..models.cluster_prediction import count_at_once
from ..models.window_prediction import find_unit, label_in_windows, plan_windows
from ..models.windows import plan_intervals
from .image_scales import Scale, choose_size, parse_scale, read_trained_size

#: Images that are forwarded together at most.
MOST_AT_ONCE = 16


class Labeller:
    """Labels images by the clusters of a model, of the first of the views that predict.

    Args:
        model (PiCIE): of :func:`.prediction.load_model`.
        scale (str or float): as of :func:`.image_scales.parse_scale`.

    Attributes:
        num_clusters (int): K.

    Raises:
        ValueError: If the scale makes no sense, or not for this model.
    """

    def __init__(self, model: PiCIE, scale: str | float = 'auto') -> None:
        self.model = model
        config: Any = model.cfg
        self.num_clusters = model.decode_head.num_clusters
        self._scale = parse_scale(scale)
        self._trained = read_trained_size(config)
        if self._scale.kind == 'auto' and (self._trained is None or model.crf is not None):
            self._scale = Scale('train')
        if self._scale.kind != 'train':
            self._check_scale(scale)
        steps = [dict(step) for step in config.test_pipeline]
        steps = [step for step in steps if not step['type'].endswith('Annotations')]
        self._pipeline = Compose(steps)
        self._device = next(model.parameters()).device

    def _check_scale(self, scale: str | float) -> None:
        if self.model.crf is not None:
            raise ValueError(
                f'scale must be auto or train with model.crf, which refines images as a whole, but '
                f'is {scale!r}; leave one of the two out.'
            )
        if self._trained is None:
            raise ValueError(
                f'scale must be auto or train, but is {scale!r}, as the size of the training '
                'cannot be read from test_pipeline; resize there by ResizeCenterCrop alone.'
            )

    def label(self, image: NDArray, stretch: str = 'none') -> NDArray:
        """Label an image in memory.

        Args:
            image (NDArray): as of :func:`..datasets.image_reading.to_colour`.
            stretch (str): as of :func:`..datasets.image_reading.read_image`.

        Returns:
            NDArray: (H, W) clusters; uint8 if K <= 256, else uint16.

        Raises:
            ValueError: If it is no image, or too large for a CRF.
        """
        colour = to_colour(image, stretch)
        item = self.prepare(colour)
        return (
            self.label_strips(ArrayStrips(colour)) if item is None else self.label_items([item])[0]
        )

    def prepare(self, image: NDArray[np.uint8]) -> dict[str, Any] | None:
        """Bring an image into the form of :meth:`label_items`.

        Args:
            image (NDArray): (H, W, 3) uint8 BGR.

        Returns:
            dict or None: None if it is for :meth:`label_strips`.
        """
        shape = image.shape[:2]
        self._check_crf(shape)
        trained = self._trained
        if trained is not None and self.model.crf is None:
            is_large = shape[0] * shape[1] > MOST_WHOLE
            chosen = choose_size(self._scale, shape, None, trained)
            if is_large or chosen != trained.fit(shape):
                return None
        return self._pipeline(dict(img=image, img_path=None))

    @torch.no_grad()
    def label_items(self, items: Sequence[dict[str, Any]]) -> list[NDArray]:
        """Label images as a whole.

        Args:
            items (Sequence[dict]): of :meth:`prepare`, with inputs of one size.

        Returns:
            list[NDArray]: as of :meth:`label`.
        """
        model: Any = self.model
        data = {name: [item[name] for item in items] for name in items[0]}
        with model.only_labels():
            samples = model.test_step(data)
        return [self._narrow(sample.pred_sem_seg.data[0]) for sample in samples]

    def label_strips(self, strips: Strips) -> NDArray:
        """Label an image of any size, in windows.

        Args:
            strips (Strips): the image.

        Returns:
            NDArray: as of :meth:`label`.

        Raises:
            ValueError: If the model has a CRF, or its pipeline is not known.
        """
        self._check_crf(strips.shape)
        if self._trained is None:
            raise ValueError(
                f'an image of {strips.shape[1]} x {strips.shape[0]} pixels is labelled in windows, '
                'for which the size of the training must be known; resize in test_pipeline by '
                'ResizeCenterCrop alone.'
            )
        trained, unit = self._trained, find_unit(self.model)
        chosen = choose_size(self._scale, strips.shape, strips.place, trained)
        height, width = (max(1, round(side / unit)) * unit for side in chosen)
        resized = ResizedStrips(strips, (height, width))
        if chosen == trained.fit(strips.shape):
            rows, columns = (
                plan_intervals(height, height, height),
                plan_intervals(width, width, width),
            )
        else:
            rows, columns = (
                plan_windows(length, side, unit)
                for length, side in zip((height, width), trained.size, strict=True)
            )

        def read(top: int, bottom: int) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(resized.read(top, bottom))).permute(
                2, 0, 1
            )

        labels: NDArray = np.empty(strips.shape, dtype=self._type)
        with self.model.only_labels():
            for top, found in label_in_windows(self.model, read, rows, columns, strips.shape):
                labels[top : top + found.shape[1]] = found[0].numpy()
        return labels

    def count_at_once(self, item: dict[str, Any]) -> int:
        """How many such images to forward together."""
        return min(MOST_AT_ONCE, count_at_once(item['inputs'][0].numel(), self._device))

    @property
    def _type(self) -> type:
        return np.uint8 if self.num_clusters <= 256 else np.uint16

    def _narrow(self, clusters: torch.Tensor) -> NDArray:
        return clusters.cpu().numpy().astype(self._type)

    def _check_crf(self, shape: Sequence[int]) -> None:
        """Refuse images whose logits, which a CRF needs all at once, are too large."""
        model: Any = self.model
        numbers = model.out_channels * shape[0] * shape[1]
        if model.crf is not None and numbers > model.most_logits:
            raise ValueError(
                f'model.crf refines an image as a whole, and one of {shape[1]} x {shape[0]} pixels '
                f'by {self.num_clusters} clusters would take {numbers * 4 / 2**30:.1f} GiB several '
                'times; leave crf out, or make the image smaller.'
            )
