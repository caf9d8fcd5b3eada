"""What is to be done with a folder of images, and what an earlier call has left of it."""

import platform
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import mmengine
import mmseg
import torch

from ..datasets.stretching import check_stretch
from ..engine.checkpoint_files import POINTER
from ..version import __version__
from .file_hashes import compute_sha256
from .image_scales import parse_scale
from .json_files import read_json, write_json
from .recipes import RECIPES

#: What the results are called.
RUN_FILE, MODEL_FILE, REPORT_FILE, TRAINING = 'run.json', 'model.pth', 'report.html', 'training'
LABELLED_FILE = 'labelled.txt'
#: Clusters where nobody says how many, and the word for a number that is to be found.
CLUSTERS, AUTO = 12, 'auto'


@dataclass(frozen=True)
class Request:
    """What is to be done with a folder of images.

    Attributes:
        folder (str): of the images, nested or flat.
        out (str): folder for the results.
        clusters (int or str): K, at least 2; 'auto' for the number that
            :func:`.suggest_k.suggest_k` advises.
        recipe (str): a key of :data:`.recipes.RECIPES`.
        epochs (int, optional): how long to train; the recipe's own by default.
        minutes (float, optional): the same as a time, about.
        seed (int): of every random choice.
        labels (str, optional): folder of label maps for some of the images, which give scores and
            names (:func:`.labelled_folder.find_labelled`).
        weights (str, optional): file of DINOv2's weights, for the recipe 'best'.
        model (str, optional): model file of an earlier call, which is taken as it is: nothing is
            trained, and the settings of a training do not matter.
        scale (str): as of :func:`.image_scales.parse_scale`.
        stretch (str, optional): what to do with levels of more than 8 bits, as of
            :func:`..datasets.image_reading.read_image`; by default what the model was made with,
            which is to refuse them.
        refine (str, optional): 'crf' to move borders of segments to edges of colours
            (:class:`..models.DenseCRF`).

    Raises:
        ValueError: If a number is out of range, or two settings exclude each other.
    """

    folder: str
    out: str
    clusters: int | str = CLUSTERS
    recipe: str = 'best'
    epochs: int | None = None
    minutes: float | None = None
    seed: int = 0
    labels: str | None = None
    weights: str | None = None
    model: str | None = None
    scale: str = 'auto'
    stretch: str | None = None
    refine: str | None = None

    def __post_init__(self) -> None:
        for name in ('seed', 'clusters', 'epochs'):
            value = getattr(self, name)
            if isinstance(value, Integral) and not isinstance(value, bool):
                object.__setattr__(self, name, int(value))  # of numpy, too
        if not isinstance(self.seed, int):
            raise ValueError(f'seed must be a whole number, but got {self.seed!r}.')
        if self.epochs is not None and not isinstance(self.epochs, int):
            raise ValueError(f'epochs must be a whole number, but got {self.epochs!r}.')
        if self.minutes is not None and not isinstance(self.minutes, Real):
            raise ValueError(f'minutes must be a number, but got {self.minutes!r}.')
        if self.recipe not in RECIPES:
            raise ValueError(
                f'recipe must be one of {", ".join(RECIPES)}, but got {self.recipe!r}.'
            )
        if self.clusters != AUTO and not (isinstance(self.clusters, int) and self.clusters > 1):
            raise ValueError(
                f'clusters must be a number of at least 2, or auto, but got {self.clusters!r}.'
            )
        parse_scale(self.scale)
        if self.refine not in (None, 'crf'):
            raise ValueError(f"refine must be 'crf' or None, but got {self.refine!r}.")
        if self.stretch is not None:
            check_stretch(self.stretch)
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
        for name in ('weights', 'model'):
            file = getattr(self, name)
            if file is not None and not Path(file).is_file():
                raise FileNotFoundError(f'{name} is {file}, which is no file; give another.')
        if Path(self.out).exists() and not Path(self.out).is_dir():
            raise NotADirectoryError(f'out is {self.out}, which is no folder; give another.')
        folder, out = Path(self.folder).resolve(), Path(self.out).resolve()
        if out == folder or folder in out.parents:
            raise ValueError(
                f'out is {self.out}, which lies in the folder of images {self.folder}, so results '
                'would be taken for images; give a folder beside it.'
            )
        labels = None if self.labels is None else Path(self.labels).resolve()
        if labels is not None and folder in (labels, *labels.parents):
            raise ValueError(
                f'labels is {self.labels}, which lies in the folder of images {self.folder}, so '
                'label maps would be taken for images; move it beside that folder.'
            )


def default_out(folder: str | Path) -> Path:
    """Where results go if nobody says.

    Args:
        folder (str or Path): of the images.

    Returns:
        Path: in the current folder; beside that of the images, if this is the current one or holds
            it.
    """
    images = Path(folder).resolve()
    name = f'{images.name or "images"}_segments'
    return images.with_name(name) if images in (Path.cwd(), *Path.cwd().parents) else Path(name)


def open_results(request: Request, number: int) -> dict[str, Any]:
    """The facts of an earlier call with the same settings, or of a new one.

    Args:
        request (Request): what to do.
        number (int): images.

    Returns:
        dict[str, Any]: what run.json holds.

    Raises:
        OSError: If nothing can be written there.
        ValueError: If there are other files, or results of other settings.
    """
    settings = asdict(request) | dict(folder=str(Path(request.folder).resolve()))
    del settings['out']
    for name in ('weights', 'model'):  # a file is what it holds, wherever it lies
        if settings[name] is not None:
            settings[name] = compute_sha256(Path(settings[name]))
    path = Path(request.out, RUN_FILE)
    if not path.is_file():
        out = Path(request.out)
        # A share that began at the same time may be writing it, or have written it by now.
        others = [path.name for path in out.iterdir()] if out.is_dir() else []
        others = [name for name in others if not name.startswith(f'.{RUN_FILE}.partial-')]
        if others and others != [LABELLED_FILE] and not path.is_file():
            raise ValueError(
                f'out is {out}, which holds other files than results; give a new folder.'
            )
        facts = dict(state='started', settings=settings, versions=_versions(), images=number)
        write_json(path, facts)
        return facts
    if not _has_results(Path(request.out)):  # a call that was refused may be corrected
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


def _has_results(out: Path) -> bool:
    """Whether there is anything that an earlier call has made."""
    made = [MODEL_FILE, f'{TRAINING}/{POINTER}', 'labels', 'overlays']
    return any(Path(out, name).exists() for name in made)


def _versions() -> dict[str, str]:
    return dict(
        mmseg_picie=__version__,
        torch=torch.__version__,
        mmengine=mmengine.__version__,
        mmseg=mmseg.__version__,
        python=platform.python_version(),
    )
