"""Segment image files: label maps, overlays and a legend."""

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import load_checkpoint
from mmseg.apis import inference_model, init_model
from numpy.typing import NDArray

from ..clustering import UNMATCHED
from ..datasets.image_files import find_images
from ..datasets.image_reading import read_image
from ..engine.progress import track
from ..evaluation.label_files import no_class_id, to_label_ids, write_image
from ..evaluation.score_checks import MAX_SHARE
from ..models import PiCIE
from ..toolbox import without_notices
from ..visualization.segment_visualizer import paint_overlay
from .json_files import write_json

#: What ids a label map may hold.
ID_KINDS = ('auto', 'class', 'cluster')

# Folders of the results.
_RESULTS = ('labels', 'overlays')


class Predicted(NamedTuple):
    """What a prediction leaves.

    Attributes:
        legend (Path): says what the ids of the label maps mean.
        failures (list[str]): a sentence for each image that could not be read.
    """

    legend: Path
    failures: list[str]


class Source(NamedTuple):
    """An image and the name of its results.

    Attributes:
        path (str): image file.
        name (str): relative path of the results, without suffix.
    """

    path: str
    name: str


def find_sources(inputs: Sequence[str], out_dir: str | None = None) -> list[Source]:
    """List the images to segment.

    Args:
        inputs (Sequence[str]): files and folders; folders are searched through all levels.
        out_dir (str, optional): where results of earlier calls may lie, which are passed over.

    Returns:
        list[Source]: in order, with names that are unique.

    Raises:
        FileNotFoundError: If one does not exist, or a folder holds no image.
        ValueError: If two results would have one name.
    """
    sources = []
    for item in inputs:
        if os.path.isdir(item):
            sources += [
                Source(os.path.join(item, name), os.path.splitext(name)[0])
                for name in find_images(item)
                if out_dir is None or not _is_result(Path(item, name), out_dir)
            ]
        elif os.path.isfile(item):
            sources.append(Source(item, Path(item).stem))
        else:
            raise FileNotFoundError(f'{item} does not exist; give image files or a folder of them.')
    seen: dict[str, str] = {}
    for path, name in sources:
        if name in seen:
            raise ValueError(
                f'{seen[name]} and {path} would both be written as {name}.png; segment them into '
                'two folders, or rename one.'
            )
        seen[name] = path
    return sources


