"""Centroids fitted afresh, on tiny data."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.runner import Runner

from mmseg_picie.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def trained(tiny_config, tmp_path):
    config = tiny_config({'train_cfg.max_epochs': 1})
    Runner.from_cfg(config).train()
    # A runner of the tool needs a name of its own.
    config.experiment_name = config.visualizer.name = f'{tmp_path.name}_fresh'
    config.dump(tmp_path / 'tiny.py')
    return tmp_path / 'tiny.py', Path(config.work_dir) / 'epoch_1.pth'


def test_fresh_centroids_are_the_means_of_what_they_attract(trained, tmp_path):
    """All 20 images go into the initial fit, so its centroids are a fixed point of Lloyd's."""
    config, checkpoint = trained
    out = tmp_path / 'fresh.pth'
    scores = main(
        [
            'fit-centroids',
            str(config),
            str(checkpoint),
            '--out',
            str(out),
            '--json',
            str(tmp_path / 'fresh.json'),
        ]
        + ['--work-dir', str(tmp_path / 'fit'), '--cfg-options']
        + ['default_hooks.clustering.num_init_batches=5', 'default_hooks.clustering.num_iters=100']
    )
    written = json.loads((tmp_path / 'fresh.json').read_text())
    assert written == {name: None if np.isnan(v) else v for name, v in scores.items()}
    old, new = (torch.load(path, weights_only=False) for path in (checkpoint, out))
    for key, value in old['state_dict'].items():
        changed = key in ('decode_head.centroids', 'decode_head.cluster_counts')
        if not changed and 'cluster_to_class' not in key:
            assert torch.equal(value, new['state_dict'][key]), key
    assert not torch.equal(
        old['state_dict']['decode_head.centroids'], new['state_dict']['decode_head.centroids']
    )
    assert 'optimizer' not in new

    from mmengine.config import Config

    from mmseg_picie.apis.fresh_centroids import without_augmentation

    cfg = without_augmentation(Config.fromfile(config))
    cfg.work_dir = str(tmp_path / 'check')
    cfg.experiment_name = cfg.visualizer.name = f'{tmp_path.name}_check'
    cfg.load_from = str(out)
    runner = Runner.from_cfg(cfg)
    runner.load_or_resume()
    model = runner.model.eval()
    head = model.decode_head
    assert torch.equal(head.centroids[0], head.centroids[1])
    points = []
    with torch.no_grad():
        for batch in runner.train_dataloader:
            data = model.data_preprocessor(batch)
            features = F.normalize(model.extract_feat(data['inputs'][1])[0], dim=1)
            points.append(features.permute(0, 2, 3, 1).reshape(-1, features.shape[1]))
    points = torch.cat(points)
    nearest = torch.cdist(points, head.centroids[0]).argmin(1)
    means = torch.stack([points[nearest == k].mean(0) for k in range(len(head.centroids[0]))])
    torch.testing.assert_close(means, head.centroids[0], rtol=0, atol=1e-3)
    counts = np.bincount(nearest, minlength=9)
    np.testing.assert_allclose(head.cluster_counts[0], counts, atol=5)
    # The checkpoint scores under its stored map what the tool reported.
    assert runner.test()['stored/mIoU'] == scores['mIoU']


def test_a_head_without_centroids_is_refused(tiny_config, tmp_path, capsys):
    config = tiny_config({'train_cfg.max_epochs': 1})
    config.model.decode_head = dict(type='IICHead', num_clusters=9, in_channels=16)
    config.dump(tmp_path / 'tiny.py')
    runner = Runner.from_cfg(config)
    path = tmp_path / 'iic.pth'
    torch.save(dict(meta={}, state_dict=runner.model.state_dict()), path)
    with pytest.raises(SystemExit):
        main(['fit-centroids', str(tmp_path / 'tiny.py'), str(path)])
    assert 'it is a IICHead' in capsys.readouterr().err
