"""Facts for a report page, and a browser to open it in."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mmseg_picie.clustering.naming import distinct_palette
from mmseg_picie.visualization.report import (
    ClassShare,
    ClusterFacts,
    Curve,
    Finding,
    ImageFacts,
    Line,
    Neighbour,
    Patch,
    ReportFacts,
    render_report,
)
from mmseg_picie.visualization.report.pictures import (
    encode_jpeg,
    encode_places,
    encode_segments,
)

#: Sides of the images, and of the squares of one cluster in them.
HEIGHT, WIDTH, SQUARE = 48, 64, 16


def _squares(number: int, num_clusters: int) -> NDArray[np.int64]:
    """Clusters of an image: 12 squares, of the cluster of the image's number and those after it."""
    rows = np.arange(HEIGHT)[:, None] // SQUARE
    columns = np.arange(WIDTH) // SQUARE
    return (number + rows * (WIDTH // SQUARE) + columns) % num_clusters


def _make_facts(num_clusters: int = 14, num_images: int = 6, **changes: Any) -> ReportFacts:
    """A report of squares; keyword arguments replace its facts."""
    rng = np.random.default_rng(0)
    palette = [tuple(colour) for colour in distinct_palette(num_clusters)]

    def patch(name: str) -> Patch:
        return Patch(encode_jpeg(rng.integers(0, 255, (40, 40, 3), np.uint8), 4000), name)

    images = []
    for number in range(num_images):
        clusters = _squares(number, num_clusters)
        found, counts = np.unique(clusters, return_counts=True)
        order = np.argsort(-counts, kind='stable')
        segments = encode_segments(clusters, num_clusters, 10**6)
        images.append(
            ImageFacts(
                f'folder/image {number}',
                encode_jpeg(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), 10**6),
                segments.width,
                segments.height,
                segments.text,
                [(int(found[i]), counts[i] / clusters.size) for i in order],
            )
        )
    clusters = [
        ClusterFacts(
            cluster=k,
            name='',
            colour=palette[k],
            own_colour=palette[k],
            share=1 / num_clusters,
            num_images=num_images,
            nearest=[patch(f'folder/image {i % num_images}') for i in range(12)],
            rim=[patch(f'folder/image {i % num_images}') for i in range(6)],
            mean_colour=(90, 120, 150),
            places=encode_places(rng.random((18, 24))),
            place_words='top',
            neighbours=[Neighbour((k + 1) % num_clusters, 0.87)],
            classes=[ClassShare('road', 0.75), ClassShare('sky', 0.25)],
        )
        for k in range(num_clusters)
    ]
    facts = ReportFacts(
        title='Segments of squares',
        num_images=1000,
        clusters=clusters,
        images=images,
        aspect=WIDTH / HEIGHT,
        model='0123456789abcdef' * 4,
        findings=[Finding('Collapsed', '{0} has 0.01 % of all pixels', 'Use fewer clusters.')],
        failures=['broken.jpg cannot be read as an image.'],
        curves=[
            Curve('Loss', 'iteration', [Line('loss', [5, 10, 15], [3.5, 3.2, 3.1])]),
            Curve('Scores in %', 'epoch', [Line('mIoU', [1], [30.0]), Line('aAcc', [1], [70.0])]),
        ],
        scores={'pixel accuracy': '70.1 %', 'mIoU': '30.0 %'},
        seconds={'training': 75.2, 'segmenting': 3.0},
        settings={'Seed': '1'},
        classes_of='the labelled images (6)',
    )
    return facts._replace(**changes)


@pytest.fixture(scope='session')
def squares() -> Callable[[int, int], NDArray[np.int64]]:
    """Clusters of an image of :func:`make_facts`, by its number and K."""
    return _squares


@pytest.fixture(scope='session')
def make_facts() -> Callable[..., ReportFacts]:
    """Make a report of squares; keyword arguments replace its facts."""
    return _make_facts


@pytest.fixture(scope='session')
def browser() -> Iterator[Any]:
    """Chromium without a window; tests are left out where there is none."""
    playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    path = (
        os.environ.get('CHROMIUM') or shutil.which('chromium') or shutil.which('chromium-browser')
    )
    if path is None:
        pytest.skip('there is no Chromium; install it, or name its program by CHROMIUM')
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=['--no-sandbox'])
        yield started
        started.close()


@pytest.fixture
def open_report(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open the report of facts from the disk; in the end nothing must have gone wrong in it."""
    wrong: list[str] = []
    contexts = []

    def note_request(request: Any) -> None:
        if not request.url.startswith(('file:', 'data:', 'blob:')):
            wrong.append(f'request of {request.url}')

    def open_page(facts: ReportFacts, width: int = 1280, scheme: str = 'light') -> Any:
        path = tmp_path / 'report.html'
        path.write_text(render_report(facts), 'utf-8')
        size = dict(width=width, height=860)
        context = browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.on('console', lambda message: wrong.append(message.text))
        page.on('pageerror', lambda error: wrong.append(str(error)))
        page.on('dialog', lambda dialog: dialog.accept())
        page.on('request', note_request)
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
