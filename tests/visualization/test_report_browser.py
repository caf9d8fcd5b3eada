"""The report page in a browser: it works, from the disk, for hands, eyes and screen readers."""

import json

import numpy as np
import pytest

from mmseg_picie.apis.cluster_names import Named, read_names
from mmseg_picie.clustering.naming import distinct_palette

pytestmark = pytest.mark.slow
#: Pixels of the side of a square.
SQUARE = 16
#: How bad a fault must be to count, in the words of axe-core.
SERIOUS = ('serious', 'critical')


def paint(page, index):
    """RGB of an image's segments as they are painted, as soon as they are."""
    canvas = f'document.querySelectorAll(".thumb canvas")[{index}]'
    page.locator('.thumb').nth(index).scroll_into_view_if_needed()
    page.wait_for_function(f'() => {canvas}.painted && {canvas}.width > 0')
    page.wait_for_timeout(100)
    pixels = page.evaluate(
        f'() => {{ const c = {canvas}; const copy = new OffscreenCanvas(c.width, c.height);'
        'const context = copy.getContext("2d"); context.drawImage(c, 0, 0);'
        'return [c.width, c.height, ...context.getImageData(0, 0, c.width, c.height).data]; }'
    )
    return np.array(pixels[2:], np.uint8).reshape(pixels[1], pixels[0], 4)[..., :3]


def save(page, tmp_path):
    """What the page saves, and the file."""
    with page.expect_download() as waiting:
        page.click('#save')
    assert waiting.value.suggested_filename == 'names.json'
    path = tmp_path / 'names.json'
    waiting.value.save_as(path)
    return json.loads(path.read_text()), path


def test_all_images_are_decoded(open_report, make_facts):
    page = open_report(make_facts())
    page.evaluate("() => document.querySelectorAll('img').forEach((i) => { i.loading = 'eager'; })")
    count = page.evaluate(
        "async () => { const all = [...document.querySelectorAll('img')].filter((i) => i.src);"
        'await Promise.all(all.map((i) => i.decode()));'
        'return all.filter((i) => i.complete && i.naturalWidth > 0).length; }'
    )
    assert count == 14 * (12 + 6 + 1) + 6


@pytest.mark.parametrize('num_clusters', [14, 300])
def test_segments_are_painted_in_the_colours_of_their_clusters(
    open_report, num_clusters, make_facts, squares
):
    page = open_report(make_facts(num_clusters, 3))
    page.uncheck('#patterns')
    expected = np.array(distinct_palette(num_clusters))[squares(2, num_clusters)]
    assert np.array_equal(paint(page, 2), expected)


def test_patterns_tell_clusters_of_like_colours_apart(open_report, make_facts):
    """The first twelve have none, and each dozen of those that follow has another."""
    facts = make_facts(48, 48)
    same = [cluster._replace(colour=(0, 114, 178)) for cluster in facts.clusters]
    page = open_report(facts._replace(clusters=same))
    squares_of = {}
    for k in (0, 12, 24, 36):
        squares_of[k] = paint(page, k)[:SQUARE, :SQUARE].tobytes()
    assert len(set(squares_of.values())) == 4


def test_typed_names_and_colours_are_shown_and_saved(open_report, tmp_path, make_facts):
    page = open_report(make_facts())
    page.fill('#name-3', '  tall  grass ')
    page.press('#name-3', 'Enter')
    page.fill('#colour-3', '#123456')
    page.dispatch_event('#colour-3', 'change')
    assert page.inner_text('#title-3').split('\n')[0].strip() == 'tall grass'
    assert page.inner_text('.sizes >> text=tall grass')
    assert 'tall grass' in page.inner_text('#filter')
    content, path = save(page, tmp_path)
    assert content == dict(
        format='mmseg_picie names',
        version=1,
        model='0123456789abcdef' * 4,
        view=0,
        clusters=[dict(id=3, name='tall grass', colour='#123456')],
    )
    assert read_names(path).clusters == {3: Named('tall grass', (0x12, 0x34, 0x56))}
    page.fill('#name-3', '')
    page.press('#name-3', 'Enter')
    assert save(page, tmp_path)[0]['clusters'] == [dict(id=3, name=None)]


