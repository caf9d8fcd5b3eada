"""What is painted over a picture, and what its legend says."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_picie.visualization import SegmentVisualizer
from mmseg_picie.visualization.legend_band import Entry, add_legend, add_titles, list_entries
from mmseg_picie.visualization.lettering import measure_text, write_text
from mmseg_picie.visualization.segment_painting import (
    find_widest,
    paint_segments,
    text_size,
    write_names,
)
from mmseg_picie.visualization.segment_visualizer import paint_overlay

NAMES = ('sky', 'road', 'Bürgersteig', 'car')
PALETTE = [(200, 10, 30), (20, 220, 40), (0, 0, 255), (250, 250, 250)]
SIZES = [(1, 1), (1, 900), (900, 1), (33, 7), (160, 213), (700, 300), (1500, 2000)]


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def blocks(height, width, number=3):
    """Vertical stripes of ids."""
    return np.broadcast_to(np.arange(width) * number // width, (height, width)).copy()


@pytest.mark.parametrize('size', SIZES)
def test_segments_are_the_mean_of_picture_and_colours(size):
    image, ids = picture(*size), blocks(*size)
    painted = paint_segments(image, ids, PALETTE, 0.6)
    expected = 0.4 * image + 0.6 * np.array(PALETTE)[ids]
    assert np.abs(painted - expected).max() <= 0.5 + 1e-6


def test_ids_without_a_colour_are_dark():
    image = picture(20, 30)
    painted = paint_segments(image, np.full((20, 30), 255, np.uint8), PALETTE, 0.75)
    np.testing.assert_allclose(painted, image / 4, atol=0.51)


def test_strips_are_as_the_whole(monkeypatch):
    image, ids = picture(97, 120), np.random.default_rng(1).integers(0, 4, (97, 120))
    ids = cv2.resize(ids[:12, :15].astype(np.uint8), (120, 97), interpolation=cv2.INTER_NEAREST)
    module = 'mmseg_picie.visualization.segment_painting._AT_ONCE'
    whole = paint_segments(image, ids, PALETTE, 0.6, outlines=True)
    monkeypatch.setattr(module, 120 * 7)
    assert np.array_equal(paint_segments(image, ids, PALETTE, 0.6, outlines=True), whole)


def test_outlines_lie_between_segments_and_stand_out():
    image, ids = np.full((60, 90, 3), 128, np.uint8), blocks(60, 90)
    ids[:30] += 1
    plain = paint_segments(image, ids, PALETTE, 0.6)
    lined = paint_segments(image, ids, PALETTE, 0.6, outlines=True)
    drawn = (lined != plain).any(2)
    for y, x in np.argwhere(drawn):
        window = ids[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        assert len(np.unique(window)) > 1
        assert abs(int(lined[y, x, 0]) - float(plain[y, x].mean())) > 100
    # All borders, each in a line of one pixel: two vertical ones, and one across.
    assert drawn[:, 29].all() and drawn[:, 59].all() and drawn[29].all()
    assert drawn.sum() == 60 * 2 + 90 - 2


def changed(before, after):
    ys, xs = np.nonzero((before != after).any(2))
    return ys, xs


def test_a_name_stands_within_its_segment_if_it_fits():
    ids = np.zeros((240, 320), int)
    ids[20:120, 20:200] = 1
    ids[200:204] = 2  # too narrow for any name
    plain = np.full((240, 320, 3), 90, np.uint8)
    for number, fits in ((1, True), (2, False)):
        names = ['' if i != number else NAMES[i] for i in range(4)]
        named = plain.copy()
        write_names(named, ids, names)
        ys, xs = changed(plain, named)
        assert bool(len(ys)) == fits
        if fits:
            assert (ids[ys, xs] == number).all()


@pytest.mark.parametrize('size', SIZES)
def test_the_picture_stays_and_all_of_the_legend_is_on_paper(size):
    image = picture(*size)
    entries = [Entry(f'{name} 25 %', colour) for name, colour in zip(NAMES, PALETTE, strict=True)]
    made = add_legend(image, entries)
    height, width = size
    assert np.array_equal(made[:height, :width], image)
    outside = made.copy()
    outside[:height, :width] = 255
    # Each swatch is there once, with its colour and as large as letters.
    letters = text_size(image)
    for colour in PALETTE:
        ys, xs = np.nonzero((outside == colour).all(2))
        if colour != PALETTE[3]:
            assert len(ys) >= (letters - 2 * max(1, letters // 12)) ** 2
    # Nothing touches the edge of the canvas, so nothing is cut off.
    assert (outside[-1] == 255).all() and (outside[:, -1] == 255).all()
    assert letters >= 11


def test_the_legend_lies_below_what_is_wide_and_beside_what_is_high():
    entries = [Entry('road', (0, 0, 0))]
    assert add_legend(picture(200, 300), entries).shape[1] == 300
    assert add_legend(picture(300, 200), entries).shape[0] == 300
    assert add_legend(picture(30, 20), []).shape == (30, 20, 3)


def test_the_legend_names_what_is_in_the_picture_the_largest_first():
    ids = np.zeros((10, 20), int)
    ids[:, 5:] = 2
    ids[0, 0] = 1
    ids[5, :10] = 255
    entries = list_entries(ids, NAMES, PALETTE)
    assert [entry.text for entry in entries] == ['Bürgersteig 72 %', 'sky 22 %', 'road < 1 %']
    assert entries[0].colour == PALETTE[2]


def test_clusters_of_one_class_are_one_entry():
    entries = list_entries(
        np.array([[0, 1, 1, 2]]), ['a', 'a', 'b'], [PALETTE[0]] * 2 + PALETTE[1:2]
    )
    assert [entry.text for entry in entries] == ['a 75 %', 'b 25 %']


def test_letters_are_seen_on_any_ground_and_cut_at_edges():
    for ground in (0, 128, 255):
        sheet = np.full((40, 120, 3), ground, np.uint8)
        write_text(sheet, 'Größe', (5, 5), 20, (255, 255, 255), (0, 0, 0))
        assert sheet.min() == 0 and sheet.max() == 255
    for corner in ((-30, 5), (35, 100), (5, 200), (-100, -100)):
        write_text(sheet, 'Größe', corner, 20, (255, 255, 255))
    height, width = measure_text('Größe', 20)
    assert 20 <= height <= 30 and 40 < width < 80


@pytest.mark.parametrize('name', ['two\nlines', 'x' * 10**6, '\x1b[2J', '', '\u6c34'])
def test_any_name_is_shown_on_one_line(name):
    """Names come from files, which anybody may have written."""
    made = paint_overlay(picture(60, 90), blocks(60, 90, 1), [name], PALETTE[:1], 0.6)
    plain = paint_overlay(picture(60, 90), blocks(60, 90, 1), ['one'], PALETTE[:1], 0.6)
    assert made.shape[0] == plain.shape[0] and made.shape[1] < 1000


def test_titles_stand_above_their_pictures():
    images = [picture(100, 200, seed) for seed in (1, 2)]
    made = add_titles(images, ['first', 'second'], gap=4)
    head = made.shape[0] - 100
    assert np.array_equal(made[head:, :200], images[0])
    assert np.array_equal(made[head:, 204:], images[1])
    for left in (0, 204):
        xs = np.nonzero((made[:head, left : left + 200] < 128).any((0, 2)))[0]
        assert abs((xs[0] + xs[-1]) / 2 - 100) < 6


def test_mmsegs_visualiser_paints_in_the_same_way(tmp_path):
    visualizer = SegmentVisualizer(alpha=0.5, classes=NAMES, palette=PALETTE)
    visualizer.dataset_meta = dict(classes=NAMES, palette=PALETTE)
    image, ids = picture(120, 160), blocks(120, 160)
    ids[:4, :4] = 255
    sample = SegDataSample(pred_sem_seg=PixelData(data=torch.from_numpy(ids)[None]))
    found = []
    for with_labels in (False, True):
        # The file, as matplotlib before 3.11 moves what is on the canvas by part of a pixel.
        path = str(tmp_path / f'{with_labels}.png')
        visualizer.add_datasample(
            'x', image, sample, draw_gt=False, with_labels=with_labels, out_file=path
        )
        found.append(cv2.imread(path)[..., ::-1])
    table = np.array([*PALETTE, *[(0, 0, 0)] * 252])
    assert np.abs(found[0] - (0.5 * image + 0.5 * table[ids])).max() <= 0.51
    assert (found[1] != found[0]).any()


def test_the_widest_place_is_the_middle_of_a_block():
    mask = np.zeros((50, 60), np.uint8)
    mask[10:41, 20:51] = 1
    assert find_widest(mask) == ((25, 35), pytest.approx(16, rel=0.1))


def test_the_picture_of_the_demo_has_titles_and_a_legend(tmp_path: Path, monkeypatch):
    from mmseg_picie.apis import demo
    from mmseg_picie.apis.demo import compose_picture, write_scenes

    monkeypatch.setattr(demo, 'NUM_PLAIN', 0)
    monkeypatch.setattr(demo, 'NUM_LABELLED', demo.NUM_PICTURES)
    write_scenes(tmp_path, tmp_path / 'labels')
    made = compose_picture(tmp_path)
    scene = cv2.imread(str(tmp_path / 'labelled_00.png'))
    found = cv2.matchTemplate(made[:250, :260], scene, cv2.TM_SQDIFF)
    place = np.unravel_index(found.argmin(), found.shape)
    assert np.array_equal(made[place[0] : place[0] + 160, :240], scene)
    assert place[1] == 0 and place[0] > 10  # below a title
    assert made.shape[1] == 6 * 240 + 5 * 6
    assert made.shape[0] > place[0] + 4 * 160 + 10  # above a legend
