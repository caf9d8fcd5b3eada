"""What `picie predict` refuses; what it writes is proven in test_end_to_end.py."""

import os

import mmengine.device.utils
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

from mmseg_picie.apis import prediction
from mmseg_picie.apis.prediction import find_sources
from mmseg_picie.cli import main
from mmseg_picie.datasets.scenes.synthetic_scenes import draw_scene
from mmseg_picie.launched import Rank
from mmseg_picie.visualization import SegmentVisualizer


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['{config}', 'none.pth', '{image}'], 'there is no checkpoint file none.pth'),
        (['{config}', '{checkpoint}', 'nowhere'], 'nowhere does not exist'),
        (['{config}', '{checkpoint}', '{empty}'], 'holds no image'),
        (['{config}', '{checkpoint}', '{image}'], 'holds no centroids'),
    ],
)
def test_predict_refuses_bad_input_in_one_sentence(
    tiny_config, tmp_path, capsys, arguments, message
):
    (tmp_path / 'empty').mkdir()
    Image.fromarray(draw_scene(1, 0, 64, 96)[0]).save(tmp_path / 'image.png')
    init_default_scope('mmseg')
    model = MODELS.build(tiny_config().model)
    torch.save(dict(meta={}, state_dict=model.state_dict()), tmp_path / 'fresh.pth')
    names = dict(
        config=tmp_path / 'tiny.py',
        checkpoint=tmp_path / 'fresh.pth',
        image=tmp_path / 'image.png',
        empty=tmp_path / 'empty',
    )
    words = [word.format(**names) for word in arguments]
    with pytest.raises(SystemExit) as stop:
        main(['predict', *words])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.fixture
def checkpoint(tiny_config, tmp_path) -> str:
    """Weights of a tiny model with random centroids."""
    init_default_scope('mmseg')
    model = MODELS.build(tiny_config().model)
    head = model.decode_head
    head.set_centroids(torch.randn_like(head.centroids), torch.ones_like(head.cluster_counts))
    path = tmp_path / 'fitted.pth'
    torch.save(dict(meta={}, state_dict=model.state_dict()), path)
    return str(path)


def test_images_that_cannot_be_read_are_named_and_the_others_are_segmented(
    checkpoint, tmp_path, capsys
):
    """Damaged, a named pipe, no image at all, and grey levels that nobody can place."""
    images, out = tmp_path / 'images', tmp_path / 'out'
    (images / 'deep').mkdir(parents=True)
    for name in ('a.png', 'deep/a.png', 'z.png'):
        Image.fromarray(draw_scene(1, 0, 64, 96)[0]).save(images / name)
    (images / 'broken.png').write_bytes((images / 'a.png').read_bytes()[:500])
    (images / 'text.jpg').write_text('hello')
    os.mkfifo(images / 'pipe.png')
    Image.new('I;16', (9, 9)).save(images / 'wide.png')
    words = ['predict', str(tmp_path / 'tiny.py'), checkpoint, str(images), '--out-dir', str(out)]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    for name in ('broken.png', 'text.jpg', 'pipe.png', 'wide.png'):
        assert any(name in line for line in lines)
    assert '4 of 7 images could not be read' in lines[-1]
    written = sorted(str(path.relative_to(out / 'labels')) for path in out.glob('labels/**/*.png'))
    assert written == ['a.png', 'deep/a.png', 'z.png']
    assert (out / 'legend.json').is_file()


@pytest.mark.versions
@pytest.mark.parametrize('size', [(1, 1), (8000, 1), (1, 8000), (33, 7)])
def test_images_of_any_shape_are_segmented(checkpoint, tmp_path, size):
    Image.new('RGB', size, 'white').save(tmp_path / 'odd.png')
    out = str(tmp_path / 'out')
    words = [str(tmp_path / 'tiny.py'), checkpoint, str(tmp_path / 'odd.png')]
    main(['predict', *words, '--out-dir', out])
    with Image.open(tmp_path / 'out' / 'labels' / 'odd.png') as image:
        assert image.size == size


def test_any_name_of_a_file_is_segmented(checkpoint, tmp_path):
    """Bytes that are no UTF-8, a line end, and 250 characters."""
    images = os.fsencode(tmp_path / 'images')
    os.mkdir(images)
    names = [b'\xff\xfe', b'two\nlines', b'x' * 246]
    for name in names:
        path = os.fsdecode(images + b'/' + name + b'.png')
        Image.fromarray(draw_scene(1, 0, 64, 96)[0]).save(path, 'PNG')
    words = [str(tmp_path / 'tiny.py'), checkpoint, os.fsdecode(images)]
    main(['predict', *words, '--out-dir', str(tmp_path / 'out')])
    written = os.listdir(os.fsencode(tmp_path / 'out' / 'labels'))
    assert sorted(written) == sorted(name + b'.png' for name in names)