def test_merged_clusters_look_and_count_as_one_until_they_are_separated(
    open_report, tmp_path, make_facts, squares
):
    page = open_report(make_facts())
    page.uncheck('#patterns')
    page.select_option('#merge-1', '4')
    merged = distinct_palette(14)
    merged[1] = merged[4]
    assert np.array_equal(paint(page, 0), np.array(merged)[squares(0, 14)])
    colour = '#' + bytes(merged[4]).hex()
    content, path = save(page, tmp_path)
    assert content['clusters'] == [dict(id=k, name='cluster 4', colour=colour) for k in (1, 4)]
    assert len(read_names(path).clusters) == 2
    page.fill('#name-6', 'cluster 4')  # by its name, too
    page.press('#name-6', 'Enter')
    entries = save(page, tmp_path)[0]['clusters']
    assert entries == [dict(id=k, name='cluster 4', colour=colour) for k in (1, 4, 6)]
    page.click('[data-join="8"]')  # with the most similar one
    assert [e['id'] for e in save(page, tmp_path)[0]['clusters']] == [1, 4, 6, 8, 9]
    page.click('#separate-8')
    assert page.input_value('#name-9') == ''
    page.click('#separate-4')  # after which the others were called
    page.click('#separate-1')
    assert np.array_equal(paint(page, 0), np.array(distinct_palette(14))[squares(0, 14)])
    entries = save(page, tmp_path)[0]['clusters']
    assert entries == [dict(id=k, name=None) for k in (1, 4, 6, 8, 9)]


def test_two_names_of_one_colour_are_not_saved(open_report, make_facts):
    page = open_report(make_facts())
    page.fill('#name-2', 'road')
    page.press('#name-2', 'Enter')
    page.fill('#colour-2', '#' + bytes(distinct_palette(14)[5]).hex())
    page.dispatch_event('#colour-2', 'change')
    page.click('#save')
    assert 'same colour as' in page.inner_text('#status')
    assert page.evaluate('document.activeElement.id') == 'name-2'
    assert page.get_attribute('#name-2', 'aria-invalid') == 'true'


def test_images_go_on_by_the_keyboard(open_report, make_facts):
    page = open_report(make_facts())
    page.locator('.thumb').nth(1).focus()
    page.keyboard.press('Enter')
    title = page.locator('#viewer-title')
    assert title.inner_text() == 'folder/image 1'
    for key, expected in (('ArrowRight', 2), ('ArrowLeft', 1), ('ArrowLeft', 0), ('ArrowLeft', 5)):
        page.keyboard.press(key)
        assert title.inner_text() == f'folder/image {expected}'
    assert page.inner_text('#viewer-place') == '6 of 6'
    assert 'cluster 5 8.3 %' in page.get_attribute('#viewer-image', 'alt')
    page.keyboard.press('s')
    assert page.get_attribute('#toggle', 'aria-pressed') == 'false'
    assert (
        page.evaluate("getComputedStyle(document.getElementById('viewer-canvas')).opacity") == '0'
    )
    page.keyboard.press('Escape')
    assert not page.locator('#viewer').is_visible()
    focused = page.evaluate("document.activeElement.closest('li').dataset.image")
    assert focused == '5'


def test_the_filter_keeps_images_with_a_cluster_most_of_it_first(open_report, make_facts):
    facts = make_facts()
    page = open_report(facts)
    page.select_option('#filter', '13')
    kept = page.evaluate(
        "[...document.querySelectorAll('#gallery li:not([hidden])')].map((i) => +i.dataset.image)"
    )
    has = [i for i, image in enumerate(facts.images) if 13 in dict(image.shares)]
    assert kept == has and len(has) < 6
    assert page.inner_text('#shown').startswith(f'{len(has)} of 6 images')
    page.locator('.thumb:visible').first.click()
    assert page.inner_text('#pointed') == 'cluster 13'


def test_pointing_at_a_segment_tells_and_highlights_its_cluster(open_report, make_facts):
    page = open_report(make_facts())
    page.uncheck('#patterns')
    paint(page, 0)
    box = page.locator('.thumb canvas').first.bounding_box()
    page.mouse.move(box['x'] + box['width'] * 3 / 8, box['y'] + box['height'] / 6)
    assert page.locator('.caption').first.inner_text() == 'cluster 1'
    painted = paint(page, 0)
    inside = painted[2 : SQUARE - 2, SQUARE + 2 : 2 * SQUARE - 2]
    assert (inside == distinct_palette(14)[1]).all()
    assert painted[-5, 5].max() < 60  # the others fade


