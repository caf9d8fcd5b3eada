"""A folder of images in; segments, names, a report and a model out."""

import copy
import datetime
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray

from ..engine.checkpoint_files import POINTER
from ..engine.facts import describe_scores
from ..engine.progress import say
from ..models import PiCIE
from ..models.dense_crf import REFINING_SCALE, DenseCRF
from . import duration
from .devices import using_device
from .folder_survey import describe_survey, list_photographs, survey_folder
from .fresh_centroids import score_fresh_centroids
from .json_files import write_json
from .legends import choose_ids
from .model_file import read_facts, read_model, write_model
from .model_store import get_checkpoint
from .prediction import Source, default_device, find_sources, load_model, predict_files
from .quiet import quiet_toolbox
from .recipes import choose_recipe
from .report import shorten, write_report
from .report_images import Predict
from .report_labels import read_label_folder
from .run_history import read_history
from .runs import train
from .segment_config import build_config, show_config
from .segment_request import (
    AUTO,
    CLUSTERS,
    MODEL_FILE,
    REPORT_FILE,
    RUN_FILE,
    TRAINING,
    Request,
    default_out,
    open_results,
)
from .segment_result import LabelMaps, SegmentResult
from .shares import Share, parse_share
from .stretch_option import set_stretch
from .suggest_k import suggest_k, write_advice

__all__ = ['NO_SHARE', 'Request', 'segment', 'segment_folder', 'show_config']

#: The share of a call that trains alone.
NO_SHARE = 'none'
#: Facts that are of a call, and not of the model.
_OF_CALL = ('state', 'settings', 'images', 'device', 'seconds', 'report')


def segment(
    folder: str | Path,
    out: str | Path | None = None,
    clusters: int | str = CLUSTERS,
    recipe: str = 'best',
    epochs: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    labels: str | Path | None = None,
    weights: str | Path | None = None,
    model: str | Path | None = None,
    scale: str = 'auto',
    stretch: str | None = None,
    refine: str | None = None,
    device: str | None = None,
    share: str | None = None,
) -> SegmentResult | None:
    """Segment a folder of images: what the command ``picie segment`` does.

    Args:
        folder (str or Path): of the images.
        out (str or Path, optional): folder for the results; FOLDER_segments in the current folder
            by default. What an interrupted call with the same settings has left there is taken up.
        clusters (int or str): K, or 'auto'.
        recipe (str): 'quick', 'picie', 'picie-m' or 'best'.
        epochs (int, optional): how long to train; the recipe's own by default.
        minutes (float, optional): the same as a time, about.
        seed (int): of every random choice.
        labels (str or Path, optional): folder of label maps of some of the images.
        weights (str or Path, optional): file of DINOv2's weights, for 'best'.
        model (str or Path, optional): model file of an earlier call, or name of a released model;
            nothing is trained then.
        scale (str): size at which the network sees an image: 'auto', 'train', 'full', a factor such
            as '0.5', or a shorter side such as '640px'.
        stretch (str, optional): of levels of more than 8 bits: 'none', 'full' or 'percentile'.
        refine (str, optional): 'crf' to move borders of segments to edges of colours; needs the
            extra ``crf``.
        device (str, optional): such as 'cpu' or 'cuda:0'; the GPU if there is one.
        share (str, optional): which of the images to segment, as of :func:`.shares.parse_share`, or
            'none' to train alone; all by default.

    Returns:
        SegmentResult or None: maps, legend, names, report; None if other shares are not done yet,
            the last of which writes legend and report.

    Raises:
        OSError: If a folder is missing or cannot be written.
        ValueError: If a setting is out of range, or ``out`` holds results of other settings.
    """
    known = None if model is None else get_checkpoint(model)
    paths = dict(labels=labels, weights=weights, model=known)
    request = Request(
        folder=str(folder),
        out=str(default_out(folder) if out is None else out),
        clusters=clusters,
        recipe=recipe,
        epochs=epochs,
        minutes=minutes,
        seed=seed,
        scale=scale,
        stretch=stretch,
        refine=refine,
        **{name: None if path is None else str(path) for name, path in paths.items()},
    )
    with quiet_toolbox():
        return segment_folder(request, device or default_device(), share=share)


