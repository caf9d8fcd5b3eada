"""A folder of images in; segments, names and a model out."""

import datetime
import hashlib
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mmengine
import mmseg
import torch
from mmengine.config import Config

from ..datasets.image_files import find_images
from ..engine.facts import describe_scores
from ..engine.progress import say
from ..models import PiCIE
from ..version import __version__
from . import duration
from .devices import using_device
from .fresh_centroids import score_fresh_centroids
from .json_files import read_json, write_json
from .labelled_folder import add_validation, find_labelled
from .model_file import read_facts, read_model, write_model
from .prediction import Source, default_device, find_sources, load_model, predict_files
from .quiet import quiet_toolbox
from .recipes import RECIPES, Choice, choose_recipe, fit_to_folder
from .runs import train
from .segment_result import SegmentResult

__all__ = ['Request', 'segment', 'segment_folder']

RUN_FILE, MODEL_FILE, TRAINING = 'run.json', 'model.pth', 'training'
LABELLED_FILE = 'labelled.txt'
#: Clusters where nobody says how many.
CLUSTERS = 12


@dataclass(frozen=True)
class Request:
    """What is to be done with a folder of images.

    Attributes:
        folder (str): of the images, nested or flat.
        out (str): folder for the results.
        clusters (int): K, at least 2.
        recipe (str): a key of :data:`.recipes.RECIPES`.
        epochs (int, optional): how long to train; the recipe's own by default.
        minutes (float, optional): the same as a time, about.
        seed (int): of every random choice.
        labels (str, optional): folder of label maps for some of the images, which give scores and
            names (:func:`.labelled_folder.find_labelled`).
        weights (str, optional): file of DINOv2's weights, for the recipe 'best'.
        model (str, optional): model file of an earlier call, which is taken as it is: nothing is
            trained, and the other settings do not matter.

    Raises:
        ValueError: If a number is out of range, or two settings exclude each other.
    """

    folder: str
    out: str
    clusters: int = CLUSTERS
    recipe: str = 'best'
    epochs: int | None = None
    minutes: float | None = None
    seed: int = 0
    labels: str | None = None
    weights: str | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise ValueError(
                f'recipe must be one of {", ".join(RECIPES)}, but got {self.recipe!r}.'
            )
        if self.clusters < 2:
            raise ValueError(f'clusters must be at least 2, but got {self.clusters}.')
        for name in ('epochs', 'minutes'):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f'{name} must be positive, but got {value}.')
        if self.epochs is not None and self.minutes is not None:
            raise ValueError('epochs and minutes both say how long to train; give one of them.')
        for name in ('epochs', 'minutes'):
            if getattr(self, name) is not None and not RECIPES[self.recipe].trains:
                raise ValueError(
                    f'{name} says how long to train, but the recipe {self.recipe!r} does not train;'
                    ' leave it out, or take the recipe picie or best.'
                )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f'seed must be from 0 to 2**32 - 1, but got {self.seed}.')
        folder, out = Path(self.folder).resolve(), Path(self.out).resolve()
        if out == folder or folder in out.parents:
            raise ValueError(
                f'out is {self.out}, which lies in the folder of images {self.folder}, so results '
                'would be taken for images; give a folder beside it.'
            )


def segment(
    folder: str | Path,
    out: str | Path | None = None,
    clusters: int = CLUSTERS,
    recipe: str = 'best',
    epochs: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    labels: str | Path | None = None,
    weights: str | Path | None = None,
    model: str | Path | None = None,
    device: str | None = None,
) -> SegmentResult:
    """Segment a folder of images: what the command ``picie segment`` does.

    Args:
        folder (str or Path): of the images.
        out (str or Path, optional): folder for the results; FOLDER_segments in the current folder
            by default. What an interrupted call with the same settings has left there is taken up.
        clusters (int): K.
        recipe (str): 'quick', 'picie' or 'best'.
        epochs (int, optional): how long to train; the recipe's own by default.
        minutes (float, optional): the same as a time, about.
        seed (int): of every random choice.
        labels (str or Path, optional): folder of label maps of some of the images.
        weights (str or Path, optional): file of DINOv2's weights, for 'best'.
        model (str or Path, optional): model file of an earlier call; nothing is trained then.
        device (str, optional): such as 'cpu' or 'cuda:0'; the GPU if there is one.

    Returns:
        SegmentResult: maps, legend, names, report.

    Raises:
        OSError: If a folder is missing or cannot be written.
        ValueError: If a setting is out of range, or ``out`` holds results of other settings.
    """
    paths = dict(labels=labels, weights=weights, model=model)
    request = Request(
        folder=str(folder),
        out=str(default_out(folder) if out is None else out),
        clusters=clusters,
        recipe=recipe,
        epochs=epochs,
        minutes=minutes,
        seed=seed,
        **{name: None if path is None else str(path) for name, path in paths.items()},
    )
    with quiet_toolbox():
        return segment_folder(request, device or default_device())


def default_out(folder: str | Path) -> Path:
    """Where results go if nobody says.

    Args:
        folder (str or Path): of the images.

    Returns:
        Path: in the current folder.
    """
    return Path(f'{Path(folder).resolve().name or "images"}_segments')


