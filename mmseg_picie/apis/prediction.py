"""Segment image files: label maps, overlays and a legend."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmseg.apis import inference_model, init_model
from mmseg.structures import SegDataSample
from numpy.typing import NDArray

from ..clustering import UNMATCHED
from ..datasets.image_files import check_images, find_images
from ..engine.progress import track
from ..evaluation import name_clusters
from ..evaluation.label_files import NO_CLASS, to_label_ids, write_image
from ..models import PiCIE
from ..toolbox import without_notices
from ..visualization.segment_visualizer import SegmentVisualizer
from .json_files import write_json

#: What ids a label map may hold.
ID_KINDS = ('auto', 'class', 'cluster')

# Folders of the results.
_RESULTS = ('labels', 'overlays')


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
        ValueError: If an image cannot be read, or two results would have one name.
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
    check_images(path for path, _ in sources)
    return sources


def _is_result(path: Path, out_dir: str) -> bool:
    parents = path.resolve().parents
    return any(Path(out_dir, kind).resolve() in parents for kind in _RESULTS)


def load_model(config: Config, checkpoint: str, device: str) -> PiCIE:
    """Load a trained model.

    Args:
        config (Config): config that it was trained with.
        checkpoint (str): checkpoint file.
        device (str): such as 'cpu' or 'cuda:0'.

    Returns:
        PiCIE: in eval mode, with ``dataset_meta`` that names its clusters.

    Raises:
        ValueError: If the checkpoint has another K or D, or no centroids.
    """
    with without_notices():
        model = init_model(config, checkpoint, device=device)
    if not model.decode_head.is_fitted:
        raise ValueError(
            f'{checkpoint} holds no centroids, so it cannot segment; use a checkpoint of a PiCIE '
            'training (after the first epoch).'
        )
    meta = model.dataset_meta or {}
    if len(meta.get('classes') or ()) != model.decode_head.num_clusters:
        meta = name_clusters([UNMATCHED] * model.decode_head.num_clusters)._asdict()
    model.dataset_meta = meta
    # In which convolutions are faster; values stay as they are.
    return model.to(memory_format=torch.channels_last)


def predict_files(
    model: PiCIE, sources: Iterable[Source], out_dir: str, ids: str = 'auto', opacity: float = 0.6
) -> Path:
    """Segment images and write the results.

    ``labels/NAME.png`` holds ids as grey levels, ``overlays/NAME.png`` the image with the segments
    and their names painted over it, both at the image's own size; ``legend.json`` says what each
    id is called, its colour and its share of all pixels.

    Args:
        model (PiCIE): of :func:`load_model`.
        sources (Iterable[Source]): images.
        out_dir (str): folder for the results; made if missing.
        ids (str): 'class', 'cluster', or 'auto' for classes if the model knows them.
        opacity (float): of the segments in the overlay, in (0, 1].

    Returns:
        Path: the legend.

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
    painter = SegmentVisualizer(alpha=opacity, classes=meta['classes'], palette=meta['palette'])
    painter.dataset_meta = dict(classes=meta['classes'], palette=meta['palette'])
    counts = np.zeros(head.num_clusters, dtype=np.int64)
    sources = list(sources)
    for source in track(sources, 'Segmenting', len(sources)):
        sample = inference_model(model, source.path)
        clusters = sample.pred_sem_seg.data[0].cpu().numpy()
        counts += np.bincount(clusters.ravel(), minlength=len(counts))
        _write(out_dir, 'labels', source.name, to_label_ids(clusters, table))
        _write(out_dir, 'overlays', source.name, _paint(painter, source.path, sample))
    legend = Path(out_dir, 'legend.json')
    _write_legend(legend, table, meta, counts)
    return legend


def _paint(painter: SegmentVisualizer, path: str, sample: SegDataSample) -> NDArray[np.uint8]:
    """The overlay, BGR."""
    # Pillow's decoder turns images as their EXIF data says, as the pipeline's does.
    image = cv2.cvtColor(mmcv.imread(path, backend='pillow'), cv2.COLOR_BGR2RGB)
    painter.add_datasample('overlay', image, sample.cpu(), draw_gt=False)
    return cv2.cvtColor(painter.get_image(), cv2.COLOR_RGB2BGR)


def _write(out_dir: str, kind: str, name: str, image: NDArray[np.uint8]) -> None:
    path = Path(out_dir, kind, name + '.png')
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(str(path), image)


def _write_legend(path: Path, table: NDArray | None, meta: dict, counts: NDArray) -> None:
    """Describe the ids of the label maps."""
    ids = np.arange(len(counts)) if table is None else np.where(table < 0, NO_CLASS, table)
    total = max(1, int(counts.sum()))
    legend: dict[int, dict] = {}
    for cluster in np.argsort(-counts, kind='stable').tolist():
        entry = legend.setdefault(
            int(ids[cluster]),
            dict(name=meta['classes'][cluster], colour=list(meta['palette'][cluster]), share=0.0),
        )
        if ids[cluster] == NO_CLASS and table is not None:
            entry['name'] = 'no class'
        entry['share'] = round(entry['share'] + int(counts[cluster]) / total, 6)
    write_json(path, legend)


def default_device() -> str:
    """The GPU if there is one, else the CPU."""
    return 'cuda:0' if torch.cuda.is_available() else 'cpu'
