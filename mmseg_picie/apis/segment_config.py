"""The config of a training on a folder of images, as a request asks for it."""

from pathlib import Path

from mmengine.config import Config

from ..engine.progress import say
from .folder_survey import list_photographs
from .labelled_folder import add_validation, find_labelled
from .recipes import Choice, choose_recipe, fit_to_folder, lengthen
from .segment_request import AUTO, LABELLED_FILE, TRAINING, Request
from .stretch_option import set_stretch


def build_config(request: Request, choice: Choice, number: int) -> Config:
    """The config of a request's training.

    Args:
        request (Request): what to do.
        choice (Choice): of :func:`.recipes.choose_recipe`.
        number (int): images.

    Returns:
        Config: as `picie train` takes it; with the recipe's own number of clusters where it is to
            be found yet.

    Raises:
        FileNotFoundError: If there are no label maps where they should be.
        ValueError: If labels do not fit the images.
    """
    config = choice.config
    config.work_dir = str(Path(request.out, TRAINING).absolute())
    config.launcher = 'none'
    config.randomness.seed = request.seed
    if request.clusters != AUTO:
        config.model.decode_head.num_clusters = request.clusters
    fit_to_folder(config, request.folder, number)
    if request.epochs is not None:
        config.train_cfg.max_epochs = request.epochs
    elif request.minutes is None:  # which say how long otherwise
        lengthen(config, number)
    if request.labels is not None:
        found = find_labelled(request.folder, request.labels)
        unused = f'; {found.unused} label maps have no image' if found.unused else ''
        say(f'{len(found.names):,} images have labels of {len(found.classes)} classes{unused}')
        listing = Path(request.out, LABELLED_FILE)
        add_validation(config, request.folder, request.labels, found, listing)
    if request.stretch is not None:
        set_stretch(config, request.stretch)
    return config


def show_config(request: Request) -> str:
    """The config of a request, to be saved and changed.

    Args:
        request (Request): what to do.

    Returns:
        str: a config file, with the command that runs it above.

    Raises:
        OSError: As of :func:`build_config`.
        ValueError: Likewise.
    """
    choice = choose_recipe(request.recipe, request.weights)
    config = build_config(request, choice, len(list_photographs(request.folder)))
    command = 'train' if choice.recipe.trains else 'fit-centroids'
    options = '' if choice.recipe.trains else ' --out model.pth'
    lines = [
        f'# Command: picie {command} THIS_FILE{options}',
        f'# It is {choice.recipe.config} with your settings.',
        config.pretty_text,
    ]
    return '\n'.join(lines)