def segment_folder(request: Request, device: str, verbose: bool = False) -> SegmentResult:
    """Do what a request says, or what is left of it.

    Args:
        request (Request): what to do.
        device (str): such as 'cpu' or 'cuda:0'.
        verbose (bool): whether the log of the training is shown.

    Returns:
        SegmentResult: as of :func:`segment`.

    Raises:
        OSError: As of :func:`segment`.
        ValueError: Likewise.
    """
    start = time.monotonic()
    out = Path(request.out)
    names = find_images(request.folder)
    facts = _open_results(request, len(names))
    say(f'{len(names):,} images in {request.folder}; results go to {out}')
    with using_device(device):
        if request.model is not None:
            model, source = read_model(request.model, device), request.model
        else:
            if not (out / MODEL_FILE).is_file():
                _make_model(request, names, facts, device, verbose)
            model, source = read_model(out / MODEL_FILE, device), str(out / MODEL_FILE)
        facts |= {key: value for key, value in read_facts(source).items() if key not in facts}
        sources = find_sources([request.folder])
        _predict(model, sources, out, facts)
    facts |= dict(state='finished', device=device, seconds=round(time.monotonic() - start, 1))
    write_json(out / RUN_FILE, facts)
    return SegmentResult(out)


def _open_results(request: Request, number: int) -> dict[str, Any]:
    """The facts of an earlier call with the same settings, or of a new one."""
    settings = asdict(request) | dict(folder=str(Path(request.folder).resolve()))
    del settings['out']
    for name in ('weights', 'model'):  # a file is what it holds, wherever it lies
        if settings[name] is not None:
            settings[name] = hashlib.sha256(Path(settings[name]).read_bytes()).hexdigest()
    path = Path(request.out, RUN_FILE)
    if not path.is_file():
        out = Path(request.out)
        if out.is_dir() and any(path.name != LABELLED_FILE for path in out.iterdir()):
            raise ValueError(
                f'out is {out}, which holds other files than results; give a new folder.'
            )
        facts = dict(state='started', settings=settings, versions=_versions(), images=number)
        write_json(path, facts)
        return facts
    facts = read_json(path)
    found = facts.get('settings')
    found = found if isinstance(found, dict) else {}
    other = [name for name, value in settings.items() if found.get(name) != value]
    if other:
        name = other[0]
        raise ValueError(
            f'{request.out} holds results of other settings: {name} was {found.get(name)!r} and is '
            f'now {settings[name]!r}; give another --out, or remove that folder.'
        )
    is_trained = request.model is not None or Path(request.out, MODEL_FILE).is_file()
    if not is_trained and facts.get('images') != number:
        raise ValueError(
            f'{request.folder} had {facts.get("images")} images when the training into '
            f'{request.out} began, and has {number} now; give another --out, or remove that folder.'
        )
    return facts | dict(images=number)


def _versions() -> dict[str, str]:
    return dict(
        mmseg_picie=__version__,
        torch=torch.__version__,
        mmengine=mmengine.__version__,
        mmseg=mmseg.__version__,
        python=platform.python_version(),
    )


def _make_model(
    request: Request, names: Sequence[str], facts: dict[str, Any], device: str, verbose: bool
) -> None:
    """Train, or cluster features as they are, and write the model file."""
    choice = choose_recipe(request.recipe, request.weights)
    say(f'Recipe {request.recipe}: {choice.recipe.about}, {request.clusters} clusters')
    if choice.note:
        say(choice.note)
    config = build_config(request, choice, len(names))
    if choice.recipe.trains:
        _plan(request, config, len(names), device)
    start = time.monotonic()
    if choice.recipe.trains:
        config.resume = True
        done = train(config, verbose)
    else:
        checkpoint = str(Path(config.work_dir, 'centroids.pth'))
        done = score_fresh_centroids(config, None, checkpoint, verbose)
    facts |= dict(
        recipe=choice.recipe.about,
        clusters=request.clusters,
        seed=request.seed,
        epochs=config.train_cfg.max_epochs if choice.recipe.trains else 0,
        trained=datetime.date.today().isoformat(),
        training_seconds=round(time.monotonic() - start, 1),
    )
    scores = {key: done.metrics[key] for key in ('aAcc', 'mIoU') if key in done.metrics}
    if scores:
        facts['scores'] = scores
    model = load_model(config, done.checkpoint, device)
    kept = {key: facts[key] for key in facts if key not in ('state', 'settings', 'images')}
    write_model(Path(request.out, MODEL_FILE), model, config, kept)
    write_json(Path(request.out, RUN_FILE), facts)


def build_config(request: Request, choice: Choice, number: int) -> Config:
    """The config of a request's training.

    Args:
        request (Request): what to do.
        choice (Choice): of :func:`.recipes.choose_recipe`.
        number (int): images.

    Returns:
        Config: as `picie train` takes it.

    Raises:
        FileNotFoundError: If there are no label maps where they should be.
        ValueError: If labels do not fit the images.
    """
    config = choice.config
    config.work_dir = str(Path(request.out, TRAINING).absolute())
    config.launcher = 'none'
    config.randomness.seed = request.seed
    config.model.decode_head.num_clusters = request.clusters
    fit_to_folder(config, request.folder, number)
    if request.epochs is not None:
        config.train_cfg.max_epochs = request.epochs
    if request.labels is not None:
        found = find_labelled(request.folder, request.labels)
        unused = f'; {found.unused} label maps have no image' if found.unused else ''
        say(f'{len(found.names):,} images have labels of {len(found.classes)} classes{unused}')
        listing = Path(request.out, LABELLED_FILE)
        add_validation(config, request.folder, request.labels, found, listing)
    return config


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


def _predict(model: PiCIE, sources: Sequence[Source], out: Path, facts: Mapping[str, Any]) -> None:
    """Segment all images that are not segmented yet."""
    done = predict_files(model, sources, str(out))
    for failure in done.failures:
        say(failure)
    if facts.get('scores'):
        say(f'On the labelled images: {describe_scores(dict(facts["scores"]))}')
