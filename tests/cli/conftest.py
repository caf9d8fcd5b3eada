"""A tiny model and its files, for commands that refuse it or what stands beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

from mmseg_picie.cli import main

ROOT = Path(__file__).parents[2]
#: Cuts a config of the scenes down to seconds.
SMALL = {
    'model.backbone.base_channels': 8,
    'model.backbone.stem_channels': 8,
    'model.neck.in_channels': (8, 16, 32, 64),
    'model.neck.out_channels': 16,
    'model.decode_head.in_channels': 16,
    'train_cfg.max_epochs': 1,
    'default_hooks.clustering.batch_size': 4,
    'default_hooks.clustering.num_init_batches': 1,
    'default_hooks.clustering.num_iters': 2,
    **{f'{name}_dataloader.num_workers': 0 for name in ('train', 'val', 'test')},
    **{f'{name}_dataloader.persistent_workers': False for name in ('train', 'val', 'test')},
    **{f'{name}_dataloader.batch_size': 4 for name in ('train', 'val', 'test')},
    **{f'{name}_dataloader.dataset.num_images': 4 for name in ('train', 'val', 'test')},
    **{f'{name}_dataloader.dataset.scene_size': (64, 96) for name in ('train', 'val', 'test')},
    'train_dataloader.dataset.pipeline.1.base_size': (64, 96),
    'train_dataloader.dataset.pipeline.1.view_size': (32, 48),
    **{f'{name}_dataloader.dataset.pipeline.3.size': (32, 48) for name in ('val', 'test')},
}


class Tiny(NamedTuple):
    """Files of a tiny model."""

    config: Path
    checkpoint: Path
    image: Path


@pytest.fixture(scope='session')
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A config of PiCIE on four scenes, a checkpoint with random centroids, and an image."""
    folder = tmp_path_factory.mktemp('tiny')
    found = Tiny(folder / 'tiny.py', folder / 'tiny.pth', folder / 'image.png')
    config = Config.fromfile(ROOT / 'configs' / 'picie_fpn_r18_scenes.py')
    config.merge_from_dict(SMALL)
    config.pop('train_pipeline')  # a variable, which is of no use any more
    config.test_pipeline = config.test_dataloader.dataset.pipeline
    config.dump(found.config)
    init_default_scope('mmseg')
    model = MODELS.build(config.model)
    head = model.decode_head
    head.set_centroids(torch.randn_like(head.centroids), torch.ones_like(head.cluster_counts))
    torch.save(dict(meta={}, state_dict=model.state_dict()), found.checkpoint)
    Image.new('RGB', (96, 64)).save(found.image)
    return found


@pytest.fixture
def sentence(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Prove that a command ends with code 2 and one line on stderr, and give the sentence."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')

    def refused(*words: object) -> str:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert end.value.code == 2, (end.value.code, err)
        assert err.count('\n') == 1 and err.endswith('\n'), err
        assert 'Traceback' not in out + err
        command, _, told = err.partition(': error: ')
        assert command.startswith('picie ') and told.strip(), err
        return told.rstrip('\n')

    return refused
