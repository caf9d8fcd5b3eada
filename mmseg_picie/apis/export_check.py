"""Check an exported file against the model that it was made of, on real images."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmseg.registry import DATASETS
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.image_reading import read_image
from ..datasets.transforms import ResizeCenterCrop
from ..models import PiCIE
from ..views import cover
from .export import Exported, load_runner
from .prediction import Source, find_sources

#: How far a confidence may be from the model's, and the share of pixels whose id may differ: a
#: hundred times what rounding makes of it.
MAX_DIFFERENCE, MAX_SHARE = 1e-3, 5e-3


class Checked(NamedTuple):
    """How an exported file compares with its model.

    Attributes:
        num_images (int): that both have seen.
        difference (float): largest of the confidence, over all pixels.
        share (float): of pixels whose ids differ.
        model_seconds (float): median time of the model for an image.
        file_seconds (float): of the file.
    """

    num_images: int
    difference: float
    share: float
    model_seconds: float
    file_seconds: float


def read_images(
    cfg: Config, inputs: Sequence[str], size: tuple[int, int] | None, number: int
) -> Iterator[NDArray[np.uint8]]:
    """Images as the network takes them.

    Args:
        cfg (Config): whose ``test_pipeline`` resizes them; without inputs its validation data are
            read.
        inputs (Sequence[str]): files and folders, perhaps none.
        size (tuple[int, int], optional): (height, width) that they are brought to; None for that
            of the pipeline.
        number (int): how many at most, evenly spread over all.

    Yields:
        NDArray: (H, W, 3) BGR, uint8.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If none can be read, or there are neither inputs nor validation data. One that
            cannot be read among others is left out with a warning.
    """
    if inputs:
        sources = find_sources(inputs)
        steps = Compose(
            [dict(type='LoadImageFromNDArray')]
            + [step for step in cfg.test_pipeline if not step['type'].startswith('Load')]
        )
        found = (steps(dict(img=image)) for image in _read_some(sources, number))
    else:
        if not cfg.get('val_dataloader'):
            raise ValueError(
                'the settings name no val_dataloader, so there are no images to check the file on; '
                'give some by --images.'
            )
        dataset = DATASETS.build(cfg.val_dataloader.dataset)
        found = (dataset[i] for i in _spread(dataset, number))
    for packed in found:
        image = np.ascontiguousarray(packed['inputs'].permute(1, 2, 0).numpy())
        yield image if size is None else cover(image, size, exact=True)


def _read_some(sources: Sequence[Source], number: int) -> Iterator[NDArray[np.uint8]]:
    """At most so many of the images, evenly spread; a warning for each that cannot be read."""
    failure: Exception | None = None
    is_any = False
    for index in _spread(sources, number):
        try:
            image = read_image(sources[index].path)
        except (OSError, ValueError) as error:
            failure = error
            print_log(str(error), logger='current', level=logging.WARNING)
            continue
        is_any = True
        yield image
    if failure is not None and not is_any:
        raise failure


def find_size(cfg: Config) -> tuple[int, int]:
    """The (height, width) to which the config's validation brings images.

    Args:
        cfg (Config): with a ``test_pipeline``.

    Raises:
        ValueError: If its pipeline does not crop to one size.
    """
    for step in cfg.test_pipeline:
        if step['type'] == 'ResizeCenterCrop':
            return ResizeCenterCrop(step['size']).size
    raise ValueError(
        'the config crops its validation images to no size (by ResizeCenterCrop in test_pipeline), '
        'so there is none to export for; give --size H W, or --dynamic.'
    )


def _spread(items: Sequence, number: int) -> list[int]:
    """At most so many indices of items, evenly spread."""
    return sorted({i * len(items) // number for i in range(number)})


def check(model: PiCIE, exported: Exported, images: Iterable[NDArray[np.uint8]]) -> Checked:
    """Compare ids and confidence of a file with those of mmseg's prediction by the model.

    Both see one image after the other, in turn, on the CPU, with the threads of torch.

    Args:
        model (PiCIE): as it was exported, on the CPU.
        exported (Exported): the file.
        images (Iterable[NDArray]): of :func:`read_images`.

    Returns:
        Checked: the comparison.

    Raises:
        RuntimeError: If they differ by more than rounding.
    """
    run = load_runner(exported)
    table = torch.from_numpy(exported.ids.of_clusters)
    difference, differing, pixels = 0.0, 0, 0
    times: list[tuple[float, float]] = []
    for image in images:
        rgb = torch.from_numpy(np.ascontiguousarray(image[None, :, :, ::-1]))
        for _ in range(1 if times else 2):  # the very first pass prepares things
            start = time.perf_counter()
            clusters, expected = _predict(model, image)
            between = time.perf_counter()
            ids, confidence = run(rgb)
            end = time.perf_counter()
        times.append((between - start, end - between))
        difference = max(difference, (confidence[0] - expected).abs().max().item())
        differing += int((ids[0].long() != table[clusters]).sum())
        pixels += clusters.numel()
    seconds = [median(each) for each in zip(*times, strict=True)]
    checked = Checked(len(times), difference, differing / pixels, *seconds)
    if not (checked.difference <= MAX_DIFFERENCE and checked.share <= MAX_SHARE):
        raise RuntimeError(
            f'the exported file differs from the model (confidence by {checked.difference:.2g}, '
            f'ids in {100 * checked.share:.2g} % of the pixels), so it was not written.'
        )
    return checked


def _predict(model: Any, image: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Clusters and confidence (H, W) of an image (H, W, 3) BGR, by mmseg's own way."""
    size = image.shape[:2]
    sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size, pad_shape=size))
    planes = torch.from_numpy(image).permute(2, 0, 1)
    with torch.no_grad():
        (found,) = model.test_step(dict(inputs=[planes], data_samples=[sample]))
    return found.pred_sem_seg.data[0], found.seg_logits.data.softmax(0).amax(0)
