"""Segment image files: label maps, overlays and a legend."""

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.runner import load_checkpoint
from mmseg.apis import init_model

from ..datasets.image_files import find_images
from ..datasets.stretching import check_stretch
from ..evaluation.score_checks import MAX_SHARE
from ..launched import find_rank
from ..models import PiCIE
from ..toolbox import without_notices
from .file_labelling import Source, label_files
from .labelling import Labeller
from .legends import choose_ids
from .overlays import OverlayPainter
from .result_files import RESULTS, ResultWriter
from .share_records import ShareRecords, describe_work, forget_shares
from .shares import Share
from .stretch_option import read_stretch


class Predicted(NamedTuple):
    """What a prediction leaves.

    Attributes:
        legend (Path, optional): says what the ids of the label maps mean; None if other shares of
            the images are not done yet, the last of which writes it.
        failures (list[str]): a sentence for each image that could not be read: of this share, or
            of all if there is a legend.
    """

    legend: Path | None
    failures: list[str]


def find_sources(inputs: Sequence[str], out_dir: str | None = None) -> list[Source]:
    """List the images to segment.

    Args:
        inputs (Sequence[str]): files and folders; folders are searched through all levels.
        out_dir (str, optional): where results of earlier calls may lie, which are passed over.

    Returns:
        list[Source]: in order, with names that are unique.

    Raises:
        FileNotFoundError: If one does not exist, or a folder holds no image but earlier results.
        ValueError: If two results would have one name.
    """
    sources = []
    for item in inputs:
        if os.path.isdir(item):
            found = [
                Source(os.path.join(item, name), os.path.splitext(name)[0])
                for name in find_images(item)
                if out_dir is None or not _is_result(Path(item, name), out_dir)
            ]
            if not found:
                raise FileNotFoundError(
                    f'{item} holds no image but results that were written to {out_dir}; give a '
                    'folder of images, or write to another one.'
                )
            sources += found
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
    return any(Path(out_dir, kind).resolve() in parents for kind in RESULTS)


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Args:
        device (str): such as 'cpu' or 'cuda:0'.

    Raises:
        ValueError: If there is no such device.
    """
    try:
        torch.zeros(1, device=device).item()
    except (AssertionError, ImportError, NotImplementedError, RuntimeError) as error:
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
    scale: str | float = 'auto',
    stretch: str | None = None,
    resume: bool = False,
    share: Share | None = None,
) -> Predicted:
    """Segment images and write the results.

    ``labels/NAME.png`` holds ids as grey levels, at the image's own size; of an image that lies on
    the earth it is ``labels/NAME.tif``, with the same place. ``overlays/NAME.png`` is the image
    with the segments and their names painted over it, and a legend below or beside it; images of
    more than :data:`.overlays.MOST_PIXELS` are made smaller for it. ``legend.json`` says what each
    id is called, its colour and its share of all pixels.

    Images that cannot be read are left out.

    Args:
        model (PiCIE): of :func:`load_model`.
        sources (Iterable[Source]): images.
        out_dir (str): folder for the results; made if missing.
        ids (str): 'class', 'cluster', or 'auto' for classes if the model knows them.
        opacity (float): of the segments in the overlay, in (0, 1].
        outlines (bool): whether to draw lines between them.
        scale (str or float): the size at which the network sees an image, as of
            :func:`.image_scales.parse_scale`.
        stretch (str, optional): as of :func:`..datasets.image_reading.read_image`; that of the
            config's test pipeline by default.
        resume (bool): whether to pass over images whose results are there. They must be of the same
            model and options.
        share (Share, optional): which of the images to segment; all by default. The results of
            this share that are there are passed over if they are of the same model and options.

    Returns:
        Predicted: the legend, and why images were left out.

    Raises:
        ValueError: If classes are asked for that the model does not know, a rule makes no sense,
            the results of other shares are of another model or other options, or all images are
            to be segmented anew while a share is at work.
    """
    meta, chosen = model.dataset_meta, choose_ids(model, ids)
    stretch = read_stretch(model.cfg) if stretch is None else stretch
    check_stretch(stretch)
    painter = OverlayPainter(meta['classes'], meta['palette'], opacity, outlines)
    writer = ResultWriter(out_dir, chosen, painter)
    sources = list(sources)
    labeller = Labeller(model, scale)
    if share is None:
        if not resume:
            forget_shares(out_dir)
        failures, is_all = label_files(labeller, sources, writer, stretch, resume), True
    else:
        told = dict(ids=ids, opacity=opacity, outlines=outlines, scale=str(scale), stretch=stretch)
        records = ShareRecords(out_dir, told | describe_work(model, sources))
        records.begin(share, resume)
        with records.at_work(share):
            failures = label_files(labeller, share.take(sources), writer, stretch, resume=True)
            failures, is_all = _add_others(records, share, writer, failures)
    if not is_all:
        return Predicted(None, failures)
    _warn_of_one_name(writer, meta['classes'], len(sources))
    return Predicted(writer.write_legend(), failures)


def _add_others(
    records: ShareRecords, share: Share, writer: ResultWriter, failures: list[str]
) -> tuple[list[str], bool]:
    """Record a share that is done, and add what the others have counted if all of them are."""
    others = records.finish(share, writer.read_tally(), failures)
    for other in others or ():
        writer.add_tally(other['tally'])
        failures = failures + other['failures']
    return failures, others is not None


def _warn_of_one_name(writer: ResultWriter, classes: Sequence[str], number: int) -> None:
    """Say so if nearly all pixels of several images are of one cluster."""
    counts = writer.counts
    if counts.max() > MAX_SHARE * counts.sum() and number > 1:
        print_log(
            f'{100 * counts.max() / counts.sum():.0f} % of all pixels are '
            f'{classes[int(counts.argmax())]}, so the segments tell little; use the checkpoint of '
            'another epoch, or train on images like these.',
            logger='current',
            level=logging.WARNING,
        )


def default_device() -> str:
    """The device that the toolbox trains on, such as 'cpu', 'mps' or 'cuda:0'.

    Processes of one job have a GPU of CUDA each.
    """
    device = get_device()
    if device != 'cuda':
        return device
    rank = find_rank()
    return f'cuda:{0 if rank is None else rank.local % torch.cuda.device_count()}'
