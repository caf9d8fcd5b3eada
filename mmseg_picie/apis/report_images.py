"""Forward images for a report: segments, features, and how near each pixel is to its centroid."""

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

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
from ..datasets.image_strips import ArrayStrips, ResizedStrips, open_strips
from ..models import CentroidHead, PiCIE, ViewHead
from ..threads import get_threads
from ..visualization.report.pictures import fit_within
from .labelling import Labeller
from .prediction import Source
from .stretch_option import read_stretch

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
    """An image that is read.

    ``item`` is of the whole image at the training's size; ``is_fine`` says that the segments are
    found in windows of more detail than that.
    """

    source: Source
    shape: tuple[int, int]
    detail: NDArray[np.uint8]
    item: dict[str, Any]
    is_fine: bool


def see_images(
    model: PiCIE, sources: Sequence[Source], predict: Predict | None = None
) -> Iterator[SeenImage | str]:
    """Forward images, one pass, in batches; memory does not grow with their number.

    Args:
        model (PiCIE): of :func:`.prediction.load_model`.
        sources (Sequence[Source]): images.
        predict (Callable, optional): gives clusters that were predicted before. By default they are
            found as :func:`.prediction.predict_files` does.

    Yields:
        SeenImage or str: in order; for an image that cannot be read, why.
    """
    labeller = Labeller(model)
    load = partial(_load, _make_pipeline(model), labeller, read_stretch(_config_of(model)))
    batch: list[_Loaded] = []
    for start in range(0, len(sources), BATCH_SIZE):
        for loaded in get_threads().map(load, sources[start : start + BATCH_SIZE]):
            fits = isinstance(loaded, _Loaded) and (
                not batch or batch[0].item['inputs'].shape == loaded.item['inputs'].shape
            )
            if batch and (not fits or len(batch) == BATCH_SIZE):
                yield from _see(labeller, batch, predict)
                batch = []
            if isinstance(loaded, _Loaded):
                batch.append(loaded)
            else:
                yield loaded
    if batch:
        yield from _see(labeller, batch, predict)


def _config_of(model: PiCIE) -> Config:
    config = model.cfg
    assert isinstance(config, Config)  # of `init_model`
    return config


def _make_pipeline(model: PiCIE) -> Compose:
    """What mmseg's `inference_model` does to an array."""
    steps = [dict(step) for step in copy.deepcopy(_config_of(model).test_pipeline)]
    return Compose([step for step in steps if not step['type'].endswith('Annotations')])


def _load(pipeline: Compose, labeller: Labeller, stretch: str, source: Source) -> _Loaded | str:
    try:
        with open_strips(source.path, stretch) as strips:
            resized = ResizedStrips(strips, fit_within(strips.shape, _DETAIL_SIDE))
            detail = np.ascontiguousarray(resized.read(0, resized.shape[0]))
            whole = strips.image if isinstance(strips, ArrayStrips) else detail
            item = labeller.prepare(whole) if whole is not detail else None
            is_fine = item is None
            if item is None:
                item = pipeline(dict(img=whole, img_path=None))
            return _Loaded(source, strips.shape, detail, item, is_fine)
    except (OSError, ValueError) as error:
        return str(error)


@torch.no_grad()
def _see(
    labeller: Labeller, batch: list[_Loaded], predict: Predict | None
) -> Iterator[SeenImage | str]:
    model, head = labeller.model, labeller.model.decode_head
    items = [loaded.item for loaded in batch]
    data = model.data_preprocessor({key: [item[key] for item in items] for key in items[0]}, False)
    maps = model.extract_feat(data['inputs'])
    features = head.embed(maps)
    logits = head(maps)[:, : head.num_clusters].float()
    given: list[NDArray | None] = [None] * len(batch)
    if predict is None and not _predicts_by_logits(model, data['data_samples']):
        given = list(labeller.label_items(items))
    # In two steps, as mmseg does: to the network's input, and to the image.
    upsample = partial(F.interpolate, mode='bilinear', align_corners=head.align_corners)
    fine = upsample(logits, tuple(data['inputs'].shape[2:]))
    for i, loaded in enumerate(batch):
        size = fit_within(loaded.shape, PICTURE_SIDE)
        try:
            if predict is not None:
                given[i] = predict(loaded.source)
            elif loaded.is_fine:
                with open_strips(loaded.source.path, read_stretch(_config_of(model))) as strips:
                    given[i] = labeller.label_strips(strips)
        except (OSError, ValueError) as error:
            yield str(error)
            continue
        found = given[i]
        if found is None:
            large = upsample(fine[i : i + 1], size)[0]
            clusters = large.max(0).indices.cpu().numpy()  # sooner than argmax
            cells = logits[i].argmax(0)
        else:
            clusters = _shrink(found, size)
            cells = torch.from_numpy(_shrink(found, tuple(logits.shape[2:]))).to(logits.device)
            found = given[i] = None  # as large as the image
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
    if clusters.dtype not in (np.uint8, np.uint16):  # which OpenCV takes as they are
        clusters = clusters.astype(np.int32)
    resized = cv2.resize(clusters, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return resized.astype(np.int64)
