"""The metadata of the configs: complete, true to the configs, and to the benchmark page."""

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

ROOT = Path(__file__).parents[1]
INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())
META = yaml.safe_load((ROOT / 'configs' / 'metafile.yaml').read_text())
MODELS = {model['Name']: model for model in META['Models']}
DATA = {
    'CamVidDataset': 'CamVid',
    'COCOStuff27Dataset': 'COCO-Stuff-27',
    'COCOStuff171Dataset': 'COCO-Stuff-171',
    'Cityscapes27Dataset': 'Cityscapes-27',
    'ImageFolderDataset': 'images of your own',
    'ImageNetS50Dataset': 'ImageNet-S-50',
    'Potsdam3Dataset': 'Potsdam-3',
    'SyntheticScenesDataset': 'synthetic scenes',
}


def test_index_imports_the_metafile_and_those_of_the_released_models():
    released = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob('model_zoo/*/*.yml'))
    imported = ['configs/metafile.yaml', *released]
    assert dict(Import=imported) == INDEX


def test_index_passes_its_schema():
    """Paths of files that an entry names count from its metafile."""
    model_index = pytest.importorskip('modelindex')
    index = model_index.load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    found = index.check(silent=True)
    assert not found, found


def test_every_config_of_the_benchmark_page_is_listed_once():
    page = (ROOT / 'docs' / 'benchmarks.md').read_text()
    stems = {path.stem for path in (ROOT / 'configs').glob('*.py')}
    assert len(MODELS) == len(META['Models'])
    assert {stem for stem in stems if f'`{stem}`' in page} <= set(MODELS) <= stems
    collections = {collection['Name'] for collection in META['Collections']}
    for name, model in MODELS.items():
        assert model['Config'] == f'configs/{name}.py'
        assert model['In Collection'] in collections


@pytest.mark.parametrize('name', MODELS)
def test_metadata_are_those_of_the_config(name):
    config = Config.fromfile(ROOT / MODELS[name]['Config'])
    metadata = MODELS[name]['Metadata']
    head, backbone = config.model.decode_head, config.model.backbone
    encoder = backbone if backbone.type == 'FrozenEncoder' else config.model
    network = encoder.backbone
    known = {
        'ResNet': f'ResNet-{network.get("depth")}',
        'tf_efficientnet_lite0': 'EfficientNet-Lite0',
        'vit_small_patch8_224': 'ViT-S/8',
    }
    parts = [known[network.get('model_name', network.type)], head.type]
    if encoder.get('neck'):
        parts.insert(1, encoder.neck.type)
        assert encoder.neck.out_channels == head.in_channels
    assert metadata['Architecture'] == parts
    assert metadata['Clusters'] == head.get('num_clusters', head.get('num_classes'))
    assert metadata['Channels'] == head.in_channels
    assert metadata['Epochs'] == config.train_cfg.max_epochs
    loader = config.train_dataloader
    assert metadata['Batch Size'] == loader.batch_size
    assert metadata['Training Data'] == DATA[loader.dataset.type]
    sizes = [t.get('view_size', t.get('size')) for t in loader.dataset.pipeline]
    (size,) = [size for size in sizes if size is not None]
    assert metadata['Input Size'] == ([size, size] if isinstance(size, int) else list(size))


@pytest.mark.parametrize('name', MODELS)
def test_figures_stand_on_the_benchmark_page_and_in_the_header(name):
    """What others report is written in the config's header, too, with its source."""
    page = (ROOT / 'docs' / 'benchmarks.md').read_text()
    header = (ROOT / MODELS[name]['Config']).read_text().split('"""')[1]
    figures = []
    for entry in MODELS[name]['Metadata'].get('Reported', ()):
        figures += [entry[key] for key in ('aAcc', 'mIoU') if key in entry]
        for key in ('aAcc', 'mIoU'):
            assert key not in entry or str(entry[key]) in header
    for result in MODELS[name].get('Results', ()):
        assert result['Task'] == 'Unsupervised Semantic Segmentation'
        figures += result['Metrics'].values()
    for figure in figures:
        assert str(figure) in page
