"""Forward images for a report: segments, features, and how near each pixel is to its centroid."""

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import Compose
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from torch import Tensor

from ..clustering import merge_scores
from ..datasets.image_reading import read_image
from ..models import CentroidHead, PiCIE, ViewHead
from ..threads import get_threads
from ..visualization.report.pictures import fit_within, to_size
from .prediction import Source

#: Pixels of the longer side of a picture in the report.
PICTURE_SIDE = 480
#: Images of one size that are forwarded at once.
BATCH_SIZE = 8
# Longer side of what patches are cut from.
_DETAIL_SIDE = 1280

#: Clusters of an image that were predicted before: (H, W) of its own size.
Predict = Callable[[Source], NDArray]


class SeenImage(NamedTuple):
    """An image and what the model says of it.

    Attributes:
        source (Source): where it comes from.
        area (int): pixels of the file.
        detail (NDArray): (H, W, 3) uint8 BGR, of at most 1,280 pixels a side.
        clusters (NDArray): (h, w) cluster of each pixel of a picture of :data:`PICTURE_SIDE`.
        cells (NDArray): (h', w') cluster of each pixel of the feature map.
        features (Tensor): (D, h', w') unit-length features, on the model's device.
        closeness (NDArray): (h', w') how near each is to the centroid of its cluster: the cosine,
            or the log-probability for a head without centroids.
    """

    source: Source
    area: int
    detail: NDArray[np.uint8]
    clusters: NDArray[np.int64]
    cells: NDArray[np.int64]
    features: Tensor
    closeness: NDArray[np.float32]


class _Loaded(NamedTuple):
    source: Source
    shape: tuple[int, int]
    detail: NDArray[np.uint8]
    inputs: Tensor
    sample: SegDataSample


def see_images(
    model: PiCIE, sources: Sequence[Source], predict: Predict | None = None
) -> Iterator[SeenImage | str]:
    """Forward images, one pass, in batches; memory does not grow with their number.

    Args:
        model (PiCIE): of :func:`.prediction.load_model`.
        sources (Sequence[Source]): images.
        predict (Callable, optional): gives clusters that were predicted before. By default they are
            those of the forward pass.

    Yields:
        SeenImage or str: in order; for an image that cannot be read, why.
    """
    load = partial(_load, _make_pipeline(model))
    batch: list[_Loaded] = []
    for start in range(0, len(sources), BATCH_SIZE):
        for loaded in get_threads().map(load, sources[start : start + BATCH_SIZE]):
            fits = isinstance(loaded, _Loaded) and (
                not batch or batch[0].inputs.shape == loaded.inputs.shape
            )
            if batch and (not fits or len(batch) == BATCH_SIZE):
                yield from _see(model, batch, predict)
                batch = []
            if isinstance(loaded, _Loaded):
                batch.append(loaded)
            else:
                yield loaded
    if batch:
        yield from _see(model, batch, predict)


def _make_pipeline(model: PiCIE) -> Compose:
    """What mmseg's `inference_model` does to an array."""
    config = model.cfg
    assert isinstance(config, Config)  # of `init_model`
    steps = [dict(step) for step in copy.deepcopy(config.test_pipeline)]
    steps = [step for step in steps if step.get('type') != 'LoadAnnotations']
    steps[0]['type'] = 'LoadImageFromNDArray'
    return Compose(steps)


def _load(pipeline: Compose, source: Source) -> _Loaded | str:
    try:
        image = read_image(source.path)
    except (OSError, ValueError) as error:
        return str(error)
    data = pipeline(dict(img=image))
    detail = to_size(image, fit_within(image.shape, _DETAIL_SIDE))
    return _Loaded(source, image.shape[:2], detail, data['inputs'], data['data_samples'])


@torch.no_grad()
def _see(model: PiCIE, batch: list[_Loaded], predict: Predict | None) -> Iterator[SeenImage]:
    head = model.decode_head
    packed = dict(inputs=[b.inputs for b in batch], data_samples=[b.sample for b in batch])
    data = model.data_preprocessor(packed, False)
    maps = model.extract_feat(data['inputs'])
    features = head.embed(maps)
    logits = head(maps)[:, : head.num_clusters].float()
    given: list[NDArray | None] = [None] * len(batch)
    if predict is not None:
        given = [predict(loaded.source) for loaded in batch]
    elif not _predicts_by_logits(model, data['data_samples']):
        samples = model.predict(data['inputs'], data['data_samples'])
        given = [sample.pred_sem_seg.data[0].cpu().numpy() for sample in samples]
    # In two steps, as mmseg does: to the network's input, and to the image.
    upsample = partial(F.interpolate, mode='bilinear', align_corners=head.align_corners)
    fine = upsample(logits, tuple(data['inputs'].shape[2:]))
    for i, loaded in enumerate(batch):
        size = fit_within(loaded.shape, PICTURE_SIDE)
        found = given[i]
        if found is None:
            clusters = (
                upsample(fine[i : i + 1], size)[0].max(0).indices.cpu().numpy()
            )  # sooner than argmax
            cells = logits[i].argmax(0)
        else:
            clusters = _shrink(found, size)
            cells = torch.from_numpy(_shrink(found, tuple(logits.shape[2:]))).to(logits.device)
        yield SeenImage(
            loaded.source,
            loaded.shape[0] * loaded.shape[1],
            loaded.detail,
            clusters,
            cells.cpu().numpy(),
            features[i],
            _closeness(head, features[i : i + 1], logits[i : i + 1], cells),
        )


def _predicts_by_logits(model: PiCIE, samples: Sequence[SegDataSample]) -> bool:
    """Whether a prediction is nothing but the upsampled logits of the whole image."""
    padded = any(any(sample.metainfo.get('padding_size', ())) for sample in samples)
    return model.test_cfg.mode == 'whole' and model.crf is None and not padded


def _closeness(head: ViewHead, features: Tensor, logits: Tensor, cells: Tensor) -> NDArray:
    """How near each pixel is to the nearest centroid of its cluster."""
    if isinstance(head, CentroidHead):
        view = head.predict_views[0]
        centroids = F.normalize(head.centroids[view], dim=1)
        scores = F.conv2d(features, centroids[:, :, None, None])
        if head.is_merged:
            scores = merge_scores(scores, head.merged[view], head.num_clusters)
    else:
        scores = logits.log_softmax(1)
    return scores[0].gather(0, cells[None])[0].cpu().numpy()


def _shrink(clusters: NDArray, size: tuple[int, ...]) -> NDArray[np.int64]:
    """Clusters at another size: of each new pixel, that at its centre."""
    resized = cv2.resize(
        clusters.astype(np.int32), (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return resized.astype(np.int64)
