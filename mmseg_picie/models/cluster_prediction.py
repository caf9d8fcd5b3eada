"""What a segmentor of clusters predicts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor

from .dense_crf import DenseCRF
from .enlarging import label_bands
from .view_head import ViewHead
from .windows import Rows, blend_bands, plan_intervals

#: Pixels that are forwarded at once, at least one image: on a CPU, whose caches are small, and on
#: a GPU.
_PIXELS_AT_ONCE = {'cpu': 1 << 18, 'cuda': 1 << 22}


def count_at_once(pixels: int, device: torch.device) -> int:
    """How many images to forward at once.

    Args:
        pixels (int): of each.
        device (torch.device): where.

    Returns:
        int: at least 1.
    """
    return max(1, _PIXELS_AT_ONCE.get(device.type, 1 << 20) // pixels)


#: Direction of a flip, as MMCV calls it -> the axes of an image or a map that it turns round.
FLIPPED_AXES = {'horizontal': [-1], 'vertical': [-2], 'diagonal': [-1, -2]}


class ClusterPrediction(EncoderDecoder):
    """A segmentor whose :class:`ViewHead` predicts clusters, by one or several sets of them.

    ``pred_sem_seg`` holds clusters. If the head predicts with more than one set, that is with more
    than one view, ``pred_view_sem_seg`` holds a map for each. ``cluster_to_class`` in the metainfo
    says which class each cluster of each of these views was matched to, if that is known, and
    ``map_classes`` what these classes are called.

    Logits take 4 bytes for each cluster, view and pixel of the file. Where they would be more than
    ``most_logits`` numbers, ``seg_logits`` are left out, and memory is bounded by those of a part
    of the image; predictions are the same. A CRF and test-time augmentation need them, whatever
    their size.

    Attributes:
        most_logits (int): numbers, over all views of an image; 2 ** 28 are 1 GiB.
        crf (DenseCRF, optional): what refines predictions, if it is asked for.
        keeps_view_logits (bool): whether predictions of several views hold the logits of each, as
            ``view_seg_logits`` (V', K, H, W). They take much memory.
    """

    decode_head: ViewHead
    out_channels: int
    crf: DenseCRF | None = None
    keeps_view_logits = False
    most_logits = 1 << 28
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

    @contextmanager
    def only_labels(self) -> Iterator[None]:
        """Within, predictions are those of the first view, and without a CRF have no logits."""
        head = self.decode_head
        before = self.most_logits, self.out_channels, head.out_channels, head.predict_views
        self.out_channels = head.out_channels = head.num_clusters
        head.predict_views = head.predict_views[:1]
        self.most_logits = 0
        try:
            yield
        finally:
            self.most_logits, self.out_channels, head.out_channels, head.predict_views = before

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
            if self.test_cfg.mode == 'slide' and self._leaves_out(inputs.shape[2:], data_samples):
                return self._predict_bands(inputs, data_samples)
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
        image = _undo(image, sample.metainfo)  # as the prediction was
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
        if self._leaves_out(seg_logits.shape[2:], data_samples):
            return self._label(seg_logits, data_samples)
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
        for i, sample in enumerate(results):
            if len(by_view) > 1:
                sample.pred_view_sem_seg = PixelData(data=torch.cat([p[i] for p in predictions]))
                if self.keeps_view_logits:
                    views = torch.stack([s[i] for s in scores])
                    sample.set_field(views, 'view_seg_logits')
        return self._tell_map(results)

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Do mmseg's sliding windows, with the logits of the whole image in memory once, not twice.

        Args:
            inputs (Tensor): (N, 3, H, W).
            batch_img_metas (list[dict]): not used; windows have sizes of their own.

        Returns:
            Tensor: (N, V' K, H, W) means of the windows over each pixel.
        """
        logits = inputs.new_empty(len(inputs), self.out_channels, *inputs.shape[2:])
        for image, whole in zip(inputs, logits, strict=True):
            for top, rows in self._slide(image):
                whole[:, top : top + rows.shape[1]] = rows
        return logits

    def _slide(self, image: Tensor) -> Iterator[Rows]:
        """Bands of logits of an image (3, H, W), by the windows of ``test_cfg``."""
        rows, columns = (
            plan_intervals(*axis)
            for axis in zip(
                image.shape[1:], self.test_cfg.crop_size, self.test_cfg.stride, strict=True
            )
        )
        at_once = count_at_once(rows.side * columns.side, image.device)
        metas = [dict(img_shape=(rows.side, columns.side))] * at_once
        forward = partial(self.encode_decode, batch_img_metas=metas)

        def read(top: int, bottom: int) -> Tensor:
            return image[:, top:bottom]

        return blend_bands(forward, read, rows, columns, at_once, torch.ones)

    def _leaves_out(self, shape: Sequence[int], samples: OptSampleList) -> bool:
        """Whether logits would be too large for an image of a batch of a size."""
        if self.crf is not None or self.keeps_view_logits:
            return False
        sizes = [shape] if samples is None else [s.metainfo['ori_shape'] for s in samples]
        return self.out_channels * max(h * w for h, w in sizes) > self.most_logits

    def _predict_bands(self, inputs: Tensor, samples: OptSampleList) -> SampleList:
        """Predict by sliding windows, without the logits of whole images."""
        if samples is None:
            samples = [SegDataSample() for _ in inputs]
        for image, sample in zip(inputs, samples, strict=True):
            image = _undo(image, sample.metainfo)
            size = sample.metainfo.get('ori_shape', image.shape[1:])
            self._write(sample, self._slide(image), image.shape[1:], size)
        return self._tell_map(samples)

    def _label(self, logits: Tensor, samples: OptSampleList) -> SampleList:
        """Predictions without logits, of (N, V' K, h, w)."""
        if samples is None:
            samples = [SegDataSample() for _ in logits]
        for each, sample in zip(logits, samples, strict=True):
            each = _undo(each, sample.metainfo)
            size = sample.metainfo.get('ori_shape', each.shape[1:])
            self._write(sample, [(0, each)], each.shape[1:], size)
        return self._tell_map(samples)

    def _write(
        self, sample: SegDataSample, bands: Iterable[Rows], grid: Sequence[int], size: Sequence[int]
    ) -> None:
        """Write the clusters of a sample whose logits come in bands."""
        head = self.decode_head
        bands = label_bands(
            bands, (grid[0], grid[1]), (size[0], size[1]), head.num_clusters, self.align_corners
        )
        maps: Tensor | None = None
        for top, rows in bands:
            if maps is None:
                maps = rows.new_empty(len(rows), *size, dtype=torch.int32)
            maps[:, top : top + rows.shape[1]] = rows
        assert maps is not None
        sample.pred_sem_seg = PixelData(data=maps[:1])
        if len(maps) > 1:
            sample.pred_view_sem_seg = PixelData(data=maps)

    def _tell_map(self, samples: SampleList) -> SampleList:
        """Tell what the clusters are called."""
        head = self.decode_head
        told = dict(
            cluster_to_class=head.cluster_to_class[list(head.predict_views)].cpu().numpy(),
            map_classes=head.map_meta.get('classes'),
            predict_views=head.predict_views,
        )
        for sample in samples:
            sample.set_metainfo(told)
        return samples


def _undo(maps: Tensor, meta: Mapping[str, Any]) -> Tensor:
    """Maps (C, h, w) without padding, flipped back as the image was flipped."""
    left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', [0] * 4))
    maps = maps[:, top : maps.shape[1] - bottom, left : maps.shape[2] - right]
    if not meta.get('flip'):
        return maps
    return maps.flip(FLIPPED_AXES[meta['flip_direction']])