def test_a_segment_that_is_clicked_stays_highlighted(open_report, make_facts):
    page = open_report(make_facts())
    page.locator('.thumb').first.click()
    box = page.locator('#viewer-canvas').bounding_box()
    for pinned in (True, False):
        page.mouse.click(box['x'] + box['width'] * 3 / 8, box['y'] + box['height'] / 6)
        page.mouse.move(box['x'] + box['width'] / 2, box['y'] - 20)
        assert page.inner_text('#pointed') == ('cluster 1' if pinned else '')
        assert page.locator('.chip[aria-pressed=true]').all_inner_texts() == (
            ['cluster 1 8.3 %'] if pinned else []
        )


def test_a_telephone_scrolls_in_one_direction(open_report, make_facts):
    long = 'w' * 60
    facts = make_facts()
    named = [c._replace(name=long + str(c.cluster), share=1e-4) for c in facts.clusters]
    images = [image._replace(name=long * 2) for image in facts.images]
    facts = facts._replace(clusters=named, images=images, title=long)
    page = open_report(facts, width=360)
    assert page.evaluate('document.documentElement.scrollWidth') <= 360
    page.locator('.thumb').first.click()
    box = page.locator('#viewer').bounding_box()
    assert box['x'] >= 0 and box['x'] + box['width'] <= 360
    assert page.evaluate("document.getElementById('viewer').scrollWidth") <= 360


@pytest.mark.parametrize(('scheme', 'is_dark'), [('light', False), ('dark', True)])
def test_the_page_is_as_dark_as_the_reader_wishes(open_report, scheme, is_dark, make_facts):
    page = open_report(make_facts(), scheme=scheme)
    script = '((n) => getComputedStyle(document.body)[n].match(/[0-9]+/g).slice(0, 3).map(Number))'
    paper, ink = (sum(page.evaluate(f"{script}('{n}')")) for n in ('backgroundColor', 'color'))
    assert (paper < ink) == is_dark and abs(paper - ink) > 450


@pytest.mark.parametrize('width', [1280, 360])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_no_serious_fault_for_screen_readers(open_report, scheme, width, make_facts):
    axe = pytest.importorskip('axe_playwright_python.sync_playwright').Axe()
    page = open_report(make_facts(), width, scheme)
    page.evaluate("() => document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.select_option('#merge-1', '4')
    page.wait_for_timeout(400)
    for shows_an_image in (False, True):
        if shows_an_image:
            page.locator('.thumb').first.click()
            page.wait_for_timeout(200)
        found = axe.run(page).response['violations']
        faults = [(v['id'], v['nodes'][0]['html']) for v in found if v['impact'] in SERIOUS]
        assert faults == []


def test_every_field_has_a_label_and_every_heading_its_place(open_report, make_facts):
    page = open_report(make_facts())
    unlabelled = page.evaluate(
        "[...document.querySelectorAll('input, select')].filter((f) => !f.labels.length).length"
    )
    assert unlabelled == 0
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map((h) => Number(h.tagName[1]))"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))


def test_names_are_text_whatever_they_hold(open_report, tmp_path, make_facts):
    """Of files, clusters, classes and settings: nothing is run, and all is to be read."""
    evil = '</script><img src=x onerror="document.title=1"><script>document.title=2</script>{{0}}&'
    facts = make_facts()
    clusters = [c._replace(name=evil if c.cluster == 0 else '') for c in facts.clusters]
    clusters[1] = clusters[1]._replace(classes=[type(clusters[1].classes[0])(evil, 1.0)])
    images = [image._replace(name=evil) for image in facts.images]
    facts = facts._replace(
        title=evil, clusters=clusters, images=images, failures=[evil], settings={evil: evil}
    )
    page = open_report(facts)
    page.wait_for_timeout(200)
    assert page.title() == evil
    assert page.input_value('#name-0') == evil
    page.fill('#name-2', evil)
    page.press('#name-2', 'Enter')
    page.locator('.thumb').first.click()
    assert page.inner_text('#viewer-title') == evil
    assert page.locator('img[src=x]').count() == 0
