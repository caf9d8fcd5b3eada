"""Names for clusters of one's own images, by the child config that docs/datasets.md shows."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

from mmseg_picie.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path):
    """The child config of the page, its labelled images, and a checkpoint with random centroids."""
    pytest.importorskip('timm')
    page = (ROOT / 'docs' / 'datasets.md').read_text()
    section = page[page.index('### Names for your own images') :]
    text = re.search(r'```python\n(.*?)```', section, re.S)[1]
    path = tmp_path / 'named.py'
    path.write_text(text.replace("'./", f"'{ROOT / 'configs'}/"))
    rng = np.random.default_rng(0)
    for folder, shape, top in (('images', (40, 50, 3), 256), ('labels', (40, 50), 2)):
        (tmp_path / folder).mkdir()
        for index in range(3):
            pixels = rng.integers(0, top, shape).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f'{index}.png')
    init_default_scope('mmseg')
    model = MODELS.build(Config.fromfile(path).model)
    head = model.decode_head
    head.set_centroids(torch.randn_like(head.centroids), torch.ones_like(head.cluster_counts))
    torch.save(dict(meta={}, state_dict=model.state_dict()), tmp_path / 'epoch.pth')
    return path


def test_the_documented_child_config_names_clusters(config, tmp_path):
    out = tmp_path / 'out.pth'
    options = [f'val_dataloader.dataset.data_root={tmp_path}', 'val_dataloader.num_workers=0']
    options += [f'visualizer.name={tmp_path.name}', f'experiment_name={tmp_path.name}']
    words = [config, tmp_path / 'epoch.pth', out, '--work-dir', tmp_path / 'run']
    metrics = main(['store-map', *map(str, words), '--cfg-options', *options])
    assert 0 <= metrics['mIoU'] <= 100
    names = torch.load(out, weights_only=False)['meta']['dataset_meta']['classes']
    assert len(names) == 12 and {'field', 'forest'} < set(names)
