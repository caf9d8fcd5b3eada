"""Images per second on one core, from JPEG files to two packed views: python benchmarks/views.py.

The pipeline of a config, as its workers run it, is compared with the same chain written with Pillow
one operation at a time at the size of the base image, with the same draws: brightness, contrast and
saturation by ImageEnhance, hue through HSV, GaussianBlur, then crop, resize and flip. `difference`
is the mean absolute difference of the two chains' views in grey levels: they do the same work.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == '__main__':  # as a training does
    from start import restart_with_mimalloc

    restart_with_mimalloc()

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmseg.registry import DATASETS
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from report import add_output, in_turn, make_header, publish, seconds_of
from run_config import add_sizes, register, set_sizes, transforms_of
from torch import Tensor

from mmseg_picie.datasets import EpochKeySampler
from mmseg_picie.datasets.image_files import find_images
from mmseg_picie.datasets.synthetic_scenes import draw_scene
from mmseg_picie.datasets.transforms.sizes import to_size
from mmseg_picie.engine import cli
from mmseg_picie.engine.host import keep_freed_memory
from mmseg_picie.views import GeometricDraw, GeometricSpace, PhotometricDraw, PhotometricSpace

CONFIG = Path(__file__).resolve().parents[1] / 'configs/picie_fpn_efficientnet-lite0_camvid.py'
#: (height, width) of the files that are made.
FILE_SIZES = ((360, 480), (480, 640))


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure as the command line says.

    Args:
        argv: Words of the command line; None takes those of this process.

    Returns:
        The content of the JSON file.
    """
    args = parse_arguments(argv)
    # One core, as in the worker of a data loader.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    keep_freed_memory()  # as a training does
    config = cli.read_config(args.parser, args)
    register(config)
    header = make_header(args.seed)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folders = {'given': Path(args.folder)} if args.folder else make_files(temporary, args)
        for name, folder in folders.items():
            for sizes in args.sizes or [None]:
                sized = copy.deepcopy(config)
                set_sizes(sized, sizes)
                rows.append(dict(files=name, **measure(sized, folder, args)))
    return publish(header, rows, args.out)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; `parser` of the result reports later mistakes."""
    parser = argparse.ArgumentParser(description='Compare the making of views with Pillow.')
    parser.add_argument('config', nargs='?', default=str(CONFIG), help='(default: %(default)s)')
    parser.add_argument('--folder', help='of images; without it, JPEG files are made')
    parser.add_argument('--images', type=int, default=64, help='number (default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=5, help='rounds (default: %(default)s)')
    add_sizes(parser, several=True)
    parser.add_argument('--seed', type=int, default=0, help='(default: %(default)s)')
    add_output(parser, quick='few images, to try it out')
    cli.add_cfg_options(parser)
    args = cli.parse_args(parser, argv)
    args.parser = parser
    if args.quick:
        args.images, args.repeats = 3, 1
    for name in ('images', 'repeats'):
        if getattr(args, name) < 1:
            parser.error(f'argument --{name}: must be at least 1, but got {getattr(args, name)}')
    if args.folder and not Path(args.folder).is_dir():
        parser.error(f'argument --folder: there is no folder {args.folder}; check the path')
    return args


def make_files(temporary: str, args: argparse.Namespace) -> dict[str, Path]:
    """Write scenes as JPEG files of two sizes; the folder of each."""
    folders = {}
    for height, width in FILE_SIZES:
        folder = Path(temporary, f'{width}x{height}')
        folder.mkdir()
        for index in range(args.images):
            image, _ = draw_scene(args.seed, index, height, width)
            path = str(folder / f'{index:04d}.jpg')
            cv2.imwrite(path, image, [cv2.IMWRITE_JPEG_QUALITY, 95])
        folders[folder.name] = folder
    return folders


def measure(config: Config, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One row: both chains over the same images and draws, in turn, with other draws each round."""
    dataset = DATASETS.build(
        dict(
            type='ImageFolderDataset',
            data_root=str(folder),
            pipeline=config.train_dataloader.dataset.pipeline,
            indices=min(args.images, len(find_images(str(folder)))),
        )
    )
    settings = next(transforms_of(config, 'PairedViews'))
    chain = PillowChain(settings)
    sampler = EpochKeySampler(dataset, seed=args.seed)

    def run(make: Callable[[Any], Any], epochs: list[int]) -> float:
        sampler.set_epoch(epochs.pop())
        return seconds_of(lambda: [make(key) for key in sampler])

    def pillow(key: Any) -> list[Tensor]:
        return chain(dataset.get_data_info(key.sample_idx)['img_path'], key.rng())

    differences = [
        np.mean([np.abs(a.numpy().astype(float) - b.numpy()).mean() for a, b in pairs])
        for pairs in (
            zip(dataset[key]['inputs'], pillow(key), strict=True) for key in list(sampler)[:16]
        )
    ]  # which warms both up as well
    ways = {'mmseg_picie': dataset.__getitem__, 'pillow': pillow}
    found = in_turn(
        {name: partial(run, make, list(range(args.repeats))) for name, make in ways.items()},
        args.repeats,
    )
    ours, theirs = (statistics.median(found[name]) / len(dataset) for name in ways)
    return dict(
        base='x'.join(map(str, chain.base_size)),
        view='x'.join(map(str, chain.view_size)),
        images=len(dataset),
        repetitions=args.repeats,
        images_per_second=1 / ours,
        pillow_images_per_second=1 / theirs,
        ms_per_image=1e3 * ours,
        pillow_ms_per_image=1e3 * theirs,
        times_faster=theirs / ours,
        difference=float(np.mean(differences)),
    )


class PillowChain:
    """Views of an image file by Pillow, as :class:`PairedViews` defines them.

    Args:
        settings: Of the config's ``PairedViews``.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.base_size = to_size(settings.get('base_size', 640), 'base_size')
        self.view_size = to_size(settings.get('view_size', 320), 'view_size')
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
        image = Image.open(path).convert('RGB')
        size = self.base_size[::-1]
        if self.keep_ratio:
            base = ImageOps.fit(image, size, Image.Resampling.BILINEAR)
        else:
            base = image.resize(size, Image.Resampling.BILINEAR)
        first, *others = (change_colours(base, draw) for draw in draws)
        views = [self._crop_flip(first, geometry)]
        views += [v.resize(self.view_size[::-1], Image.Resampling.BILINEAR) for v in others]
        return [
            torch.from_numpy(np.ascontiguousarray(np.asarray(view)[..., ::-1].transpose(2, 0, 1)))
            for view in views
        ]

    def _crop_flip(self, image: Image.Image, draw: GeometricDraw) -> Image.Image:
        width, height = image.size
        # Corners in whole pixels, as Pillow's crop has them.
        left, right = (round(x * width) for x in (draw.left, draw.left + draw.width))
        top, bottom = (round(y * height) for y in (draw.top, draw.top + draw.height))
        image = image.crop((left, top, right, bottom))
        image = image.resize(self.view_size[::-1], Image.Resampling.BILINEAR)
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
