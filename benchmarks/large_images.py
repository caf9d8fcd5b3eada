"""Memory and time of predicting large images: python benchmarks/large_images.py CONFIG.

Each case is a process of its own, with random weights and centroids. `base_mib` is the resident
memory once the model is there and the toolbox is imported; `peak_mib` the largest resident memory
of a prediction with all its files, above it. `whole` is mmseg's `inference_model` with an overlay,
which enlarges the logits of all clusters to the size of the file; it is left out beyond
`--most-whole` logits. `network` is the time of the forward passes of the same windows alone, and
`labels` that of labelling the image from its file; their ratio is the cost of reading, blending and
enlarging. `files` is the time of all, with writing and painting.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_picie.apis.file_labelling import Source
from mmseg_picie.apis.labelling import Labeller
from mmseg_picie.apis.prediction import predict_files
from mmseg_picie.datasets.image_strips import open_strips
from mmseg_picie.datasets.scenes import draw_scene
from mmseg_picie.models import PiCIE


def main(argv: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = common.make_parser(__doc__, repeats=1)
    common.add_config(parser)
    parser.add_argument('--images', nargs='+', default=['8000x6000'], metavar='WxH')
    parser.add_argument('--clusters', type=common.positive, nargs='+', default=[12, 100])
    parser.add_argument('--scales', nargs='+', default=['auto', 'full'], help='of picie predict')
    parser.add_argument('--suffix', default='.jpg', help='of the image file: .jpg, .png or .tif')
    parser.add_argument('--most-whole', type=float, default=0, help='logits of the whole way')
    args = parser.parse_args(argv)
    if args.quick:
        args.images, args.clusters, args.scales = ['300x200'], [3], ['full']
    (config,) = common.read_configs(args)
    header = common.make_header(args.seed)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.images:
            width, height = map(int, name.split('x'))
            path = Path(folder, f'{name}{args.suffix}')
            common.run_child(draw, path, height, width)
            for number in args.clusters:
                cases = list(args.scales)
                if number * width * height <= args.most_whole:
                    cases.append('whole')
                for case in cases:
                    rounds = [
                        common.run_child(measure, config, number, path, case, folder)
                        for _ in range(args.repeats)
                    ]
                    found = common.medians(rounds)
                    if 'network' in found:
                        found['ratio'] = found['labels'] / found['network']
                    rows.append(dict(image=name, K=number, scale=case, **found))
    names = list(dict.fromkeys(key for row in rows for key in row))
    rows = [{name: row.get(name) for name in names} for row in rows]
    common.publish(header, args.out, rows)


def draw(path: Path, height: int, width: int) -> None:
    """Write a picture of a scene, enlarged, with grain that no decoder finds easy."""
    scene = Image.fromarray(draw_scene(1, 0, 360, 480)[0])
    rng = np.random.default_rng(0)
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    step = max(1, (1 << 24) // width)
    for top in range(0, height, step):
        rows = min(step, height - top)
        box = (0, top / height * 360, 480, (top + rows) / height * 360)
        part = np.array(scene.resize((width, rows), box=box), dtype=np.int16)
        part += rng.integers(-8, 9, part.shape, dtype=np.int16)
        pixels[top : top + rows] = part.clip(0, 255)
    Image.MAX_IMAGE_PIXELS = None
    Image.fromarray(pixels).save(path, **({'tile': 256} if path.suffix == '.tif' else {}))


def measure(
    config: Config, num_clusters: int, path: Path, case: str, folder: str
) -> dict[str, float]:
    """Predict one image; seconds and MiB."""
    model = make_model(config, num_clusters)
    source, out = Source(str(path), path.stem), str(Path(folder, 'out'))
    warm = Path(folder, 'warm.png')
    Image.fromarray(draw_scene(1, 1, 64, 96)[0]).save(warm)
    predict_files(model, [Source(str(warm), 'warm')], out, scale='train')  # imports what is needed
    base = common.read_kib('/proc/self/status', 'VmRSS') / 1024
    if case == 'whole':
        seconds = common.seconds_of(lambda: predict_whole(model, path))
    else:
        seconds = common.seconds_of(lambda: predict_files(model, [source], out, scale=case))
    found = dict(base_mib=base, peak_mib=common.peak_mib() - base, files=seconds)
    if case != 'whole':
        found.update(time_parts(model, path, case))
    return found


def make_model(config: Config, num_clusters: int) -> PiCIE:
    """A model of a config with so many random centroids, ready to predict."""
    from mmseg.registry import MODELS

    common.register(config)
    config.model.decode_head.num_clusters = num_clusters
    if 'init_cfg' in config.model.backbone:  # weights are of no matter
        config.model.backbone.init_cfg = None
    torch.manual_seed(0)
    model = MODELS.build(config.model).eval().to(memory_format=torch.channels_last)
    head = model.decode_head
    head.set_centroids(
        torch.nn.functional.normalize(torch.randn_like(head.centroids), dim=-1),
        torch.ones_like(head.cluster_counts),
    )
    model.cfg = config
    return model


def predict_whole(model: PiCIE, path: Path) -> None:
    """As mmseg predicts and draws, with the logits of the whole image."""
    from mmseg.apis import inference_model
    from mmseg.visualization import SegLocalVisualizer

    model.most_logits = 1 << 62
    sample = inference_model(model, str(path))
    painter = SegLocalVisualizer(alpha=0.6)
    painter.dataset_meta = model.dataset_meta
    image = np.array(Image.open(path).convert('RGB'))
    painter.add_datasample('overlay', image, sample, draw_gt=False, with_labels=False)


def time_parts(model: PiCIE, path: Path, scale: str) -> dict[str, float]:
    """Seconds of labelling the image, and of the forward passes in it."""
    forward, spent = model.forward, 0.0

    def timed(*args: Any, **kwargs: Any) -> Any:
        nonlocal spent
        started = time.perf_counter()
        result = forward(*args, **kwargs)
        spent += time.perf_counter() - started
        return result

    labeller = Labeller(model, scale)
    model.forward = timed
    try:
        with open_strips(path) as strips:
            seconds = common.seconds_of(lambda: labeller.label_strips(strips))
    finally:
        model.forward = forward
    return dict(labels=seconds, network=spent)


if __name__ == '__main__':
    main()
