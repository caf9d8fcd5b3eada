"""A PiCIE run that takes seconds: few small scenes, a narrow network."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

ROOT = Path(__file__).parents[2]

TINY = """
_base_ = {base!r}
model = dict(
    frozen_dtype='float32',  # the same on every processor
    backbone=dict(base_channels=8, stem_channels=8),
    neck=dict(in_channels=(8, 16, 32, 64), out_channels=16),
    decode_head=dict(in_channels=16, num_clusters=9, predict_views=(0, 1)))
train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='PairedViews', base_size=(64, 96), view_size=(32, 48)),
    dict(type='PackPairedViews')]
test_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='LoadAnnotations'),
    dict(type='RemapLabels'),
    dict(type='ResizeCenterCrop', size=(32, 48)),
    dict(type='PackSegInputs')]
scenes = dict(scene_size=(64, 96))
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False,
    dataset=dict(num_images=20, pipeline=train_pipeline, **scenes))
val_dataloader = dict(
    batch_size=3, num_workers=0, persistent_workers=False,
    dataset=dict(num_images=7, pipeline=test_pipeline, **scenes))
test_dataloader = val_dataloader
default_hooks = dict(
    logger=dict(interval=1),
    clustering=dict(batch_size=4, num_init_batches=3, num_iters=5))
"""


@pytest.fixture
def tiny_config(tmp_path: Path) -> Callable[..., Config]:
    """Make the config of a tiny run; its work folder is below `tmp_path`."""

    def make(options: dict | None = None, name: str = 'tiny') -> Config:
        path = tmp_path / f'{name}.py'
        path.write_text(TINY.format(base=str(ROOT / 'configs' / 'picie_fpn_r18_scenes.py')))
        config = Config.fromfile(path)
        config.work_dir = str(tmp_path / name)
        # mmengine keeps one logger and one visualiser for each name.
        config.experiment_name = config.visualizer.name = f'{tmp_path.name}_{name}'
        config.merge_from_dict(options or {})
        config.dump(path)
        return config

    return make
