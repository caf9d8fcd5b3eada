"""Figures are written whole, whatever a file's name holds."""

import matplotlib
import pytest
from PIL import Image

from mmseg_picie.visualization.cluster_number_plot import draw_cluster_numbers
from mmseg_picie.visualization.figures import open_figure
from mmseg_picie.visualization.label_study_plot import draw_label_study

#: No formula, an unfinished one, a line end, and a byte that is no UTF-8.
NAMES = ['photos', 'photos $x^$', 'a$b_{$', 'two\nlines', 'byte \udcff']


@pytest.mark.parametrize('name', NAMES)
def test_titles_may_be_any_name_of_a_file(tmp_path, name):
    draw_cluster_numbers(
        tmp_path / 'k.png', [dict(K=4, stability=0.5), dict(K=8, stability=0.25)], 4, name
    )
    row = dict(init=name, num_images=3, mean=40.0, std=None)
    draw_label_study(tmp_path / 'labels.png', [row | dict(fraction=f) for f in (0.1, 1.0)], name)
    with open_figure([tmp_path / 'a.png', tmp_path / 'a.svg'], (3, 2), name) as figure:
        figure.subplots()
    for path in ('k.png', 'labels.png', 'a.png'):
        with Image.open(tmp_path / path) as image:
            image.load()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'a.png', 'a.svg', 'k.png', 'labels.png',
    ]  # fmt: skip


def test_the_backend_of_a_notebook_stays(tmp_path):
    before = matplotlib.get_backend()
    matplotlib.use('svg')
    try:
        draw_cluster_numbers(tmp_path / 'k.png', [dict(K=4, stability=0.5)], 4, 'photos')
        draw_label_study(
            tmp_path / 'l.png', [dict(init='a', fraction=1, num_images=3, mean=4, std=1)], 'x'
        )
        assert matplotlib.get_backend() == 'svg'
    finally:
        matplotlib.use(before)


def test_a_figure_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError), open_figure(tmp_path / 'a.png', (3, 2)):
        1 / 0  # noqa: B018
    assert not list(tmp_path.iterdir())
