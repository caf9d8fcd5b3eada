"""The order of images, and the key of every random choice about an image."""

import math
from collections.abc import Iterator, Sized
from typing import NamedTuple

import numpy as np
from mmengine.dist import get_dist_info
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import Sampler


class SampleKey(NamedTuple):
    """What determines every random choice about one image in one epoch.

    Attributes:
        seed (int): seed of the run, >= 0.
        epoch (int): epoch, from 0.
        sample_idx (int): index of the image in the data set.
    """

    seed: int
    epoch: int
    sample_idx: int

    def rng(self) -> np.random.Generator:
        """A generator that depends on this key alone."""
        return np.random.default_rng((self.seed, self.epoch, self.sample_idx))


@DATA_SAMPLERS.register_module()
class EpochKeySampler(Sampler[SampleKey]):
    """Yields :class:`SampleKey`, so that even persistent workers know the epoch.

    The order is a pure function of seed and epoch. Rank r of W takes the images at positions
    r, r + W, r + 2 W, ... of it, so a global batch holds the same images on any number of ranks.

    Args:
        dataset (Sized): data set to sample from.
        seed (int): seed of the run, >= 0. mmengine's runner passes ``randomness.seed``.
        shuffle (bool): whether the order is random.
        round_up (bool): whether to repeat images from the start until every rank has equally
            many, as mmengine's ``DefaultSampler`` does.
        num_samples (int, optional): use only this many images of the order, another choice each
            epoch if it is random; all by default.

    Raises:
        TypeError: If the data set does not take such keys.
        ValueError: If the seed is missing or negative, or ``num_samples`` is not positive.
    """

    def __init__(
        self,
        dataset: Sized,
        seed: int | None = None,
        shuffle: bool = True,
        round_up: bool = True,
        num_samples: int | None = None,
    ) -> None:
        if not getattr(dataset, 'takes_sample_keys', False):
            raise TypeError(
                'dataset of EpochKeySampler must be one of mmseg_picie (a KeyedSegDataset, such as '
                f'ImageFolderDataset), but is a {type(dataset).__name__}.'
            )
        if seed is None or seed < 0:
            raise ValueError(
                f'seed of EpochKeySampler must be an integer >= 0, but got {seed}; set '
                'randomness = dict(seed=0) in the config (without diff_rank_seed).'
            )
        if num_samples is not None and num_samples < 1:
            raise ValueError(f'num_samples must be at least 1 or None, but got {num_samples}.')
        self.size = min(len(dataset), num_samples or len(dataset))
        self.dataset = dataset
        self.seed = int(seed)
        self.shuffle = shuffle
        self.round_up = round_up
        self.epoch = 0
        self.rank, self.world_size = get_dist_info()

    def __iter__(self) -> Iterator[SampleKey]:
        order = np.arange(len(self.dataset))
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(order)
        order = order[: self.size]
        if self.round_up:
            order = np.resize(order, len(self) * self.world_size)
        for index in order[self.rank :: self.world_size]:
            yield SampleKey(self.seed, self.epoch, int(index))

    def __len__(self) -> int:
        """Number of images of this rank."""
        if self.round_up:
            return math.ceil(self.size / self.world_size)
        return len(range(self.rank, self.size, self.world_size))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0; called by mmengine before each epoch."""
        self.epoch = epoch
