"""What a segmentor of clusters predicts."""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor

from .dense_crf import DenseCRF
from .view_head import ViewHead


class ClusterPrediction(EncoderDecoder):
    """A segmentor whose :class:`ViewHead` predicts clusters, by one or several sets of them.

    ``pred_sem_seg`` holds clusters. If the head predicts with more than one set, that is with more
    than one view, ``pred_view_sem_seg`` holds a map for each. ``cluster_to_class`` in the metainfo
    says which class each cluster of each of these views was matched to, if that is known, and
    ``map_classes`` what these classes are called.

    Attributes:
        crf (DenseCRF, optional): what refines predictions, if it is asked for.
        keeps_view_logits (bool): whether predictions of several views hold the logits of each, as
            ``view_seg_logits`` (V', K, H, W). They take much memory.
    """

    decode_head: ViewHead
    crf: DenseCRF | None = None
    keeps_view_logits = False
    _dataset_meta: dict[str, Any] | None = None

    @property
    def dataset_meta(self) -> dict[str, Any]:
        """Names and colours of the clusters that predict, for whoever draws them.

        mmseg sets it when it loads a model, to what the checkpoint's training said. The head knows
        better which view predicts now; only a map without names needs what was set.
        """
        head, told = self.decode_head, self._dataset_meta or {}
        if not head.map_meta and len(told.get('classes') or ()) == head.num_clusters:
            return told
        return head.name_clusters(head.predict_views[0])._asdict()

    @dataset_meta.setter
    def dataset_meta(self, meta: dict[str, Any] | None) -> None:
        self._dataset_meta = meta

    def predict(self, inputs: Tensor, data_samples: OptSampleList = None) -> SampleList:
        """Predict clusters of images, and refine them by their colours if there is a CRF.

        Args:
            inputs (Tensor): (N, 3, H, W) as the preprocessor makes them.
            data_samples (SampleList, optional): N samples to write into.

        Returns:
            SampleList: of :meth:`postprocess_result`; behind a CRF, ``seg_logits`` are
                probabilities.
        """
        if self.crf is None:
            return super().predict(inputs, data_samples)
        keeps, self.keeps_view_logits = self.keeps_view_logits, True
        try:
            results = super().predict(inputs, data_samples)
        finally:
            self.keeps_view_logits = keeps
        for image, sample in zip(inputs, results, strict=True):
            self._refine(image, sample)
        return results

    def _refine(self, image: Tensor, sample: SegDataSample) -> None:
        """Refine the prediction of each view."""
        assert self.crf is not None
        logits = sample.seg_logits.data[None]
        if 'view_seg_logits' in sample:
            logits = sample.view_seg_logits.data
        meta = sample.metainfo
        padding = meta.get('img_padding_size', meta.get('padding_size', [0] * 4))
        left, right, top, bottom = padding
        image = image[:, top : image.shape[1] - bottom, left : image.shape[2] - right]
        if meta.get('flip'):  # as the prediction was flipped back
            image = image.flip(2 if meta['flip_direction'] == 'horizontal' else 1)
        colours = F.interpolate(image[None], logits.shape[2:], mode='bilinear', align_corners=False)
        preprocessor = self.data_preprocessor
        if getattr(preprocessor, '_enable_normalize', False):
            colours = colours * preprocessor.std + preprocessor.mean
        pixels = colours[0].round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
        found = torch.stack([self.crf(pixels, each) for each in logits])
        sample.seg_logits = PixelData(data=found[0])
        sample.pred_sem_seg = PixelData(data=found[0].argmax(0, keepdim=True))
        if 'pred_view_sem_seg' in sample:
            sample.pred_view_sem_seg = PixelData(data=found.argmax(1))
            if self.keeps_view_logits:
                sample.view_seg_logits.data = found
            else:
                del sample.view_seg_logits

    @torch.compiler.disable  # it fills mmseg's samples, of which a compiler can make nothing
    def postprocess_result(
        self, seg_logits: Tensor, data_samples: OptSampleList = None
    ) -> SampleList:
        """Turn logits into clusters, for each of the views that predict.

        Args:
            seg_logits (Tensor): (N, V' K, H, W).
            data_samples (SampleList, optional): N samples to write into.

        Returns:
            SampleList: with ``seg_logits`` and ``pred_sem_seg`` of the first view, and
                ``pred_view_sem_seg`` (V', H, W) if V' > 1.
        """
        head = self.decode_head
        by_view = seg_logits.split(head.num_clusters, dim=1)
        results = super().postprocess_result(by_view[0], data_samples)
        predictions = [[sample.pred_sem_seg.data for sample in results]]
        scores = [[sample.seg_logits.data for sample in results]]
        for logits in by_view[1:]:
            blank = None
            if data_samples is not None:
                blank = [SegDataSample(metainfo=sample.metainfo) for sample in data_samples]
            other = super().postprocess_result(logits, blank)
            predictions.append([sample.pred_sem_seg.data for sample in other])
            scores.append([sample.seg_logits.data for sample in other])
        cluster_to_class = head.cluster_to_class[list(head.predict_views)].cpu().numpy()
        map_classes = head.map_meta.get('classes')
        for i, sample in enumerate(results):
            if len(by_view) > 1:
                sample.pred_view_sem_seg = PixelData(data=torch.cat([p[i] for p in predictions]))
                if self.keeps_view_logits:
                    views = torch.stack([s[i] for s in scores])
                    sample.set_field(views, 'view_seg_logits')
            sample.set_metainfo(
                dict(
                    cluster_to_class=cluster_to_class,
                    map_classes=map_classes,
                    predict_views=head.predict_views,
                )
            )
        return results
