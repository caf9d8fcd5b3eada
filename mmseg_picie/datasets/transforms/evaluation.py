"""Bring images and label maps into the form in which they are evaluated."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ...views import cover, cover_size, resize
from .sizes import SizeLike, to_size


@TRANSFORMS.register_module()
class RemapLabels(BaseTransform):
    """Turn the label values on disk into classes, and refuse values that are neither.

    Modified keys: ``gt_seg_map``, by way of ``label_lut`` of :class:`KeyedSegDataset`. Without a
    label map (inference) nothing happens.
    """

    def transform(self, results: dict) -> dict:
        """Map ``gt_seg_map``.

        Raises:
            KeyError: If the data set gives no ``label_lut``.
            ValueError: If a value has no class, or the map more than one channel; the message
                names the file and the value or shape.
        """
        if 'gt_seg_map' not in results:
            return results
        if 'label_lut' not in results:
            raise KeyError(
                "RemapLabels needs results['label_lut']; use a dataset of this package, such as "
                'KeyedSegDataset.'
            )
        raw = results['gt_seg_map']
        if raw.ndim != 2:
            raise ValueError(
                f'label map {results["seg_map_path"]} must have one channel, but its shape is '
                f'{raw.shape}; convert it to class ids.'
            )
        labels = _look_up(results['label_lut'], raw)
        if labels.min(initial=0) < 0:
            allowed = np.flatnonzero(results['label_lut'] >= 0)
            raise ValueError(
                f'label map {results["seg_map_path"]} holds the value {raw[labels < 0][0]}, but '
                f'this data set has only {_describe(allowed)}; convert the label maps or use the '
                'data set that they belong to.'
            )
        results['gt_seg_map'] = labels.astype(np.uint8)
        return results


@TRANSFORMS.register_module()
class ResizeCenterCrop(BaseTransform):
    """Resize to cover ``size`` and, where there is a label map, crop the centre of both.

    PiCIE evaluates on the centre crop of image and labels, at the network's resolution. Without a
    label map (inference) nothing is cropped, and the prediction has the size of the file. Other
    protocols stretch the whole image and its labels to ``size`` instead.

    Modified keys: ``img``, ``gt_seg_map``, ``img_shape``, ``pad_shape``, and, when cropped,
    ``ori_shape``, so that mmseg scores at the resolution of the crop.

    Args:
        size (int or (int, int)): (height, width) in pixels; one number for a square.
        keep_ratio (bool): whether to keep the image's aspect; if not, the whole image is stretched
            to ``size`` and nothing is cropped.

    Raises:
        ValueError: If the size makes no sense.
    """

    def __init__(self, size: SizeLike, keep_ratio: bool = True) -> None:
        self.size = to_size(size, 'size')
        self.keep_ratio = keep_ratio

    def transform(self, results: dict) -> dict:
        """Resize, and crop if there is a label map."""
        image = results['img']
        if 'gt_seg_map' in results:
            labels = results['gt_seg_map']
            if labels.shape != image.shape[:2]:
                raise ValueError(
                    f'label map {results["seg_map_path"]} is {labels.shape[1]} x '
                    f'{labels.shape[0]} pixels, but its image {results["img_path"]} is '
                    f'{image.shape[1]} x {image.shape[0]}; they must have one size.'
                )
            fit = cover if self.keep_ratio else resize
            results['gt_seg_map'] = fit(labels, self.size, nearest=True)
            results['img'] = fit(image, self.size, exact=True)
            results['ori_shape'] = self.size
        else:
            size = cover_size(image.shape[:2], self.size) if self.keep_ratio else self.size
            results['img'] = resize(image, size, exact=True)
        results['img_shape'] = results['pad_shape'] = results['img'].shape[:2]
        return results


def _look_up(table: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """Entries of a table; -1 for values outside it, however wide the label map's numbers are."""
    if raw.dtype == np.uint8:  # the usual case, always inside
        return table[raw]
    inside = (raw >= 0) & (raw < len(table))
    return np.where(inside, table[np.where(inside, raw, 0)], -1)


def _describe(values: np.ndarray) -> str:
    """Write sorted integers as ranges, as in '0-10, 255'."""
    runs = np.split(values, np.flatnonzero(np.diff(values) > 1) + 1)
    return ', '.join(str(run[0]) if len(run) == 1 else f'{run[0]}-{run[-1]}' for run in runs)