def _is_result(path: Path, out_dir: str) -> bool:
    parents = path.resolve().parents
    return any(Path(out_dir, kind).resolve() in parents for kind in _RESULTS)


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Args:
        device (str): such as 'cpu' or 'cuda:0'.

    Raises:
        ValueError: If there is no such device.
    """
    try:
        torch.zeros(1, device=device).item()
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = str(error).split('\n')[0]
        raise ValueError(
            f'{device} cannot be used ({reason}); give cpu, or cuda:0 where there is a GPU.'
        ) from error


def load_model(config: Config, checkpoint: str, device: str) -> PiCIE:
    """Load a trained model.

    Args:
        config (Config): config that it was trained with.
        checkpoint (str): checkpoint file.
        device (str): such as 'cpu' or 'cuda:0'.

    Returns:
        PiCIE: in eval mode, with ``dataset_meta`` that names its clusters.

    Raises:
        ValueError: If it is no PiCIE, or the checkpoint has another K or D, or no centroids.
    """
    with without_notices():
        model = init_model(config, device=device)
        if not isinstance(model, PiCIE):
            raise ValueError(
                f'model.type must be PiCIE, which segments by clusters, but is '
                f'{config.model.type}; give the config of a PiCIE training, or score this one by '
                '`picie test`.'
            )
        # Not by init_model, which cannot read a bare state dict.
        loaded = load_checkpoint(model, checkpoint, map_location='cpu')
    model.dataset_meta = (loaded.get('meta') or {}).get('dataset_meta')
    if not model.decode_head.is_fitted:
        raise ValueError(
            f'{checkpoint} holds no centroids, so it cannot segment; use a checkpoint of a PiCIE '
            'training (after the first epoch).'
        )
    # In which convolutions are faster; values stay as they are.
    return model.to(memory_format=torch.channels_last)


def predict_files(
    model: PiCIE,
    sources: Iterable[Source],
    out_dir: str,
    ids: str = 'auto',
    opacity: float = 0.6,
    outlines: bool = False,
) -> Predicted:
    """Segment images and write the results.

    ``labels/NAME.png`` holds ids as grey levels, at the image's own size. ``overlays/NAME.png`` is
    the image with the segments and their names painted over it, and a legend below or beside it.
    ``legend.json`` says what each id is called, its colour and its share of all pixels.

    Args:
        model (PiCIE): of :func:`load_model`.
        sources (Iterable[Source]): images.
        out_dir (str): folder for the results; made if missing.
        ids (str): 'class', 'cluster', or 'auto' for classes if the model knows them.
        opacity (float): of the segments in the overlay, in (0, 1].
        outlines (bool): whether to draw lines between them.

    Images that cannot be read are left out.

    Returns:
        Predicted: the legend, and why images were left out.

    Raises:
        ValueError: If classes are asked for that the model does not know.
    """
    head = model.decode_head
    cluster_to_class = head.cluster_to_class[head.predict_views[0]].cpu().numpy()
    knows_classes = bool((cluster_to_class != UNMATCHED).any())
    if ids == 'class' and not knows_classes:
        raise ValueError(
            "ids='class' needs a checkpoint that knows the classes of its clusters, but this one "
            "was never validated on labels; use 'cluster' or 'auto'."
        )
    table = cluster_to_class if knows_classes and ids != 'cluster' else None
    meta = model.dataset_meta
    counts = np.zeros(head.num_clusters, dtype=np.int64)
    sources = list(sources)
    failures = []
    for source in track(sources, 'Segmenting', len(sources)):
        try:
            image = read_image(source.path)
        except (OSError, ValueError) as error:
            failures.append(str(error))
            continue
        sample = inference_model(model, image)
        clusters = sample.pred_sem_seg.data[0].cpu().numpy()
        counts += np.bincount(clusters.ravel(), minlength=len(counts))
        _write(out_dir, 'labels', source.name, to_label_ids(clusters, table, len(counts)))
        overlay = _paint(image, clusters, meta, opacity, outlines)
        _write(out_dir, 'overlays', source.name, overlay)
    if counts.max() > MAX_SHARE * counts.sum() and len(sources) > 1:
        name = meta['classes'][int(counts.argmax())]
        print_log(
            f'{100 * counts.max() / counts.sum():.0f} % of all pixels are {name}, so the segments '
            'tell little; use the checkpoint of another epoch, or train on images like these.',
            logger='current',
            level=logging.WARNING,
        )
    legend = Path(out_dir, 'legend.json')
    _write_legend(legend, table, meta, counts)
    return Predicted(legend, failures)


def _paint(
    image: NDArray[np.uint8], clusters: NDArray, meta: dict, opacity: float, outlines: bool
) -> NDArray[np.uint8]:
    """The overlay of an image, both BGR, with its legend."""
    return paint_overlay(image, clusters, meta['classes'], meta['palette'], opacity, outlines)


def _write(out_dir: str, kind: str, name: str, image: NDArray[np.uint8]) -> None:
    path = Path(out_dir, kind, name + '.png')
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(str(path), image)


def _write_legend(path: Path, table: NDArray | None, meta: dict, counts: NDArray) -> None:
    """Describe the ids of the label maps."""
    no_class = -1 if table is None else no_class_id(int(table.max()) + 1)
    ids = np.arange(len(counts)) if table is None else np.where(table < 0, no_class, table)
    total = max(1, int(counts.sum()))
    legend: dict[int, dict] = {}
    for cluster in np.argsort(-counts, kind='stable').tolist():
        entry = legend.setdefault(
            int(ids[cluster]),
            dict(name=meta['classes'][cluster], colour=list(meta['palette'][cluster]), share=0.0),
        )
        if ids[cluster] == no_class and table is not None:
            entry['name'] = 'no class'
        entry['share'] = round(entry['share'] + int(counts[cluster]) / total, 6)
    write_json(path, legend)


def default_device() -> str:
    """The GPU if there is one, else the CPU."""
    return 'cuda:0' if torch.cuda.is_available() else 'cpu'
