"""Images per second on one core, from JPEG files to two packed views: python benchmarks/views.py.

The pipeline of a config, as its workers run it, is compared with the same chain written with Pillow
one operation at a time at the size of the base image, with the same draws: brightness, contrast and
saturation by ImageEnhance, hue through HSV, GaussianBlur, then crop, resize and flip. `difference`
is the mean absolute difference of the two chains' views in grey levels: they do the same work.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import common
import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmseg.registry import DATASETS
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor

from mmseg_picie.datasets import EpochKeySampler
from mmseg_picie.datasets.image_files import find_images
from mmseg_picie.datasets.scenes import draw_scene
from mmseg_picie.views import GeometricDraw, GeometricSpace, PhotometricDraw, PhotometricSpace

CONFIG = Path(__file__).resolve().parents[1] / 'configs/picie_fpn_efficientnet-lite0_camvid.py'
#: (height, width) of the files that are made.
FILE_SIZES = ((360, 480), (480, 640))
BILINEAR = Image.Resampling.BILINEAR


def main(argv: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = common.make_parser(__doc__, repeats=5)
    common.add_config(parser, nargs='?', default=str(CONFIG))
    parser.add_argument('--folder', type=Path, help='of images; without it, JPEG files are made')
    parser.add_argument('--images', type=common.positive, default=64, help='(default: %(default)s)')
    args = parser.parse_args(argv)
    if args.quick:
        args.images, args.repeats = 3, 1
    if args.folder and not args.folder.is_dir():
        parser.error(f'argument --folder: there is no folder {args.folder}; check the path')
    # One core, as in the worker of a data loader.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    header = common.make_header(args.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folders = [args.folder] if args.folder else make_files(Path(temporary), args)
        rows = [
            measure(config, folder, args)
            for folder in folders
            for config in common.read_configs(args)
        ]
    common.publish(header, args.out, rows)


def make_files(parent: Path, args: argparse.Namespace) -> list[Path]:
    """Write scenes as JPEG files of two sizes; the folder of each."""
    folders = []
    for height, width in FILE_SIZES:
        folder = parent / f'{width}x{height}'
        folder.mkdir()
        for index in range(args.images):
            image, _ = draw_scene(args.seed or 0, index, height, width)
            path = str(folder / f'{index:04d}.jpg')
            cv2.imwrite(path, image, [cv2.IMWRITE_JPEG_QUALITY, 95])
        folders.append(folder)
    return folders


def measure(config: Config, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One row: both chains over the same images and draws, in turn, with other draws each round."""
    common.register(config)
    dataset = DATASETS.build(
        dict(
            type='ImageFolderDataset',
            data_root=str(folder),
            pipeline=config.train_dataloader.dataset.pipeline,
            indices=min(args.images, len(find_images(str(folder)))),
        )
    )
    chain = PillowChain(config)
    sampler = EpochKeySampler(dataset, seed=args.seed or 0)

    def run(make: Callable[[Any], Any], epochs: list[int]) -> float:
        sampler.set_epoch(epochs.pop())
        return common.seconds_of(lambda: [make(key) for key in sampler])

    def pillow(key: Any) -> list[Tensor]:
        return chain(dataset.get_data_info(key.sample_idx)['img_path'], key.rng())

    differences = [
        (ours.float() - theirs.float()).abs().mean().item()
        for key in list(sampler)[:16]
        for ours, theirs in zip(dataset[key]['inputs'], pillow(key), strict=True)
    ]  # which warms both up as well
    ways = {'ours': dataset.__getitem__, 'pillow': pillow}
    runs = {name: partial(run, make, list(range(args.repeats))) for name, make in ways.items()}
    found = common.in_turn(runs, args.repeats)
    seconds = {name: statistics.median(times) / len(dataset) for name, times in found.items()}
    return dict(
        files=folder.name,
        base='x'.join(map(str, chain.base_size)),
        view=common.view_name(config),
        images=len(dataset),
        images_per_second=1 / seconds['ours'],
        pillow_images_per_second=1 / seconds['pillow'],
        times_faster=statistics.median(common.round_ratios(found['pillow'], found['ours'])),
        difference=statistics.mean(differences),
    )


class PillowChain:
    """Views of an image file by Pillow, as the ``PairedViews`` of a config defines them."""

    def __init__(self, config: Config) -> None:
        settings = next(common.transforms_of(config, 'PairedViews'))
        self.base_size = common.size_of(config, key='base_size', default=640)
        self.view_size = common.size_of(config)
        self.num_views = settings.get('num_views', 2)
        self.keep_ratio = settings.get('keep_ratio', True)
        photometric, geometric = settings.get('photometric', {}), settings.get('geometric', {})
        self.photometric = None if photometric is None else PhotometricSpace(**photometric)
        self.geometric = None if geometric is None else GeometricSpace(**geometric)

    def __call__(self, path: str, rng: np.random.Generator) -> list[Tensor]:
        """The views, (3, H, W) uint8 BGR."""
        draws = [
            self.photometric.draw(rng) if self.photometric else PhotometricDraw()
            for _ in range(self.num_views)
        ]
        geometry = self.geometric.draw(rng) if self.geometric else GeometricDraw()
        image, size = Image.open(path).convert('RGB'), self.base_size[::-1]
        fitted = ImageOps.fit(image, size, BILINEAR) if self.keep_ratio else None
        base = fitted or image.resize(size, BILINEAR)
        first, *others = (change_colours(base, draw) for draw in draws)
        views = [self._crop_flip(first, geometry)]
        views += [view.resize(self.view_size[::-1], BILINEAR) for view in others]
        return [
            torch.from_numpy(np.ascontiguousarray(np.asarray(view)[..., ::-1].transpose(2, 0, 1)))
            for view in views
        ]

    def _crop_flip(self, image: Image.Image, draw: GeometricDraw) -> Image.Image:
        width, height = image.size
        # Corners in whole pixels, as Pillow's crop has them.
        left, right = (round(x * width) for x in (draw.left, draw.left + draw.width))
        top, bottom = (round(y * height) for y in (draw.top, draw.top + draw.height))
        image = image.crop((left, top, right, bottom)).resize(self.view_size[::-1], BILINEAR)
        if draw.hflip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if draw.vflip:
            image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        return image


def change_colours(image: Image.Image, draw: PhotometricDraw) -> Image.Image:
    """One photometric draw, one operation after the other."""
    if draw.brightness is not None:
        image = ImageEnhance.Brightness(image).enhance(draw.brightness)
    if draw.contrast is not None:
        image = ImageEnhance.Contrast(image).enhance(draw.contrast)
    if draw.saturation is not None:
        image = ImageEnhance.Color(image).enhance(draw.saturation)
    if draw.hue is not None:
        hue, saturation, value = image.convert('HSV').split()
        shifted = np.asarray(hue) + np.uint8(int(draw.hue * 255) % 256)
        image = Image.merge('HSV', (Image.fromarray(shifted), saturation, value)).convert('RGB')
    if draw.grayscale:
        image = image.convert('L').convert('RGB')
    if draw.blur_sigma is not None:
        image = image.filter(ImageFilter.GaussianBlur(draw.blur_sigma))
    return image


if __name__ == '__main__':
    main()
