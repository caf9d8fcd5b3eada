"""Ready recipes for a folder of images, each a ready config."""

import math
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from .config_files import read_config_file

#: Images of an epoch at most; further ones are left to other epochs, at random.
MAX_IMAGES = 4000
#: Steps that a training of few images has at least, as far as so many epochs allow it
#: (docs/segment.md says what they are worth).
MIN_STEPS, MOST_EPOCHS = 48, 12
_TOKENS = 'picie-m_vit-s14_frozen_folder'
_NETWORK = 'picie-m_fpn_efficientnet-lite0_folder'
#: Seconds to wait for an answer from where timm's weights are.
_PATIENCE = 5


class Recipe(NamedTuple):
    """How a folder of images is segmented.

    Attributes:
        config (str): name of its ready config.
        trains (bool): whether the network is trained; if not, features are clustered as they are.
        about (str): what it is, in a few words.
    """

    config: str
    trains: bool
    about: str


#: Name -> recipe. For the last one there may be another in its place, see :func:`choose_recipe`.
RECIPES = {
    'quick': Recipe(_NETWORK, False, 'k-means on frozen features, for a first look'),
    'picie': Recipe('picie_fpn_efficientnet-lite0_folder', True, "the paper's recipe, PiCIE"),
    'picie-m': Recipe(_NETWORK, True, 'PiCIE-M on EfficientNet-Lite0'),
    'best': Recipe(_TOKENS, True, 'PiCIE-M on frozen features of DINOv2'),
}
#: What 'best' is where the weights of DINOv2 cannot be had.
SECOND_BEST = 'picie-m'


class Choice(NamedTuple):
    """A recipe that can be run here.

    Attributes:
        recipe (Recipe): which one.
        config (Config): its config.
        note (str): why it is another one than was asked for; empty if it is not.
    """

    recipe: Recipe
    config: Config
    note: str


def choose_recipe(name: str, weights: str | None = None) -> Choice:
    """Read the config of a recipe.

    'best' needs weights of DINOv2: a file, or those that timm has downloaded or can download. If
    there are none it is PiCIE-M with EfficientNet-Lite0.

    Args:
        name (str): a key of :data:`RECIPES`.
        weights (str, optional): file of DINOv2's weights, for 'best'.

    Returns:
        Choice: the recipe and its config.

    Raises:
        FileNotFoundError: If there is no config, or no file of weights.
        ValueError: If there is no such recipe, or it takes no weights.
    """
    if name not in RECIPES:
        raise ValueError(f'recipe must be one of {", ".join(RECIPES)}, but got {name!r}.')
    recipe, note = RECIPES[name], ''
    if weights is not None and recipe.config != _TOKENS:
        raise ValueError(
            f"weights are for the recipe 'best', whose backbone they are of, but the recipe is "
            f'{name!r}; leave them out, or take the recipe best.'
        )
    if weights is not None and not Path(weights).is_file():
        raise FileNotFoundError(f'there is no file of weights {weights}; check the path.')
    config = read_config_file(recipe.config)
    if weights is not None:
        config.model.backbone.weights = str(Path(weights).absolute())
    elif recipe.config == _TOKENS:
        missing = find_obstacle(config.model.backbone.model_name)
        if missing:
            recipe = RECIPES[SECOND_BEST]
            config = read_config_file(recipe.config)
            note = (
                f'The weights of DINOv2 cannot be had ({missing}), so EfficientNet-Lite0 takes '
                'their place; --weights FILE gives them.'
            )
    return Choice(recipe, config, note)


def find_obstacle(model_name: str) -> str:
    """Find out whether timm can give the weights of a model, without downloading them.

    Args:
        model_name (str): timm's name.

    Returns:
        str: why it cannot; empty if it can.
    """
    try:
        import timm
        from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    except ImportError as error:
        return f"{error.name} is not installed; run pip install 'mmseg_picie[timm]'"
    found = timm.get_pretrained_cfg(model_name)
    repository = '' if found is None else found.hf_hub_id or ''
    if not repository:
        return f'timm has no weights of {model_name}'
    if repository.endswith('/'):
        repository += model_name
    for file in ('model.safetensors', 'pytorch_model.bin'):
        if isinstance(try_to_load_from_cache(repository, file), str):
            return ''
    try:
        get_hf_file_metadata(hf_hub_url(repository, 'model.safetensors'), timeout=_PATIENCE)
    except Exception as error:  # of the network, of the hub, of settings: of many types
        return f'{repository} cannot be reached: {type(error).__name__}'
    return ''


def fit_to_folder(config: Config, folder: str | Path, number: int) -> None:
    """Point a recipe at a folder, and fit its steps to the number of images.

    Args:
        config (Config): of a recipe; changed in place.
        folder (str or Path): of the images.
        number (int): images in it that can be read.
    """
    loader = config.train_dataloader
    loader.dataset.data_root = str(Path(folder).absolute())
    loader.dataset.on_bad_image = 'skip'
    loader.batch_size = min(loader.batch_size, number)
    clustering = config.default_hooks.clustering
    clustering.batch_size = min(clustering.batch_size, number)
    if number > MAX_IMAGES:
        loader.sampler.num_samples = clustering.images_per_epoch = MAX_IMAGES
    config.default_hooks.pop('visualization', None)
    config.default_hooks.checkpoint.max_keep_ckpts = 1


def lengthen(config: Config, number: int) -> None:
    """Give a training of few images, whose epochs have few steps, more epochs than its recipe has.

    Args:
        config (Config): of :func:`fit_to_folder`; changed in place.
        number (int): likewise.
    """
    steps = math.ceil(number / config.train_dataloader.batch_size)
    epochs = min(MOST_EPOCHS, math.ceil(MIN_STEPS / steps))
    config.train_cfg.max_epochs = max(config.train_cfg.max_epochs, epochs)
