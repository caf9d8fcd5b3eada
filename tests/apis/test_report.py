"""Properties of a whole report of a tiny model, against mmseg's own inference."""

import base64
import json
import re
import zlib

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.apis import inference_model
from mmseg.registry import MODELS
from PIL import Image

from mmseg_picie.apis import report_images
from mmseg_picie.apis.prediction import find_sources, load_model, predict_files
from mmseg_picie.apis.report import write_report
from mmseg_picie.apis.report_images import see_images
from mmseg_picie.apis.report_labels import read_label_folder
from mmseg_picie.datasets.image_reading import read_image
from mmseg_picie.datasets.scenes.synthetic_scenes import draw_scene
from mmseg_picie.models import CentroidHead


@pytest.fixture
def load(tiny_config, tmp_path):
    """A tiny model with random centroids; keyword arguments change its head."""

    def make(**head):
        config = tiny_config()
        if 'type' in head:
            config.model.decode_head = dict(in_channels=16, num_clusters=9, **head)
        config.model.decode_head.update(head)
        init_default_scope('mmseg')
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        made = model.decode_head
        if isinstance(made, CentroidHead):
            made.set_centroids(
                torch.randn_like(made.centroids), torch.ones_like(made.cluster_counts)
            )
        torch.save(dict(meta={}, state_dict=model.state_dict()), tmp_path / 'fitted.pth')
        return load_model(config, str(tmp_path / 'fitted.pth'), 'cpu')

    return make


@pytest.fixture
def images(tmp_path):
    """Nine scenes of two sizes, and their label maps."""
    for number in range(9):
        image, labels = draw_scene(1, number, 64, 96 if number % 3 else 80)
        for folder, pixels in (('images', image[..., ::-1]), ('labels', labels)):
            path = tmp_path / folder / 'deep' / f'{number}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(pixels)).save(path)
    return tmp_path / 'images'


def read_page(path):
    """The data of a page, and the segments of its images."""
    data = json.loads(re.search('id="data">(.*?)</script>', path.read_text(), re.S)[1])
    segments = {
        image['name']: np.frombuffer(
            zlib.decompress(base64.b64decode(image['segments'])), np.uint8
        ).reshape(image['height'], image['width'])
        for image in data['images']
    }
    return data, segments


HEADS = {
    'paper': {},
    'merged': dict(centroids_per_cluster=3),
    'second view': dict(predict_views=(1, 0)),
    'IIC': dict(type='IICHead'),
    'DeepCluster': dict(type='DeepClusterHead'),
}


@pytest.mark.parametrize('head', HEADS)
def test_segments_are_those_of_mmsegs_inference(load, images, tmp_path, head):
    model = load(**HEADS[head])
    sources = find_sources([str(images)])
    done = write_report(tmp_path / 'report.html', model, sources)
    assert (done.num_images, done.num_shown, done.failures) == (9, 9, [])
    data, segments = read_page(done.path)
    counts = np.zeros(9)
    for source in sources:
        sample = inference_model(model, read_image(source.path))
        expected = sample.pred_sem_seg.data[0].numpy()
        assert np.array_equal(segments[source.name], expected)
        counts += np.bincount(expected.ravel(), minlength=9)
    page = done.path.read_text()
    for k, share in enumerate(counts / counts.sum()):
        told = re.search(f'id="cluster-{k}".*?<strong>([^<]*) %</strong> of all', page, re.S)[1]
        if share > 0.001:
            assert float(told) == pytest.approx(100 * share, abs=0.051 if share < 0.0995 else 0.51)


@pytest.mark.parametrize('kind', ['png', 'grey levels of 16 bits'])
def test_a_large_image_is_seen_as_finely_as_by_predict(load, tmp_path, kind):
    """The label map that `picie predict` writes, at the pixels of the picture."""
    image = draw_scene(1, 0, 400, 620)[0]
    path = tmp_path / 'large.png'
    if kind == 'png':
        Image.fromarray(image).save(path)
    else:
        Image.fromarray(image[..., 0].astype(np.uint16) * 100).save(path)
    model = load()
    model.cfg.test_pipeline[0].stretch = 'full'
    sources = find_sources([str(path)])
    predict_files(model, sources, str(tmp_path / 'out'), ids='cluster')
    with Image.open(tmp_path / 'out' / 'labels' / 'large.png') as file:
        expected = np.array(file.resize((480, 310), Image.Resampling.NEAREST))
    done = write_report(tmp_path / 'report.html', model, sources)
    found = read_page(done.path)[1]['large']
    assert np.array_equal(found, expected)
    coarse = inference_model(model, read_image(path, stretch='full')).pred_sem_seg.data[0]
    coarse = Image.fromarray(coarse.numpy().astype(np.uint8)).resize((480, 310), 0)
    assert (found != np.array(coarse)).mean() > 0.01  # which would be the training's size


