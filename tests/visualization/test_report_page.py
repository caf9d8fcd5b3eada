"""Properties of what goes into a report page: pictures, segments, plots, and the page as text."""

import base64
import hashlib
import io
import json
import re
import zlib

import numpy as np
import pytest
from PIL import Image

from mmseg_picie.printing import percent
from mmseg_picie.visualization.report import Curve, Line, charts, render_report
from mmseg_picie.visualization.report.page import duration
from mmseg_picie.visualization.report.pictures import (
    describe_places,
    encode_jpeg,
    encode_places,
    encode_segments,
    fit_within,
)


def content_of(uri, kind):
    start = f'data:{kind};base64,'
    assert uri.startswith(start)
    return base64.b64decode(uri.removeprefix(start), validate=True)


@pytest.mark.parametrize(('num_clusters', 'kind'), [(12, '<u1'), (256, '<u1'), (257, '<u2')])
def test_segments_come_back_as_they_were(num_clusters, kind):
    clusters = np.random.default_rng(0).integers(0, num_clusters, (31, 45))
    clusters[0, 0] = num_clusters - 1
    found = encode_segments(clusters, num_clusters, 10**6)
    values = np.frombuffer(zlib.decompress(base64.b64decode(found.text)), kind)
    assert np.array_equal(values.reshape(found.height, found.width), clusters)


@pytest.mark.parametrize('max_bytes', [20_000, 5_000])
def test_noise_is_made_smaller_until_it_fits(max_bytes):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (360, 480, 3)).astype(np.uint8)
    picture = encode_jpeg(noise, max_bytes)
    assert len(picture) <= max_bytes + 30
    with Image.open(io.BytesIO(content_of(picture, 'image/jpeg'))) as image:
        assert abs(image.width / image.height - 4 / 3) < 0.03
    segments = encode_segments(rng.integers(0, 12, (360, 480)), 12, max_bytes)
    assert len(segments.text) <= max_bytes
    assert abs(segments.width / segments.height - 4 / 3) < 0.03


@pytest.mark.parametrize(
    ('shape', 'expected'),
    [((960, 1280), (360, 480)), ((100, 50), (100, 50)), ((8000, 1), (480, 1)), ((1, 1), (1, 1))],
)
def test_pictures_keep_their_aspect_and_never_grow(shape, expected):
    assert fit_within(shape, 480) == expected


def test_places_are_as_opaque_as_they_are_frequent():
    shares = np.array([[0.0, 0.5], [1.0, 0.25]])
    with Image.open(io.BytesIO(content_of(encode_places(shares), 'image/png'))) as image:
        assert np.array_equal(np.array(image)[..., 3], [[0, 128], [255, 64]])


@pytest.mark.parametrize(
    ('rows', 'columns', 'words'),
    [
        (slice(0, 6), slice(None), 'top'),
        (slice(12, None), slice(16, None), 'bottom, right'),
        (slice(6, 12), slice(8, 16), 'middle, centre'),
        (slice(None), slice(0, 8), 'left'),
        (slice(None), slice(None), 'all over'),
    ],
)
def test_places_in_words(rows, columns, words):
    shares = np.zeros((18, 24))
    shares[rows, columns] = 1
    assert describe_places(shares) == words


@pytest.mark.parametrize(
    ('xs', 'ys'), [([1, 2, 3], [0.1, 5.0, 2.0]), ([7], [3.0]), ([0, 900], [0.0, 0.0])]
)
def test_points_lie_inside_of_the_axes_in_their_order(xs, ys):
    chart = charts.draw(Curve('Loss', 'step', [Line('loss', xs, ys)]))
    (line,) = chart.lines
    for x, y in line.points:
        assert charts.LEFT <= x <= charts.RIGHT and charts.TOP <= y <= charts.BOTTOM
    assert np.array_equal(np.argsort([-y for _, y in line.points]), np.argsort(ys))
    for tick in chart.y_ticks:
        assert charts.TOP <= tick.place <= charts.BOTTOM
    assert f'from {ys[0]:.4g} to {ys[-1]:.4g}' in chart.summary


def test_the_page_runs_its_own_script_only_and_loads_nothing(make_facts):
    page = render_report(make_facts())
    policy = re.search('Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; img-src data:;")
    (script,) = re.findall('<script>(.*?)</script>', page, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert not re.findall(r'https?:|@import|[^.\w]url\(|\son\w+="', page)


def test_the_same_facts_give_the_same_page(make_facts):
    assert render_report(make_facts()) == render_report(make_facts())


def test_data_of_the_page_are_the_facts(make_facts):
    facts = make_facts(5, 3)
    found = json.loads(re.search('id="data">(.*?)</script>', render_report(facts), re.S)[1])
    assert found['model'] == facts.model and found['names'] == [''] * 5
    assert [image['segments'] for image in found['images']] == [i.segments for i in facts.images]


def test_a_page_without_what_is_optional(make_facts):
    facts = make_facts(3, 1)._replace(num_images=1)
    bare = [c._replace(nearest=[], rim=[], mean_colour=None, places='', num_images=0,
                       neighbours=[], classes=[])
            for c in facts.clusters]  # fmt: skip
    page = render_report(
        facts._replace(
            clusters=bare, curves=[], scores={}, seconds={}, settings={}, findings=[], failures=[]
        )  # fmt: skip
    )
    assert 'Worth a look' not in page and 'No pixel of these images' in page
    assert 'All 1 image.' in page


@pytest.mark.parametrize(
    ('share', 'text'),
    [(0, '0 %'), (0.0004, '< 0.1 %'), (0.0342, '3.4 %'), (0.0996, '10 %'), (1, '100 %')],
)
def test_shares_for_people(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(0.2, '0.2 s'), (8.4, '8 s'), (59.7, '1 min 0 s'), (200, '3 min 20 s'), (7500, '2 h 5 min')],
)
def test_times_for_people(seconds, text):
    assert duration(seconds) == text
