"""Recipes for a folder of images."""

import pytest

from mmseg_picie.apis import recipes
from mmseg_picie.apis.recipes import RECIPES, choose_recipe, find_obstacle, fit_to_folder, lengthen


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(recipes, 'find_obstacle', lambda name: 'no network')


@pytest.mark.parametrize('name', RECIPES)
def test_every_recipe_is_a_config_of_the_repository(offline, name, tmp_path):
    weights = tmp_path / 'weights.pth'
    weights.touch()
    choice = choose_recipe(name, str(weights) if name == 'best' else None)
    assert choice.recipe == RECIPES[name] and not choice.note
    assert choice.config.model.type == 'PiCIE'
    assert choice.config.train_dataloader.dataset.type == 'ImageFolderDataset'


def test_the_best_recipe_takes_the_weights_that_there_are(offline, tmp_path):
    weights = tmp_path / 'weights.pth'
    weights.touch()
    with_weights = choose_recipe('best', str(weights)).config
    assert with_weights.model.backbone.type == 'TIMMViT'
    assert with_weights.model.backbone.weights == str(weights)
    without = choose_recipe('best')
    assert without.config.model.backbone.model_name == 'tf_efficientnet_lite0'
    assert without.config.model.decode_head.centroids_per_cluster > 1  # it is PiCIE-M still
    assert 'no network' in without.note and '--weights' in without.note


def test_weights_of_another_recipe_or_of_no_file_are_refused(offline, tmp_path):
    with pytest.raises(ValueError, match="recipe is 'picie'"):
        choose_recipe('picie', 'weights.pth')
    with pytest.raises(FileNotFoundError, match=r'no file of weights none\.pth'):
        choose_recipe('best', 'none.pth')


def test_what_stands_between_timm_and_its_weights_is_told(monkeypatch, tmp_path):
    hub = pytest.importorskip('huggingface_hub')
    monkeypatch.setattr(hub, 'try_to_load_from_cache', lambda *_: None)

    def refuse(*_, **__):
        raise ConnectionError

    monkeypatch.setattr(hub, 'get_hf_file_metadata', refuse)
    name = 'vit_small_patch14_dinov2.lvd142m'
    assert find_obstacle(name) == f'timm/{name} cannot be reached: ConnectionError'
    monkeypatch.setattr(hub, 'get_hf_file_metadata', lambda *_, **__: None)
    assert find_obstacle(name) == ''
    monkeypatch.setattr(hub, 'get_hf_file_metadata', refuse)
    monkeypatch.setattr(hub, 'try_to_load_from_cache', lambda *_: str(tmp_path))
    assert find_obstacle(name) == ''


@pytest.mark.parametrize('number', [1, 3, 20, 5000])
def test_steps_fit_the_number_of_images(offline, tmp_path, number):
    config = choose_recipe('picie').config
    fit_to_folder(config, tmp_path, number)
    loader, clustering = config.train_dataloader, config.default_hooks.clustering
    assert loader.dataset.data_root == str(tmp_path)
    assert 1 <= loader.batch_size <= number and 1 <= clustering.batch_size <= number
    most = loader.sampler.get('num_samples') or number
    assert most == min(number, recipes.MAX_IMAGES)
    assert clustering.get('images_per_epoch') in (None, most)


@pytest.mark.parametrize(
    ('number', 'epochs'), [(1, 12), (10, 12), (60, 12), (100, 7), (256, 3), (367, 3), (50000, 3)]
)
def test_few_images_have_more_epochs(offline, tmp_path, number, epochs):
    """48 steps of 16 images, but 12 epochs at most and the recipe's own at least."""
    config = choose_recipe('picie').config
    fit_to_folder(config, tmp_path, number)
    assert config.train_cfg.max_epochs == 3
    lengthen(config, number)
    assert config.train_cfg.max_epochs == epochs