def test_closeness_is_the_cosine_to_the_nearest_centroid_of_the_cluster(load, images):
    model = load(centroids_per_cluster=3)
    head = model.decode_head
    unit = torch.nn.functional.normalize(head.centroids[0], dim=1).numpy()
    merged = head.merged[0].numpy()
    for seen in see_images(model, find_sources([str(images)])):
        features = seen.features.numpy().transpose(1, 2, 0)
        cosines = features @ unit.T
        for (y, x), k in np.ndenumerate(seen.cells):
            assert seen.closeness[y, x] == pytest.approx(cosines[y, x, merged == k].max(), abs=1e-5)


def test_the_page_does_not_depend_on_batches(load, images, tmp_path, monkeypatch):
    model, sources = load(), find_sources([str(images)])
    pages = []
    for size in (1, 8):
        monkeypatch.setattr(report_images, 'BATCH_SIZE', size)
        path = write_report(tmp_path / f'{size}.html', model, sources).path
        pages.append(read_page(path)[0])
    assert pages[0]['images'] == pages[1]['images']


def test_clusters_that_were_predicted_before_are_taken(load, images, tmp_path):
    model, sources = load(), find_sources([str(images)])

    def predict(source):
        height, width = read_image(source.path).shape[:2]
        return np.where(np.arange(width) < width // 2, 3, 7)[None].repeat(height, 0)

    done = write_report(tmp_path / 'report.html', model, sources, predict=predict)
    _, segments = read_page(done.path)
    for found in segments.values():
        assert set(np.unique(found[:, : found.shape[1] // 2])) == {3}
        assert set(np.unique(found[:, found.shape[1] // 2 :])) == {7}


@pytest.mark.versions
def test_labels_give_classes_and_scores(load, images, tmp_path):
    model, sources = load(), find_sources([str(images)])
    labels = read_label_folder(images.parent / 'labels', sources, model.cfg)

    def predict(source):  # what is right, with other numbers
        return (labels.read(source).astype(int) + 4) % 9

    done = write_report(tmp_path / 'report.html', model, sources, labels=labels, predict=predict)
    page = done.path.read_text()
    assert re.findall('<dd>100.0 %</dd>', page) == ['<dd>100.0 %</dd>'] * 2
    card = re.search('<article[^>]*id="cluster-4".*?</article>', page, re.S)[0]
    assert (
        re.search('<span class="row-name">([^<]*)</span><span class="row-value">100 %', card)[1]
        == labels.classes[0]
    )


def test_images_that_cannot_be_read_are_told(load, images, tmp_path):
    (images / 'broken.png').write_bytes(b'no image')
    model = load()
    done = write_report(tmp_path / 'report.html', model, find_sources([str(images)]))
    assert done.num_images == 9 and len(done.failures) == 1
    assert 'broken.png' in done.path.read_text()
    with pytest.raises(ValueError, match=r'none of 1 images can be read.*broken\.png'):
        write_report(tmp_path / 'none.html', model, find_sources([str(images / 'broken.png')]))
    assert not (tmp_path / 'none.html').exists()


@pytest.mark.parametrize('size', [(1, 1), (2, 2), (700, 3), (33, 47)])
def test_a_single_image_of_any_size_has_a_report(load, tmp_path, size):
    Image.new('RGB', size, 'black').save(tmp_path / 'one.png')
    done = write_report(tmp_path / 'report.html', load(), find_sources([str(tmp_path / 'one.png')]))
    _, segments = read_page(done.path)
    height, width = segments['one'].shape
    assert max(height, width) <= 480 and (height, width) <= (size[1], size[0])


def test_more_images_than_are_shown_are_chosen_evenly(load, images, tmp_path, monkeypatch):
    monkeypatch.setattr('mmseg_picie.apis.report.NUM_SHOWN', 3)
    done = write_report(tmp_path / 'report.html', load(), find_sources([str(images)]))
    assert (done.num_images, done.num_shown) == (9, 3)
    assert list(read_page(done.path)[1]) == ['deep/0', 'deep/4', 'deep/8']
    assert '3 of 9 images, evenly chosen' in done.path.read_text()


def test_labels_of_another_size_or_class_are_refused(load, images, tmp_path):
    model, sources = load(), find_sources([str(images)])
    folder = images.parent / 'labels'
    Image.new('L', (5, 5)).save(folder / 'deep' / '0.png')
    labels = read_label_folder(folder, sources, model.cfg)
    with pytest.raises(ValueError, match='has 5 x 5 pixels'):
        write_report(tmp_path / 'report.html', model, sources, labels=labels)
    Image.new('L', (5, 5), 77).save(folder / 'deep' / '0.png')
    with pytest.raises(ValueError, match='holds the value 77'):
        labels.read(sources[0])
    (folder / 'classes.txt').write_text('a\nb\n')
    with pytest.raises(ValueError, match='none of the 2 classes'):
        read_label_folder(folder, sources, model.cfg).read(sources[0])
    with pytest.raises(FileNotFoundError, match='no label map of these images'):
        read_label_folder(tmp_path, sources, model.cfg)
