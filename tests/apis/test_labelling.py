"""What is labelled in batches, in windows and from files is what is labelled alone."""

import errno
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.apis import inference_model
from mmseg.registry import MODELS
from PIL import Image

from mmseg_picie.apis import file_labelling, overlays, result_files
from mmseg_picie.apis.file_labelling import Work
from mmseg_picie.apis.labelling import Labeller
from mmseg_picie.apis.prediction import Source, find_sources, predict_files
from mmseg_picie.apis.stretch_option import read_stretch, set_stretch
from mmseg_picie.cli import main
from mmseg_picie.datasets import image_strips
from mmseg_picie.datasets.image_reading import read_image
from mmseg_picie.datasets.scenes import draw_scene
from mmseg_picie.evaluation.label_files import make_ids


def draw(path, index=0, height=64, width=96) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_scene(1, index, height, width)[0]).save(path)


def read(path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_images_of_several_sizes_are_labelled_as_one_by_one(model, tmp_path):
    sizes = [(64, 96), (96, 64), (64, 96), (50, 50), (33, 120)]
    for index in range(11):
        draw(tmp_path / 'in' / f'{index}.png', index, *sizes[index % len(sizes)])
    sources = find_sources([str(tmp_path / 'in')])
    done = predict_files(model, sources, str(tmp_path / 'out'))
    assert done.failures == []
    counts = np.zeros(9)
    for source in sources:
        expected = inference_model(model, read_image(source.path)).pred_sem_seg.data[0].numpy()
        found = read(tmp_path / 'out' / 'labels' / f'{source.name}.png')
        assert found.dtype == np.uint8 and found.shape == expected.shape
        assert (found != expected).mean() < 0.005  # sums of another order
        counts += np.bincount(found.ravel(), minlength=9)
        height, width = found.shape
        overlay = read(tmp_path / 'out' / 'overlays' / f'{source.name}.png')
        assert overlay.shape[0] >= height and overlay.shape[1] >= width
    legend = json.loads(done.legend.read_text())
    for number, share in enumerate(counts / counts.sum()):
        assert legend[str(number)]['share'] == pytest.approx(share, abs=1e-6)


def test_an_array_is_labelled_as_its_file(model, tmp_path):
    draw(tmp_path / 'image.png', 0, 200, 240)
    image = read_image(tmp_path / 'image.png')
    for scale in ('auto', 'train', '0.5', 'full'):
        out = tmp_path / scale
        predict_files(model, [Source(str(tmp_path / 'image.png'), 'a')], str(out), scale=scale)
        found = Labeller(model, scale).label(image)
        np.testing.assert_array_equal(found, read(out / 'labels' / 'a.png'))
    wide = image.astype(np.uint16) * 256
    assert Labeller(model).label(wide, stretch='percentile').shape == (200, 240)


@pytest.mark.parametrize('size', [(1, 1), (1, 700), (700, 1), (33, 250), (257, 129)])
@pytest.mark.parametrize('scale', ['full', '4', '0.3', '40px'])
def test_images_of_any_shape_are_labelled_in_windows(model, size, scale):
    image = np.full((*size, 3), 99, np.uint8)
    labels = Labeller(model, scale).label(image)
    assert labels.shape == size and labels.max() < 9


def test_many_clusters_have_wide_labels(tiny_config):
    config = tiny_config(dict(model=dict(decode_head=dict(num_clusters=300))))
    init_default_scope('mmseg')
    model = MODELS.build(config.model).eval()
    head = model.decode_head
    head.set_centroids(torch.randn_like(head.centroids), torch.ones_like(head.cluster_counts))
    model.cfg = config
    image = draw_scene(1, 0, 64, 96)[0]
    usual = int(np.bincount(Labeller(model).label(image).ravel()).argmax())
    head.centroids[:, 280] = 9 * head.centroids[:, usual]
    for scale in ('train', 'full'):
        labels = Labeller(model, scale).label(image)
        assert labels.dtype == np.uint16 and labels.max() == 280


def test_scales_are_refused_where_the_size_of_the_training_is_unknown(model):
    model.cfg.test_pipeline.insert(1, dict(type='Resize', scale=(48, 32), keep_ratio=True))
    assert Labeller(model).label(np.zeros((64, 96, 3), np.uint8)).shape == (64, 96)
    with pytest.raises(ValueError, match="scale must be auto or train, but is 'full'"):
        Labeller(model, 'full')


def test_a_crf_refuses_scales_and_images_that_are_too_large(model):
    model.crf = lambda pixels, logits: logits.softmax(0)
    with pytest.raises(ValueError, match='scale must be auto or train with model.crf'):
        Labeller(model, 'full')
    labeller = Labeller(model)
    image = draw_scene(1, 0, 200, 240)[0]
    assert labeller.label(image).shape == (200, 240)
    model.most_logits = 1000
    with pytest.raises(ValueError, match=r'one of 240 x 200 pixels by 9 clusters .*leave crf out'):
        labeller.label(image)


def test_a_run_is_taken_up_where_it_was_stopped(model, tmp_path):
    for index in range(4):
        draw(tmp_path / 'in' / f'{index}.png', index)
    sources, out = find_sources([str(tmp_path / 'in')]), tmp_path / 'out'
    whole = predict_files(model, sources, str(out)).legend.read_text()
    files = {path: path.stat().st_mtime_ns for path in out.glob('*/*.png')}
    (out / 'labels' / '1.png').unlink()
    (out / 'overlays' / '2.png').unlink()
    (out / 'labels' / '3.png').write_bytes(b'no image')
    again = predict_files(model, sources, str(out), resume=True).legend.read_text()
    assert again == whole
    fresh = {path.stem for path in files if path.stat().st_mtime_ns != files[path]}
    assert fresh == {'1', '2', '3'}


@pytest.fixture
def placed(tmp_path):
    """A GeoTIFF of 3 bands of 16 bits, and where it lies."""
    rasterio = pytest.importorskip('rasterio')
    transform = rasterio.transform.from_origin(500_000, 5_700_000, 0.2, 0.2)
    bands = draw_scene(1, 0, 200, 240)[0].transpose(2, 0, 1).astype(np.uint16) * 9
    profile = dict(driver='GTiff', count=3, height=200, width=240, dtype='uint16')
    path = tmp_path / 'in' / 'placed.tif'
    path.parent.mkdir()
    with rasterio.open(path, 'w', crs='EPSG:32633', transform=transform, **profile) as file:
        file.write(bands)
    return path, transform


def test_labels_of_a_geotiff_lie_where_it_does(model, tmp_path, placed):
    rasterio = pytest.importorskip('rasterio')
    path, transform = placed
    out = tmp_path / 'out'
    sources = find_sources([str(path.parent)])
    done = predict_files(model, sources, str(out), stretch='percentile')
    assert done.failures == []
    with rasterio.open(out / 'labels' / 'placed.tif') as file:
        assert file.crs.to_epsg() == 32633
        assert file.transform == transform
        assert file.profile['tiled'] and file.shape == (200, 240) and file.count == 1
        labels = file.read(1)
    image = read_image(path, stretch='percentile')
    np.testing.assert_array_equal(labels, Labeller(model, 'full').label(image))
    before = done.legend.read_text()
    again = predict_files(model, sources, str(out), stretch='percentile', resume=True)
    assert again.legend.read_text() == before


def test_a_large_file_is_labelled_in_parts_as_a_whole(model, tmp_path, monkeypatch):
    pytest.importorskip('rasterio')
    draw(tmp_path / 'image.png', 0, 200, 240)
    source = Source(str(tmp_path / 'image.png'), 'image')
    predict_files(model, [source], str(tmp_path / 'whole'), scale='full')
    monkeypatch.setattr(image_strips, 'MOST_WHOLE', 1000)
    monkeypatch.setattr(overlays, 'MOST_PIXELS', 200 * 240 // 4)
    predict_files(model, [source], str(tmp_path / 'parts'), scale='full')
    found, expected = (
        read(tmp_path / name / 'labels' / 'image.png') for name in ('parts', 'whole')
    )
    np.testing.assert_array_equal(found, expected)
    small = read(tmp_path / 'parts' / 'overlays' / 'image.png')
    assert small.shape[0] < 200 and small.shape[1] < 240


def test_one_option_lets_all_pipelines_of_a_config_stretch(tiny_config):
    config = tiny_config()
    assert read_stretch(config) == 'none'
    set_stretch(config, 'percentile')
    assert read_stretch(config) == 'percentile'
    for loader in (config.train_dataloader, config.val_dataloader):
        assert loader.dataset.pipeline[0]['stretch'] == 'percentile'
    with pytest.raises(ValueError, match='stretch must be one of'):
        set_stretch(config, 'wide')


def test_the_command_takes_scale_stretch_and_resume(model, tmp_path, capsys):
    torch.save(dict(meta={}, state_dict=model.state_dict()), tmp_path / 'fitted.pth')
    Image.fromarray(np.arange(6000, dtype=np.uint16).reshape(60, 100)).save(tmp_path / 'wide.tif')
    words = ['predict', str(tmp_path / 'tiny.py'), str(tmp_path / 'fitted.pth')]
    words += [str(tmp_path / 'wide.tif'), '--out-dir', str(tmp_path / 'out')]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 1
    assert '--stretch percentile' in capsys.readouterr().err
    for _ in range(2):
        main([*words, '--stretch', 'percentile', '--scale', '0.5', '--resume'])
        assert read(tmp_path / 'out' / 'labels' / 'wide.png').shape == (60, 100)
    with pytest.raises(SystemExit) as stop:
        main([*words, '--scale', 'half'])
    assert stop.value.code == 2
    assert '--scale: scale must be auto' in capsys.readouterr().err.splitlines()[-1]


def test_only_so_much_work_is_under_way(monkeypatch):
    monkeypatch.setattr(file_labelling, '_MOST_PIXELS', 10)
    threads = ThreadPoolExecutor(4)  # torch has one, where tests run on several processes
    monkeypatch.setattr(file_labelling, 'get_threads', lambda: threads)
    running, most, lock, results = 0, 0, threading.Lock(), []

    def call(value: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1
        return value

    work = Work(results.append)
    for value in range(1, 9):
        work.add(5, call, value)
    work.add(50, call, 9)  # larger than all that is allowed, so alone
    work.finish()
    assert results == list(range(1, 10))
    threads.shutdown()
    assert most == 2


@pytest.mark.parametrize('scale', ['train', 'full'])  # as a whole on a thread, and in windows
def test_results_that_cannot_be_written_stop_the_run(model, tmp_path, monkeypatch, scale):
    for index in range(2):
        draw(tmp_path / 'in' / f'{index}.png', index, 100, 150)

    def full(path: str, image: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device', path)

    monkeypatch.setattr(result_files, 'write_image', full)
    sources = find_sources([str(tmp_path / 'in')])
    with pytest.raises(OSError, match='No space left'):
        predict_files(model, sources, str(tmp_path / 'out'), scale=scale)
    assert not (tmp_path / 'out' / 'legend.json').exists()


def test_counts_of_results_that_threads_write_add_up(tmp_path):
    """Adding to an array is a read and a write; another thread may come between the two."""

    class Slow(np.ndarray):
        def __iadd__(self, other):
            total = np.add(self, other)
            time.sleep(0.02)
            self[...] = total
            return self

    painter = overlays.OverlayPainter('abcdefghi', [[0, 0, 0]] * 9, 0.5)
    writer = result_files.ResultWriter(str(tmp_path), make_ids(None, 9), painter)
    writer.counts = writer.counts.view(Slow)
    image, clusters = np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 3, np.uint8)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda name: writer.write(name, image, clusters), 'abcdefgh'))
    assert writer.counts[3] == writer.counts.sum() == 8 * 64
