"""A segmentor of clusters as one plain module: photographs in, ids and confidence out."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cluster_prediction import ClusterPrediction
from .stride import to_multiple


class Predictor(nn.Module):
    """What a model predicts for whole images, in a form that can be exported.

    All that ``picie predict`` does to an image of the network's scale is inside: the change of
    colours to the network's order, normalisation, padding, the fit to the network's stride, the
    logits at the size of the image, and the choice among them. No value of a tensor decides what is
    computed. A CRF is left out.

    The confidence of a pixel is the softmax of the logits at the cluster that it gets, from 1 / K
    to 1: the probability that training's cross-entropy speaks of. It is not calibrated. Logits of a
    ``CentroidHead`` are cosines times the length of a centroid, so it is flat: compare pixels by
    it, and not with a probability of being right.

    Args:
        model (ClusterPrediction): in eval mode.
        ids (Sequence[int]): (K,) what each cluster of the first view that predicts is called in the
            result.
    """

    def __init__(self, model: ClusterPrediction, ids: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        preprocessor = model.data_preprocessor
        # mmseg's images are BGR; a network that gets them as they are takes BGR.
        name = '_channel_conversion'  # upstream's toolbox has it without the underscore
        self.is_rgb = getattr(preprocessor, name if hasattr(preprocessor, name) else name[1:])
        self.is_normalised = preprocessor._enable_normalize
        self.divisor = (preprocessor.test_cfg or {}).get('size_divisor') or 1
        table = torch.tensor(ids, device=next(model.parameters()).device)
        table = table.to(torch.uint8 if table.max() < 256 else torch.int32)
        self.register_buffer('ids', table, persistent=False)
        self.ids: Tensor

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Segment.

        Args:
            images (Tensor): (N, H, W, 3) RGB, uint8, as photographs are read.

        Returns:
            tuple[Tensor, Tensor]: ids (N, H, W), uint8, or int32 if one is above 255; and the
                confidence (N, H, W), float32 in [1 / K, 1].
        """
        logits = self.score(self.prepare(images))
        best, clusters = logits.max(1)
        return self.ids[clusters], (best - logits.logsumexp(1)).exp()

    def prepare(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) as the network takes them, float32."""
        planes = images.permute(0, 3, 1, 2)
        planes = (planes if self.is_rgb else planes.flip(1)).float()
        if self.is_normalised:
            planes = (planes - self.model.data_preprocessor.mean) / self.model.data_preprocessor.std
        return planes

    def score(self, planes: Tensor) -> Tensor:
        """Logits (N, K, H, W) of the first view that predicts."""
        height, width = planes.shape[2:]
        if self.divisor > 1:
            sides = [to_multiple(side, self.divisor, self.divisor - 1) for side in (height, width)]
            value = self.model.data_preprocessor.pad_val
            planes = F.pad(planes, (0, sides[1] - width, 0, sides[0] - height), value=value)
        else:
            sides = [height, width]
        head = self.model.decode_head
        logits = head(self.model.extract_feat(planes))[:, : head.num_clusters]
        logits = F.interpolate(logits, sides, mode='bilinear', align_corners=head.align_corners)
        if self.divisor > 1:
            logits = logits.narrow(2, 0, height).narrow(3, 0, width)
        return logits
