"""mmseg's loading transforms, with this package's rule for images."""

from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadImageFromNDArray
from mmseg.registry import TRANSFORMS

from ..image_reading import read_image, to_colour
from ..stretching import check_stretch


# mmseg's functions for inference put the second name into a pipeline that has the first.
@TRANSFORMS.register_module(name=['LoadImageFromFile', 'LoadImageFromNDArray'], force=True)
class LoadImage(LoadImageFromFile):
    """Load an image, from a file or from memory, by the rule of :mod:`..image_reading`.

    It stands in mmseg's registry as ``LoadImageFromFile`` and ``LoadImageFromNDArray``, so that the
    rule holds in mmseg's ``inference_model`` and ``MMSegInferencer`` as well. It is for
    ``imdecode_backend='pillow'``, which all configs of this package state; with another decoder or
    ``color_type`` the transform does what mmseg's does.

    Args:
        to_float32 (bool): as of ``LoadImageFromFile``.
        color_type (str): likewise.
        imdecode_backend (str): likewise.
        file_client_args (dict, optional): likewise.
        ignore_empty (bool): likewise.
        backend_args (dict, optional): likewise.
        stretch (str): which levels of more than 8 bits become black and white; as of
            :func:`..image_reading.read_image`.

    Required keys: ``img_path``, or ``img`` (an array; see :func:`to_colour`).
    Added keys: ``img`` ((H, W, 3) uint8 BGR), ``img_shape``, ``ori_shape``.
    """

    def __init__(
        self,
        to_float32: bool = False,
        color_type: str = 'color',
        imdecode_backend: str = 'cv2',
        file_client_args: dict | None = None,
        ignore_empty: bool = False,
        *,
        backend_args: dict | None = None,
        stretch: str = 'none',
    ) -> None:
        check_stretch(stretch)
        super().__init__(
            to_float32,
            color_type,
            imdecode_backend,
            file_client_args,
            ignore_empty,
            backend_args=backend_args,
        )
        self.stretch = stretch

    def transform(self, results: dict) -> dict | None:
        """Load an image.

        Raises:
            FileNotFoundError: If the file does not exist; the message names it.
            ValueError: If the image cannot be read, or the rule refuses it; likewise.
        """
        in_memory = results.get('img') is not None
        if self.imdecode_backend != 'pillow' or self.color_type != 'color' or self.file_client_args:
            if in_memory:
                return LoadImageFromNDArray.transform(self, results)
            return super().transform(results)
        try:
            if in_memory:
                image = to_colour(results['img'], self.stretch)
                results['img_path'] = None
            else:
                image = read_image(results['img_path'], self.backend_args, self.stretch)
        except (OSError, ValueError):
            if self.ignore_empty:
                return None
            raise
        results['img'] = image.astype('float32') if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