def segment_folder(
    request: Request, device: str, verbose: bool = False, share: str | None = None
) -> SegmentResult | None:
    """Do what a request says, or what is left of it.

    Args:
        request (Request): what to do.
        device (str): such as 'cpu' or 'cuda:0'.
        verbose (bool): whether the log of the training is shown.
        share (str, optional): as of :func:`segment`.

    Returns:
        SegmentResult or None: likewise.

    Raises:
        OSError: As of :func:`segment`.
        ValueError: Likewise.
    """
    start, out = time.monotonic(), Path(request.out)
    part = _read_share(request, share)
    list_photographs(request.folder)  # which has the words for a folder without any
    sources = find_sources([request.folder])
    # Before long work, as its package may be missing.
    crf = None if request.refine is None else DenseCRF(scale=REFINING_SCALE)
    facts = open_results(request, len(sources))
    with using_device(device):
        path = request.model or out / MODEL_FILE
        if not Path(path).is_file():
            _make_model(request, facts, device, verbose)
        if share == NO_SHARE:
            say(f'{path} is ready; segment the images by the same command with other shares.')
            return None
        model = read_model(path, device)
        model.crf = crf or model.crf
        if request.stretch is not None:
            set_stretch(model.cfg, request.stretch)
        facts |= {key: value for key, value in read_facts(path).items() if key not in facts}
        done = predict_files(
            model,
            sources,
            str(out),
            scale=request.scale,
            stretch=request.stretch,
            resume=True,
            share=part,
        )
        for failure in done.failures:
            say(failure)
        if done.legend is None:
            say(f'Share {part} is done; the last share to end writes the legend and the report.')
            return None
        facts['report'] = _report(request, model, sources, facts)
    if facts.get('scores'):
        say(f'On the labelled images: {describe_scores(facts["scores"])}')
    facts |= dict(state='finished', device=device, seconds=round(time.monotonic() - start, 1))
    write_json(out / RUN_FILE, facts)
    return SegmentResult(out)


def _read_share(request: Request, share: str | None) -> Share | None:
    """The share of this call; None for all images, or for none."""
    if share == NO_SHARE and request.model is not None:
        raise ValueError(
            f'share {NO_SHARE!r} is to train alone, but a model is taken as it is; leave one of '
            'the two out.'
        )
    if share is None or share == NO_SHARE:
        return None
    part = parse_share(share)
    if not Path(request.model or Path(request.out, MODEL_FILE)).is_file():
        raise ValueError(
            f'share is {share!r}, but {request.out} holds no model yet, and every share would '
            f'train one; train it first, by the same command with the share {NO_SHARE!r}.'
        )
    return part


def _make_model(request: Request, facts: dict[str, Any], device: str, verbose: bool) -> None:
    """Train, or cluster features as they are, and write the model file."""
    survey = survey_folder(request.folder, request.stretch or 'none')
    for line in describe_survey(survey):
        say(line)
    number = len(survey.names)
    choice = choose_recipe(request.recipe, request.weights)
    if choice.note:
        say(choice.note)
    config = build_config(request, choice, number)
    facts['clusters'] = config.model.decode_head.num_clusters = _choose_clusters(
        request, config, facts, verbose
    )
    say(f'Recipe {request.recipe}: {choice.recipe.about}, {facts["clusters"]} clusters')
    if choice.recipe.trains:
        _plan(request, config, number, device)
    start = time.monotonic()
    if choice.recipe.trains:
        config.resume = Path(config.work_dir, POINTER).is_file()
        done = train(config, verbose)
    else:
        checkpoint = str(Path(config.work_dir, 'centroids.pth'))
        done = score_fresh_centroids(config, None, checkpoint, verbose)
    facts |= dict(
        recipe=choice.recipe.about,
        seed=request.seed,
        epochs=config.train_cfg.max_epochs if choice.recipe.trains else 0,
        trained=datetime.date.today().isoformat(),
        training_seconds=round(time.monotonic() - start, 1),
    )
    scores = {key: done.metrics[key] for key in ('aAcc', 'mIoU') if key in done.metrics}
    if scores:
        facts['scores'] = scores
    model = load_model(config, done.checkpoint, device)
    kept = {key: value for key, value in facts.items() if key not in _OF_CALL}
    write_model(Path(request.out, MODEL_FILE), model, config, kept)
    write_json(Path(request.out, RUN_FILE), facts)


