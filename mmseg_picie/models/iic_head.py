"""Invariant information clustering (IIC) in its segmentation form, as a head."""

from collections.abc import Sequence

from mmseg.registry import MODELS
from torch import Tensor

from ..device_limits import without_autocast
from .losses import mutual_information
from .view_head import Maps, ViewHead


@MODELS.register_module()
class IICHead(ViewHead):
    """A learned classifier whose clusters of two aligned views tell most about each other.

    Maximises the mutual information of :func:`mutual_information` (Ji et al., ICCV 2019, section
    3.3); there is no k-means and there are no pseudo-labels. As ``auxiliary_head`` with more
    clusters it is that paper's auxiliary over-clustering.

    Args:
        num_clusters (int): K, at least 2.
        in_channels (int): D, channels of the feature map.
        in_index (int): which of the decoder's maps is used.
        max_displacement (int): pixels of the feature map by which the views are displaced against
            each other, in both directions, >= 0.
        marginal_weight (float): lambda of the marginals' entropies, > 0.
        align_corners (bool): as in mmseg, for the upsampling of logits.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        num_clusters: int,
        in_channels: int = 128,
        in_index: int = 0,
        max_displacement: int = 1,
        marginal_weight: float = 1.0,
        align_corners: bool = False,
    ) -> None:
        if max_displacement < 0:
            raise ValueError(f'max_displacement must be at least 0, but got {max_displacement}.')
        if marginal_weight <= 0:
            raise ValueError(f'marginal_weight must be positive, but got {marginal_weight}.')
        super().__init__(num_clusters, in_channels, in_index, 2, 1, (0,), align_corners)
        self.max_displacement = max_displacement
        self.marginal_weight = marginal_weight

    def forward(self, inputs: Maps) -> Tensor:
        """Cluster logits (N, K, H, W)."""
        return self.cls_seg(self._transform_inputs(inputs))

    def loss_by_views(
        self, views: Sequence[Maps], labels: Sequence[Tensor] = ()
    ) -> dict[str, Tensor]:
        """Negative mutual information of the first two views: ``loss_iic``."""
        with without_autocast(views[0][0].device.type):
            first, second = (
                self.cls_seg(self._transform_inputs(maps).float()).softmax(1) for maps in views[:2]
            )
            information = mutual_information(
                first, second, self.max_displacement, self.marginal_weight
            )
        return dict(loss_iic=-information)
