"""A fully connected CRF that moves borders of segments to those of colours."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Lowest probability, whose negative logarithm is a unary potential.
_LOWEST = 1e-5
#: Scale where segments are to be sharper and no figure is compared: it keeps small segments, which
#: the published 2 loses (docs/benchmarks.md).
REFINING_SCALE = 5.0


class DenseCRF:
    r"""Mean-field inference in a fully connected CRF (Krähenbühl and Koltun, NIPS 2011).

    A prediction beside the plain one, which much later work reports: compare it with no figure made
    without. Potentials of pixels are :math:`-\log \mathrm{softmax}(s\,\mathrm{logits})`. Pairs have
    a Gaussian kernel of positions and a bilateral one of positions and colours, with Potts'
    compatibility. The defaults are those that STEGO and what followed it use. It runs on a CPU, by
    the package ``pydensecrf2`` (extra ``crf``).

    Args:
        scale (float): s. Logits here are dot products from -1 to 1, so that 1 hardly tells clusters
            apart. 2 is STEGO's; others have 1, 3 or 4.
        num_iters (int): iterations, at least 1.
        gaussian (tuple[float, float]): standard deviation in pixels, and weight.
        bilateral (tuple[float, float, float]): standard deviation in pixels, in colours of 0 to
            255, and weight.

    Raises:
        ImportError: If the package is missing.
        ValueError: If an argument is not positive.
    """

    def __init__(
        self,
        scale: float = 2.0,
        num_iters: int = 10,
        gaussian: tuple[float, float] = (1, 3),
        bilateral: tuple[float, float, float] = (67, 3, 4),
    ) -> None:
        for name, values in (
            ('scale', [scale]),
            ('num_iters', [num_iters]),
            ('gaussian', gaussian),
            ('bilateral', bilateral),
        ):
            if min(values) <= 0:
                raise ValueError(f'{name} of crf must be positive, but got {values}.')
        try:
            import pydensecrf.densecrf  # noqa: F401
        except ImportError as error:
            raise ImportError(
                'crf needs the package pydensecrf2, which is not installed; run '
                "`pip install 'mmseg_picie[crf]'` (it needs a C++ compiler), or leave crf out."
            ) from error
        self.scale = scale
        self.num_iters = num_iters
        self.gaussian = tuple(gaussian)
        self.bilateral = tuple(bilateral)

    def __call__(self, image: NDArray, logits: Tensor) -> Tensor:
        """Refine a prediction.

        Args:
            image (NDArray): (H, W, 3) uint8.
            logits (Tensor): (K, H, W).

        Returns:
            Tensor: (K, H, W) probabilities, on the device of the logits.
        """
        from pydensecrf.densecrf import DenseCRF2D

        number, height, width = logits.shape
        unary = -(self.scale * logits.detach().float()).softmax(0).clamp(min=_LOWEST).log()
        crf = DenseCRF2D(width, height, number)
        crf.setUnaryEnergy(unary.flatten(1).cpu().numpy().copy(order='C'))
        crf.addPairwiseGaussian(sxy=self.gaussian[0], compat=self.gaussian[1])
        position, colour, weight = self.bilateral
        crf.addPairwiseBilateral(
            sxy=position, srgb=colour, rgbim=image.copy(order='C'), compat=weight
        )
        found = torch.from_numpy(np.array(crf.inference(self.num_iters)))
        return found.view(number, height, width).to(logits)
