"""What the tests of this room share: small made files, and the scope of names."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    """Look names of transforms up in mmseg's registries first, as every config asks for."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture
def write_image() -> Callable[..., NDArray]:
    """Write a coloured image, smooth and different for every name; return it as (H, W, 3) RGB."""

    def write(path: Path, height: int = 24, width: int = 32) -> NDArray:
        rng = np.random.default_rng([ord(letter) for letter in path.name])
        coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        image = coarse.resize((width, height), Image.Resampling.BICUBIC)
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
        return np.asarray(Image.open(path).convert('RGB'))

    return write


@pytest.fixture
def write_labels() -> Callable[[Path, NDArray], NDArray]:
    """Write a label map of one 8-bit channel; return it."""

    def write(path: Path, labels: NDArray) -> NDArray:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels.astype(np.uint8)).save(path)
        return labels

    return write


@pytest.fixture
def root(tmp_path, write_image, write_labels) -> Path:
    """Four images in a folder and a nested one, with label maps of classes 0 to 10 and void."""
    for index, name in enumerate(('a', 'b', 'c/d', 'c/e')):
        write_image(tmp_path / 'images' / f'{name}.jpg')
        labels = (np.arange(24 * 32).reshape(24, 32) // 16 + index) % 12
        write_labels(tmp_path / 'labels' / f'{name}.png', np.where(labels == 11, 255, labels))
    return tmp_path