def test_results_of_an_earlier_run_are_not_segmented(tmp_path):
    (tmp_path / 'out' / 'overlays').mkdir(parents=True)
    for name in ('image.png', 'out/overlays/image.png', 'out/other.png'):
        Image.fromarray(draw_scene(1, 0, 64, 96)[0]).save(tmp_path / name)
    sources = find_sources([str(tmp_path)], str(tmp_path / 'out'))
    assert [source.name for source in sources] == ['image', 'out/other']
    with pytest.raises(FileNotFoundError, match='overlays holds no image but results that were'):
        find_sources([str(tmp_path / 'out' / 'overlays')], str(tmp_path / 'out'))


def test_names_stand_inside_their_segments_where_these_are_widest():
    mask = np.zeros((40, 60), dtype=np.uint8)
    mask[:, :6] = 1  # a narrow stripe at the border
    mask[5:36, 20:51] = 1  # a square of 31 x 31: its centre is 15 pixels from its sides
    x, y = SegmentVisualizer()._get_center_loc(mask)
    assert (x, y) == (35, 20)
    mask[:] = 1
    x, y = SegmentVisualizer()._get_center_loc(mask)
    assert y in (19, 20) and 15 <= x <= 44


def test_segments_are_refined_and_outlined_on_request(tiny_config, tmp_path):
    """A CRF moves borders to edges of colours; outlines change the picture alone."""
    init_default_scope('mmseg')
    pytest.importorskip('pydensecrf')
    scene = draw_scene(1, 3, 64, 96)[0]
    Image.fromarray(scene[..., ::-1]).save(tmp_path / 'image.png')
    torch.manual_seed(0)
    model = MODELS.build(tiny_config().model).eval()
    with torch.no_grad():  # centroids of pixels, so that segments are many
        data = dict(inputs=[torch.from_numpy(scene.copy()).permute(2, 0, 1)])
        maps = model.extract_feat(model.data_preprocessor(data)['inputs'])
        pixels = model.decode_head.embed(maps)[0].flatten(1).T
    chosen = pixels[torch.linspace(0, len(pixels) - 1, 9).long()]
    model.decode_head.set_centroids(chosen.expand(2, -1, -1), torch.ones(2, 9, dtype=torch.int64))
    checkpoint = str(tmp_path / 'own.pth')
    torch.save(dict(meta={}, state_dict=model.state_dict()), checkpoint)
    words = ['predict', str(tmp_path / 'tiny.py'), checkpoint, str(tmp_path / 'image.png')]
    found = {}
    for options in ((), ('--refine', 'crf'), ('--outlines',)):
        out = tmp_path / '_'.join(['out', *options])
        main([*words, '--out-dir', str(out), *options])
        labels, overlay = (
            np.asarray(Image.open(out / kind / 'image.png')) for kind in ('labels', 'overlays')
        )
        assert labels.shape == (64, 96)
        found[options] = labels, overlay
    plain, refined, outlined = (found[key] for key in ((), ('--refine', 'crf'), ('--outlines',)))
    assert (refined[0] != plain[0]).any()

    image = np.asarray(Image.open(tmp_path / 'image.png')).astype(float)

    def contrast(labels):
        """Mean change of colour across the borders of segments."""
        changes = []
        for axis in (0, 1):
            border = np.diff(labels.astype(int), axis=axis) != 0
            changes.append(np.abs(np.diff(image, axis=axis)).mean(2)[border])
        return np.concatenate(changes).mean()

    assert contrast(refined[0]) > 1.1 * contrast(plain[0])
    assert np.array_equal(outlined[0], plain[0])
    assert (outlined[1][:64, :96] != plain[1][:64, :96]).any()


def test_an_overlay_has_a_legend_and_leaves_the_label_map_alone(checkpoint, tmp_path):
    Image.fromarray(draw_scene(1, 3, 64, 96)[0]).save(tmp_path / 'image.png')
    words = [str(tmp_path / 'tiny.py'), checkpoint, str(tmp_path / 'image.png')]
    main(['predict', *words, '--out-dir', str(tmp_path / 'out')])
    with Image.open(tmp_path / 'out' / 'overlays' / 'image.png') as overlay:
        assert overlay.width >= 96 and overlay.height > 64 + 11
        assert overlay.getpixel((overlay.width - 1, overlay.height - 1)) == (255, 255, 255)


@pytest.mark.parametrize(
    ('there', 'rank', 'chosen'),
    [
        ('cpu', None, 'cpu'),
        ('mps', None, 'mps'),
        ('cuda', None, 'cuda:0'),
        ('cuda', 3, 'cuda:1'),  # of two on this machine
    ],
)
def test_predictions_are_made_where_the_toolbox_trains(monkeypatch, there, rank, chosen):
    monkeypatch.setattr(mmengine.device.utils, 'DEVICE', there)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    found = None if rank is None else Rank(number=rank, size=4, local=rank)
    monkeypatch.setattr(prediction, 'find_rank', lambda: found)
    assert prediction.default_device() == chosen
