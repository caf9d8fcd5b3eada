"""Proofs for `picie convert potsdam3` on small made scenes."""

from pathlib import Path

import numpy as np
import pytest
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from mmseg_picie.apis import convert_potsdam3 as converter
from mmseg_picie.cli import main
from mmseg_picie.datasets import Potsdam3Dataset, RemapLabels

#: ISPRS's colours of road, building, low vegetation, tree, car, clutter.
COLOURS = [(255,) * 3, (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0)]
SIDE, TILE = 32, 4  # at half the resolution 4 x 4 tiles

OPTIONS = converter.Options(tile=TILE)


@pytest.fixture
def src(tmp_path):
    """Two labelled scenes, one of them with four channels, and one that is passed over."""
    rng = np.random.default_rng(0)
    for folder in ('2_Ortho_RGB', '5_Labels'):
        (tmp_path / 'src' / folder).mkdir(parents=True)
    for scene in ('2_10', '6_7', '2_13'):
        image = rng.integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
        kind = 'RGBIR' if scene == '6_7' else 'RGB'
        picture = Image.fromarray(image, 'RGBX') if kind == 'RGBIR' else image[..., :3]
        picture = picture if kind == 'RGBIR' else Image.fromarray(picture)
        picture.save(tmp_path / f'src/2_Ortho_RGB/top_potsdam_{scene}_{kind}.tif')
        # Blocks of two, so that half the resolution keeps every id.
        ids = np.kron(rng.integers(0, 6, (SIDE // 2, SIDE // 2)), np.ones((2, 2), int))
        label = np.array(COLOURS, np.uint8)[ids]
        Image.fromarray(label).save(tmp_path / f'src/5_Labels/top_potsdam_{scene}_label.tif')
    return tmp_path / 'src'


def convert(src: Path, out: Path, options=OPTIONS, **more) -> dict[str, int]:
    return converter.convert(src, out, options, **more)


def refuse(error: type[Exception], src: Path, *words: str, **options) -> None:
    """Prove that scenes are refused in one sentence with these words, and nothing is left."""
    with pytest.raises(error) as caught:
        convert(src, src.parent / 'deep' / 'out', **options)
    message = str(caught.value)
    assert '\n' not in message
    for word in words:
        assert word in message
    assert sorted(path.name for path in src.parent.iterdir()) == ['src']


def assemble(out: Path, kind: str, scene: str, side: int = SIDE // 2 // TILE) -> np.ndarray:
    """Put the tiles of a scene together, of whichever split they are."""
    rows = []
    for row in range(side):
        paths = [
            next((out / kind).glob(f'*/{scene}_{row:02d}_{column:02d}.png'))
            for column in range(side)
        ]
        rows.append(np.concatenate([np.asarray(Image.open(path)) for path in paths], axis=1))
    return np.concatenate(rows)


def test_tiles_together_are_the_scene_at_half_the_resolution(src, tmp_path):
    out = tmp_path / 'deep' / 'potsdam3'
    assert convert(src, out) == {'train': 27, 'test': 5}  # 855 of 5400, of 32
    for scene, kind in (('2_10', 'RGB'), ('6_7', 'RGBIR')):
        pixels = np.asarray(Image.open(src / f'2_Ortho_RGB/top_potsdam_{scene}_{kind}.tif'))
        blocks = pixels[..., :3].astype(float).reshape(SIDE // 2, 2, SIDE // 2, 2, 3)
        found = assemble(out, 'images', scene)
        assert np.abs(found - blocks.mean((1, 3))).max() <= 0.5
        colours = np.asarray(Image.open(src / f'5_Labels/top_potsdam_{scene}_label.tif'))
        ids = assemble(out, 'annotations', scene)
        np.testing.assert_array_equal(np.array(COLOURS)[ids], colours[::2, ::2])
    assert {path.name for path in out.parent.iterdir()} == {'potsdam3'}


def test_every_tile_has_a_label_map_and_is_in_one_split_alone(src, tmp_path):
    convert(src, tmp_path / 'out')
    names = {}
    for split in ('train', 'test'):
        names[split], labels = (
            {path.name for path in (tmp_path / 'out' / kind / split).iterdir()}
            for kind in ('images', 'annotations')
        )
        assert names[split] == labels
    assert not names['train'] & names['test']
    assert names['train'] | names['test'] == {
        f'{scene}_{row:02d}_{column:02d}.png'
        for scene in ('2_10', '6_7')
        for row in range(4)
        for column in range(4)
    }


def test_output_is_what_the_data_set_reads(src, tmp_path):
    convert(src, tmp_path / 'out')
    dataset = Potsdam3Dataset(
        data_root=str(tmp_path / 'out'),
        data_prefix=dict(img_path='images/train', seg_map_path='annotations/train'),
        pipeline=[LoadAnnotations(), RemapLabels()],
    )
    assert len(dataset) == 27
    assert {value for item in dataset for value in np.unique(item['gt_seg_map'])} == {0, 1, 2}


def test_published_scenes_give_the_published_counts_and_always_the_same_split():
    assert len(converter.SCENES) == len(set(converter.SCENES)) == 24
    tiles = [f'{s}_{r:02d}_{c:02d}' for s in converter.SCENES for r in range(15) for c in range(15)]
    test = converter.draw_test_tiles(tiles)
    assert (len(tiles), len(test)) == (5400, 855)
    assert test == converter.draw_test_tiles(tiles)


def test_full_resolution_and_other_tiles_are_options(src, tmp_path):
    options = converter.Options(factor=1.0, tile=16)
    assert sum(convert(src, tmp_path / 'out', options).values()) == 8
    pixels = np.asarray(Image.open(src / '2_Ortho_RGB/top_potsdam_2_10_RGB.tif'))
    np.testing.assert_array_equal(assemble(tmp_path / 'out', 'images', '2_10', 2), pixels)


def test_listed_tiles_are_for_testing(src, tmp_path):
    (src / 'test.txt').write_text('2_10_00_03\n6_7_03_02.png\n')
    counts = convert(src, tmp_path / 'out', test_list=src / 'test.txt')
    assert counts == {'train': 30, 'test': 2}
    found = {path.name for path in (tmp_path / 'out/images/test').iterdir()}
    assert found == {'2_10_00_03.png', '6_7_03_02.png'}


def test_unknown_tile_in_the_list_is_refused(src):
    (src / 'test.txt').write_text('2_10_00_04\n')
    refuse(ValueError, src, 'test.txt', 'got 2_10_00_04', test_list=src / 'test.txt')


def test_other_counts_than_published_are_warned_about(src, tmp_path, caplog):
    convert(src, tmp_path / 'out')
    assert 'train has 27 images, the published split has 4545' in caplog.text
    assert 'test has 5 images, the published split has 855' in caplog.text


def test_folder_without_scenes_is_refused(src):
    for path in src.rglob('*.tif'):
        path.unlink()
    refuse(FileNotFoundError, src, str(src), 'has none')


def test_missing_folder_is_refused(src, tmp_path):
    with pytest.raises(FileNotFoundError, match='none is missing'):
        convert(tmp_path / 'none', tmp_path / 'out')


def test_scene_without_label_is_refused(src):
    (src / '5_Labels/top_potsdam_6_7_label.tif').unlink()
    refuse(FileNotFoundError, src, 'top_potsdam_6_7_RGBIR.tif', 'has no top_potsdam_6_7_label.tif')


def test_label_without_scene_is_refused(src):
    (src / '2_Ortho_RGB/top_potsdam_2_10_RGB.tif').rename(src / 'top_potsdam_2_10_IRRG.tif')
    refuse(FileNotFoundError, src, 'top_potsdam_2_10_label.tif', 'has no top_potsdam_2_10_RGB.tif')


def test_scene_that_is_there_twice_is_refused(src):
    path = src / '5_Labels/top_potsdam_6_7_label.tif'
    (src / 'again').mkdir()
    (src / 'again' / path.name).write_bytes(path.read_bytes())
    refuse(ValueError, src, str(path), str(src / 'again' / path.name), 'keep one')


@pytest.mark.parametrize('colour', [(0, 0, 0), (252, 255, 0)])
def test_unknown_colour_is_refused_with_file_and_colour(src, colour):
    path = src / '5_Labels/top_potsdam_6_7_label.tif'
    label = np.asarray(Image.open(path)).copy()
    label[5, 6] = colour
    Image.fromarray(label).save(path)
    refuse(ValueError, src, str(path), f'got {colour} in row 5, column 6')


def test_label_of_another_size_is_refused(src):
    path = src / '5_Labels/top_potsdam_6_7_label.tif'
    Image.open(path).crop((0, 0, 30, 32)).save(path)
    refuse(ValueError, src, str(path), '32 x 32', 'got 30 x 32')


def test_scene_that_is_no_whole_number_of_tiles_is_refused(src):
    options = converter.Options(tile=5)
    refuse(ValueError, src, 'top_potsdam_2_10_RGB.tif', 'becomes 16 x 16', options=options)


@pytest.mark.parametrize(
    'name', ['2_Ortho_RGB/top_potsdam_2_10_RGB.tif', '5_Labels/top_potsdam_2_10_label.tif']
)
@pytest.mark.parametrize('fault', ['cut', 'text', 'grey'])
def test_broken_file_is_refused(src, name, fault):
    path = src / name
    if fault == 'grey':
        Image.new('L', (SIDE, SIDE)).save(path)
    else:
        path.write_bytes(path.read_bytes()[:900] if fault == 'cut' else b'not an image')
    refuse(ValueError, src, str(path), 'three channels' if fault == 'grey' else 'cannot be read')


def test_used_folder_is_refused_and_kept_and_an_empty_one_is_filled(src, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    convert(src, out)
    (out / 'notes.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='OUT must be new or an empty folder'):
        convert(src, out)
    assert (out / 'notes.txt').read_text() == 'mine'


def test_command_line_reports_counts_and_errors_without_traceback(src, tmp_path, capsys):
    words = [str(src), str(tmp_path / 'out'), '--tile', '4']
    main(['convert', 'potsdam3', *words])
    assert '27 train, 5 test' in capsys.readouterr().out
    for more, message in (([], 'error: OUT must be new'), (['--factor', '0'], 'argument --factor')):
        with pytest.raises(SystemExit) as caught:
            main(['convert', 'potsdam3', *words, *more])
        assert caught.value.code == 2
        assert message in capsys.readouterr().err
