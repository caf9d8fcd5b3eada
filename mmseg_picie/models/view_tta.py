"""Test-time augmentation for models that predict with several views."""

from collections.abc import Sequence

import torch
from mmengine.structures import PixelData
from mmseg.models import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import SampleList
from torch import Tensor, nn

from .picie import PiCIE


@MODELS.register_module()
class ViewTTAModel(SegTTAModel):
    """Averages the probabilities of clusters over the augmentations of an image, view by view.

    ``SegTTAModel`` merges ``seg_logits``, which are those of the first view. Here each view that
    predicts is merged in the same way, so that all of them can be scored. Around any other
    segmentor it is a ``SegTTAModel``.

    Args:
        module (dict or nn.Module): the segmentor.
        data_preprocessor (dict or nn.Module, optional): as of ``BaseTTAModel``.
    """

    def __init__(
        self, module: dict | nn.Module, data_preprocessor: dict | nn.Module | None = None
    ) -> None:
        super().__init__(module, data_preprocessor)
        if isinstance(self.module, PiCIE):
            self.module.keeps_view_logits = True

    def merge_preds(self, data_samples_list: list[SampleList]) -> SampleList:
        """Merge predictions.

        Args:
            data_samples_list (list[SampleList]): for each image the samples of its augmentations.

        Returns:
            SampleList: one sample an image, with ``seg_logits`` (K, H, W) that are probabilities,
                ``pred_sem_seg`` and, of several views, ``pred_view_sem_seg`` (V, H, W).
        """
        if not isinstance(self.module, PiCIE):
            return super().merge_preds(data_samples_list)
        return [_merge(samples) for samples in data_samples_list]


def _merge(samples: SampleList) -> SegDataSample:
    """Merge the augmentations of one image into the first of its samples."""
    first = samples[0]
    if 'view_seg_logits' not in first:
        first.seg_logits, first.pred_sem_seg = _average([s.seg_logits.data for s in samples])
        return first
    by_sample = [sample.view_seg_logits.data for sample in samples]  # (V, K, H, W) each
    merged = [_average(logits) for logits in zip(*by_sample, strict=True)]
    first.seg_logits, first.pred_sem_seg = merged[0]
    views = [prediction.data for _, prediction in merged]
    first.pred_view_sem_seg = PixelData(data=torch.cat(views))
    del first.view_seg_logits
    return first


def _average(logits: Sequence[Tensor]) -> tuple[PixelData, PixelData]:
    """Mean probabilities (K, H, W) of augmentations, and the strongest cluster (1, H, W)."""
    mean = torch.stack([each.softmax(0) for each in logits]).mean(0)
    return PixelData(data=mean), PixelData(data=mean.argmax(0, keepdim=True))
