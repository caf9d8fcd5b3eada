"""From the public layout of each data set to scores, by the tools as a user would run them."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CONFIGS = Path(__file__).parents[2] / 'configs'

#: Config -> images that its small data have for training and evaluation, and the groups of classes
#: that are scored by themselves.
RUNS = {
    'picie_fpn_r18_cityscapes': (6, 6, {'things', 'stuff'}),
    'picie_fpn_r18_cocostuff': (6, 6, {'things', 'stuff'}),
    'picie_fpn_r18_cocostuff15-stuff': (6, 6, {'stuff'}),
    'picie_fpn_r18_cocostuff171': (7, 7, {'things', 'stuff'}),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', RUNS)
def test_data_are_checked_trained_on_and_scored(name, small_run, run_tool, tmp_path):
    config = tmp_path / f'{name}.py'
    small_run(CONFIGS / config.name).dump(config)
    num_train, num_val, groups = RUNS[name]

    checked = run_tool('check_data.py', config)
    assert f'train: {num_train} images (published: ' in checked.stdout
    assert f'val: {num_val} images with label maps (published: ' in checked.stdout

    run_tool('train.py', config)
    checkpoint = tmp_path / 'work' / 'epoch_1.pth'
    tested = run_tool('test.py', config, checkpoint)
    found = dict(re.findall(r'^([\w/]+): ([\d.]+|nan)$', tested.stdout, re.M))
    for score in ('aAcc', 'mIoU', 'mAcc', *(f'{group}/mIoU' for group in groups)):
        assert 0 <= float(found[score]) <= 100, score
    assert {key.partition('/')[0] for key in found if re.match('(things|stuff)/', key)} == groups


@pytest.mark.slow
def test_camvid_is_converted_trained_on_and_scored(small_run, run_tool, tmp_path):
    """From the SegNet tutorial's layout: SPLIT/*.png and SPLITannot/*.png, void 11."""
    config, data, source = tmp_path / 'camvid.py', tmp_path / 'data', tmp_path / 'source'
    small_run(CONFIGS / 'picie_fpn_r18_camvid.py').dump(config)
    for made, split in (('train', 'train'), ('val', 'val'), ('val', 'test')):
        shutil.copytree(data / 'images' / made, source / split)
        (source / f'{split}annot').mkdir()
        for path in (data / 'annotations' / made).iterdir():
            labels = np.array(Image.open(path))
            labels = np.where(labels == 255, 11, labels).astype(np.uint8)
            Image.fromarray(labels).save(source / f'{split}annot' / path.name)
    shutil.rmtree(data)
    converted = run_tool('dataset_converters/camvid.py', source, data)
    assert '6 train, 6 val, 6 test' in converted.stdout
    run_tool('train.py', config)
    tested = run_tool('test.py', config, tmp_path / 'work' / 'epoch_1.pth')
    for score in ('aAcc', 'stored/mIoU', 'things/mIoU', 'stuff/mIoU'):
        assert f'\n{score}: ' in tested.stdout


@pytest.mark.slow
def test_wrong_id_in_a_label_map_is_found_before_the_run(small_run, run_tool, tmp_path):
    config = tmp_path / 'config.py'
    small_run(CONFIGS / 'picie_fpn_r18_cityscapes.py').dump(config)
    path = max((tmp_path / 'data/gtFine/val').rglob('*_labelIds.png'))
    labels = np.array(Image.open(path))
    labels[0, 0] = 34
    Image.fromarray(labels).save(path)
    result = run_tool('check_data.py', config, check=False)
    assert result.returncode == 2
    assert f'{path} holds the value 34, ' in result.stderr.splitlines()[-1]
