"""Label maps whose ids are spread over two channels, as ImageNet-S stores them."""

import mmcv
import numpy as np
from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

IGNORE_LABEL = 255


def decode_rg(image: NDArray[np.uint8], path: str) -> NDArray[np.int32]:
    """Ids of a label map that stores them as red + 256 green.

    Args:
        image (NDArray): (H, W, 3) RGB, uint8, blue being 0.
        path (str): file that it comes from, for the message.

    Returns:
        NDArray: (H, W) ids in [0, 65535].

    Raises:
        ValueError: If there are not three channels of 8 bits, or blue is not 0.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f'label map {path} must have three channels of 8 bits (red + 256 green, no blue), but '
            f'it is {image.dtype} of shape {image.shape}; take it from the benchmark as it was '
            'published.'
        )
    if image[..., 2].any():
        raise ValueError(
            f'label map {path} must have 0 as blue everywhere, but it holds the blue value '
            f'{image[..., 2].max()}; it is no map of ids as red + 256 green.'
        )
    return image[..., 0] + 256 * image[..., 1].astype(np.int32)


@TRANSFORMS.register_module()
class LoadRGAnnotations(LoadAnnotations):
    """Load a label map that stores ids as red + 256 green, three channels of 8 bits.

    The result is what ``LoadAnnotations`` gives: ids up to 254, and 255 for pixels without a class.
    ``RemapLabels`` refuses the ids that the data set does not have.

    Added keys: ``gt_seg_map`` (H, W) uint8, and its name in ``seg_fields``.

    Args:
        ignore_id (int): id on disk of pixels without a class; it becomes 255.
        backend_args (dict, optional): as in ``LoadAnnotations``.
        imdecode_backend (str): as in ``LoadAnnotations``.
    """

    def __init__(
        self,
        ignore_id: int = 1000,
        backend_args: dict | None = None,
        imdecode_backend: str = 'pillow',
    ) -> None:
        super().__init__(backend_args=backend_args, imdecode_backend=imdecode_backend)
        self.ignore_id = ignore_id

    def _load_seg_map(self, results: dict) -> None:
        """Read one label map.

        Raises:
            ValueError: If its channels or ids are not as stated; the message names the file.
        """
        path = results['seg_map_path']
        content = fileio.get(path, backend_args=self.backend_args)
        image = mmcv.imfrombytes(content, flag='unchanged', backend=self.imdecode_backend)
        # mmcv turns three channels to BGR; other shapes are refused below.
        ids = decode_rg(image[..., ::-1] if image.ndim == 3 else image, path)
        ignored = ids == self.ignore_id
        too_large = ids[(ids >= IGNORE_LABEL) & ~ignored]
        if too_large.size:
            raise ValueError(
                f'label map {path} holds the id {too_large[0]}, but ids go up to '
                f'{IGNORE_LABEL - 1}, and {self.ignore_id} for pixels without a class; take the '
                'label maps of this data set.'
            )
        results['gt_seg_map'] = np.where(ignored, IGNORE_LABEL, ids).astype(np.uint8)
        results['seg_fields'].append('gt_seg_map')

    def __repr__(self) -> str:
        """Class and options."""
        return (
            f'{type(self).__name__}(ignore_id={self.ignore_id}, '
            f"imdecode_backend='{self.imdecode_backend}', backend_args={self.backend_args})"
        )
