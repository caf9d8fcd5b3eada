"""Modified DeepCluster (MDC), the single-view ancestor of PiCIE, as a head."""

from collections.abc import Sequence

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from .centroid_head import CentroidHead
from .view_head import Maps

PREDICTORS = ('classifier', 'centroids')


@MODELS.register_module()
class DeepClusterHead(CentroidHead):
    """Learns a linear classifier of the pseudo-labels of one augmented view (PiCIE section 4, MDC).

    Features are clustered and labelled as in PiCIE. Its classifier, on unit-length features, starts
    anew with every clustering and is trained together with the encoder by plain cross-entropy.

    Args:
        num_clusters (int): K, at least 2.
        in_channels (int): D, channels of the feature map.
        in_index (int): which of the decoder's maps is used.
        class_weight (str): 'none', 'balanced' or 'frequency', as in :class:`CentroidHead`.
        predict_with (str): 'classifier', or 'centroids' for the nearest of them by dot product.
        align_corners (bool): as in mmseg, for the upsampling of logits.

    Raises:
        ValueError: If an argument is out of range, or a checkpoint has other K or D.
    """

    def __init__(
        self,
        num_clusters: int,
        in_channels: int = 128,
        in_index: int = 0,
        class_weight: str = 'none',
        predict_with: str = 'classifier',
        align_corners: bool = False,
    ) -> None:
        if predict_with not in PREDICTORS:
            raise ValueError(f'predict_with must be one of {PREDICTORS}, but got {predict_with!r}.')
        super().__init__(
            num_clusters,
            in_channels,
            in_index,
            num_views=1,
            class_weight=class_weight,
            align_corners=align_corners,
        )
        self.predict_with = predict_with
        self.classifier = nn.Conv2d(in_channels, num_clusters, 1)

    def set_centroids(self, centroids: Tensor, counts: Tensor) -> None:
        """Take new centroids (1, K, D) and counts (1, K), and start the classifier anew."""
        super().set_centroids(centroids, counts)
        self.classifier.reset_parameters()

    def classify_by_centroids(self) -> None:
        """Let the classifier give the logits of the centroids, the dot products with them."""
        weight = self.centroids[0, :, :, None, None]
        self.classifier.load_state_dict(dict(weight=weight, bias=weight.new_zeros(len(weight))))

    def parameters_of_epoch(self) -> list[nn.Parameter]:
        """The classifier's: they belong to the present clusters alone."""
        return list(self.classifier.parameters())

    def forward(self, inputs: Maps) -> Tensor:
        """Cluster logits (N, K, H, W)."""
        if self.predict_with == 'centroids':
            return super().forward(inputs)
        return self.classifier(self.embed(inputs))

    def loss_of_view(self, maps: Maps, view: int, labels: Sequence[Tensor]) -> dict[str, Tensor]:
        """Cross-entropy of the classifier with the view's pseudo-labels: ``loss_ce``."""
        weights = self._class_weights()
        with self._full_precision():
            logits = self.classifier(self.embed(maps))
            weight = None if weights is None else weights[view]
            return dict(loss_ce=F.cross_entropy(logits, labels[view], weight))
