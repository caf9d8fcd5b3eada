"""K-means on frozen tokens of a vision transformer, as a script of a few lines would do it.

What PiCIE must beat: python benchmarks/dino_kmeans.py CONFIG --weights FILE. Images are those of
the config's data, resized to cover a square and cut to its centre. Tokens of the first training
images are brought to unit length and clustered by scikit-learn; each patch of a validation image
takes the cluster of its token. Scores are under the Hungarian match, means over seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import common
import numpy as np
import torch
from mmseg.registry import DATASETS
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from mmseg_picie.clustering import (
    class_scores,
    confusion_matrix,
    match_clusters,
    to_class_confusion,
)
from mmseg_picie.datasets.image_reading import read_image
from mmseg_picie.models import TIMMViT
from mmseg_picie.models.normalisation import IMAGENET
from mmseg_picie.views import cover

KINDS = {'patch': ('patch', False), 'patch, last norm': ('patch', True), 'key': ('key', False)}
BATCH = 8


def main(argv: Sequence[str] | None = None) -> None:
    """Score as the command line says."""
    parser = common.make_parser(__doc__)
    common.add_config(parser)
    parser.add_argument('--model', default='vit_small_patch14_dinov2.lvd142m', help="timm's name")
    parser.add_argument('--weights', default='timm', help='a file, timm to download them, or none')
    parser.add_argument('--blocks', type=int, nargs='+', default=[9, 12], help='from 1')
    parser.add_argument('--tokens', nargs='+', choices=KINDS, default=list(KINDS))
    parser.add_argument('--side', type=int, default=224, help='pixels of the square')
    parser.add_argument(
        '--images', type=int, default=300, help='training images that are clustered'
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    args = parser.parse_args(argv)
    if args.quick:
        args.images = 20
    (config,) = common.read_configs(args)
    common.register(config)
    header = common.make_header(args.seed)
    labels = list(read_labels(config, args.side))
    number = len(DATASETS.get(config.val_dataloader.dataset.type).METAINFO['classes'])
    rows = []
    for block in args.blocks:
        for name in args.tokens:
            tokens, norm = KINDS[name]
            weights = None if args.weights == 'none' else args.weights
            vit = TIMMViT(args.model, (block - 1,), norm, tokens, weights).eval()
            vit.init_weights()
            train, val = (
                make_tokens(vit, list_images(config[f'{split}_dataloader'], most), args.side)
                for split, most in (('train', args.images), ('val', None))
            )
            scores = [score(train, val, labels, number, seed) for seed in args.seeds]
            rows.append(dict(block=block, tokens=name, **summarise(scores)))
    common.publish(header, args.out, rows)


def list_images(loader: Any, most: int | None) -> list[str]:
    """The first images of a data set."""
    dataset = DATASETS.build(loader.dataset)
    total = len(dataset) if most is None else min(most, len(dataset))
    return [dataset.get_data_info(index)['img_path'] for index in range(total)]


def read_labels(config: Any, side: int) -> Iterator[NDArray]:
    """Label maps (side, side) of the validation."""
    for transform in common.transforms_of(config, 'ResizeCenterCrop'):
        transform['size'] = side
    for item in DATASETS.build(config.val_dataloader.dataset):
        yield item['data_samples'].gt_sem_seg.data[0].numpy()


@torch.no_grad()
def make_tokens(vit: TIMMViT, paths: list[str], side: int) -> NDArray:
    """Unit tokens (n, h, w, D) of images."""
    found = []
    for start in range(0, len(paths), BATCH):
        images = [cover(read_image(path), (side, side)) for path in paths[start : start + BATCH]]
        pixels = (np.stack(images)[..., ::-1] - np.array(IMAGENET[0])) / np.array(IMAGENET[1])
        (maps,) = vit(torch.from_numpy(pixels).float().permute(0, 3, 1, 2))
        found.append(torch.nn.functional.normalize(maps, dim=1).permute(0, 2, 3, 1).numpy())
    return np.concatenate(found)


def score(
    train: NDArray, val: NDArray, labels: list[NDArray], number: int, seed: int
) -> tuple[float, float]:
    """Accuracy and mIoU in percent of one fit, with as many clusters as classes."""
    kmeans = KMeans(number, n_init=1, random_state=seed).fit(train.reshape(-1, train.shape[-1]))
    clusters = kmeans.predict(val.reshape(-1, val.shape[-1])).reshape(val.shape[:3])
    confusion = np.zeros((number, number), np.int64)
    for found, wanted in zip(clusters, labels, strict=True):
        scale = wanted.shape[0] // found.shape[0]
        whole = found.repeat(scale, 0).repeat(scale, 1)
        confusion += confusion_matrix(wanted, whole, number, number, 255)
    scores = class_scores(to_class_confusion(confusion, match_clusters(confusion)))
    return 100 * scores.accuracy, 100 * scores.mean_iou


def summarise(scores: list[tuple[float, float]]) -> dict[str, float]:
    """Means and deviations over seeds."""
    row = {}
    for name, values in zip(('accuracy', 'mIoU'), zip(*scores, strict=True), strict=True):
        row[name] = statistics.mean(values)
        row[f'{name} dev'] = statistics.stdev(values) if len(values) > 1 else 0.0
    return row


if __name__ == '__main__':
    main()