def _choose_clusters(request: Request, config: Config, facts: dict[str, Any], verbose: bool) -> int:
    """K, as it was asked for, found by an earlier call, or advised now."""
    if request.clusters != AUTO:
        return int(request.clusters)
    if 'clusters' in facts:
        return facts['clusters']
    trial = copy.deepcopy(config)
    trial.work_dir = str(Path(request.out, 'suggest-k'))
    seeds = [(request.seed + i) % (1 << 31) for i in range(3)]  # of those that it takes
    advice = suggest_k(trial, seeds, verbose=verbose)
    write_advice(Path(trial.work_dir), advice, request.folder, seeds)
    say(advice.reason)
    facts |= dict(clusters=advice.k, advice=advice.reason)
    write_json(Path(request.out, RUN_FILE), facts)
    return advice.k


def _plan(request: Request, config: Config, number: int, device: str) -> None:
    """Say how long it will take, and fit the training into the minutes that it has."""
    times = duration.time_steps(config, device)
    plan = duration.plan_training(config, times, number, request.minutes)
    config.train_cfg.max_epochs = plan.epochs
    if plan.images < number:
        config.train_dataloader.sampler.num_samples = plan.images
        config.default_hooks.clustering.images_per_epoch = plan.images
    say(
        f'Training: {plan.epochs} epochs of {plan.images:,} images, about '
        f'{duration.say_duration(plan.seconds)} on {device}'
    )


def read_back(model: PiCIE, maps: LabelMaps) -> Predict | None:
    """Finds the clusters of an image in its label map; None if several clusters have one id."""
    ids = choose_ids(model).of_clusters
    if len(set(ids.tolist())) < len(ids):
        return None
    # An image may have hundreds of megapixels, so a pixel has as few bytes as it can.
    table = np.zeros(int(ids.max()) + 1, dtype=np.uint8 if len(ids) <= 256 else np.uint16)
    table[ids] = np.arange(len(ids))

    def find(source: Source) -> NDArray:
        try:
            return table[maps[source.name]]
        except KeyError:
            raise ValueError(f'{source.path} was not segmented.') from None

    return find


def _report(
    request: Request, model: PiCIE, sources: Sequence[Source], facts: dict[str, Any]
) -> list[str]:
    """Write the page to look at, of the segments that were written; what it warns of."""
    training = Path(request.out, TRAINING)
    labels = None
    if request.labels is not None:
        labels = read_label_folder(request.labels, sources, model.cfg)
        known = model.decode_head.map_meta.get('classes')
        labels = labels._replace(classes=known or labels.classes)
    told = ('recipe', 'clusters', 'epochs', 'seed', 'trained')
    settings = {name.capitalize(): str(facts[name]) for name in told if name in facts}
    settings |= facts['versions']
    done = write_report(
        Path(request.out, REPORT_FILE),
        model,
        sources,
        title=f'Segments of {Path(request.folder).resolve().name}',
        history=read_history(training) if any(training.glob('*/vis_data')) else None,
        labels=labels,
        predict=read_back(model, LabelMaps(Path(request.out, 'labels'))),
        settings=settings,
    )
    for line in shorten(done.findings):
        say(line)
    return done.findings
