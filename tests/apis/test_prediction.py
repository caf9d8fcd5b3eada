"""What `picie predict` refuses; what it writes is proven in test_end_to_end.py."""

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

from mmseg_picie.apis.prediction import find_sources
from mmseg_picie.cli import main
from mmseg_picie.datasets.scenes.synthetic_scenes import draw_scene
from mmseg_picie.engine import SegmentVisualizer


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['{config}', 'none.pth', '{image}'], 'there is no checkpoint file none.pth'),
        (['{config}', '{checkpoint}', 'nowhere'], 'nowhere does not exist'),
        (['{config}', '{checkpoint}', '{empty}'], 'holds no image'),
        (['{config}', '{checkpoint}', '{broken}'], 'broken.png cannot be read as an image'),
        (['{config}', '{checkpoint}', '{image}'], 'holds no centroids'),
    ],
)
def test_predict_refuses_bad_input_in_one_sentence(
    tiny_config, tmp_path, capsys, arguments, message
):
    (tmp_path / 'empty').mkdir()
    Image.fromarray(draw_scene(1, 0, 64, 96)[0]).save(tmp_path / 'image.png')
    (tmp_path / 'broken.png').write_bytes((tmp_path / 'image.png').read_bytes()[:500])
    init_default_scope('mmseg')
    model = MODELS.build(tiny_config().model)
    torch.save(dict(meta={}, state_dict=model.state_dict()), tmp_path / 'fresh.pth')
    names = dict(
        config=tmp_path / 'tiny.py',
        checkpoint=tmp_path / 'fresh.pth',
        image=tmp_path / 'image.png',
        broken=tmp_path / 'broken.png',
        empty=tmp_path / 'empty',
    )
    words = [word.format(**names) for word in arguments]
    with pytest.raises(SystemExit) as stop:
        main(['predict', *words])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_results_of_an_earlier_run_are_not_segmented(tmp_path):
    (tmp_path / 'out' / 'overlays').mkdir(parents=True)
    for name in ('image.png', 'out/overlays/image.png', 'out/other.png'):
        Image.fromarray(draw_scene(1, 0, 64, 96)[0]).save(tmp_path / name)
    sources = find_sources([str(tmp_path)], str(tmp_path / 'out'))
    assert [source.name for source in sources] == ['image', 'out/other']


def test_names_stand_inside_their_segments_where_these_are_widest():
    mask = np.zeros((40, 60), dtype=np.uint8)
    mask[:, :6] = 1  # a narrow stripe at the border
    mask[5:36, 20:51] = 1  # a square of 31 x 31: its centre is 15 pixels from its sides
    x, y = SegmentVisualizer()._get_center_loc(mask)
    assert (x, y) == (35, 20)
    mask[:] = 1
    x, y = SegmentVisualizer()._get_center_loc(mask)
    assert y in (19, 20) and 15 <= x <= 44
