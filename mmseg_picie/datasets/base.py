"""What the data sets of this package share: keyed randomness, checked files, checked labels."""

import logging
import os.path as osp
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dist import all_gather_object
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs
from mmseg.registry import DATASETS
from numpy.typing import NDArray

from .image_files import (
    IMAGE_SUFFIXES,
    check_sample,
    decode_image,
    find_faults,
    find_images,
)
from .sampler import SampleKey
from .text_files import read_lines
from .transforms import (
    LoadImage,
    LoadRGAnnotations,
    PackPairedViews,
    PairedViews,
    RemapLabels,
    ResizeCenterCrop,
)

#: Marks, in a label look-up table, a value that a label map must not hold.
INVALID_LABEL = -1

#: What a data set may do about images that cannot be used.
ON_BAD_IMAGE = ('refuse', 'skip')
# So many of them are named.
_NAMED = 5
_checks = ContextVar('checks', default=True)


# Transforms that remember nothing and draw, if at all, from the generator of the item.
_INDEPENDENT = frozenset(
    [
        LoadAnnotations,
        LoadImage,
        LoadImageFromFile,
        LoadRGAnnotations,
        PackPairedViews,
        PackSegInputs,
        PairedViews,
        RemapLabels,
        ResizeCenterCrop,
    ]
)


@contextmanager
def unchecked_files() -> Iterator[None]:
    """Within, data sets are constructed without a look at their files, whatever they say."""
    token = _checks.set(False)
    try:
        yield
    finally:
        _checks.reset(token)


@DATASETS.register_module()
class KeyedSegDataset(BaseSegDataset):
    """A ``BaseSegDataset`` that hands its pipeline a generator keyed by seed, epoch and index.

    With :class:`EpochKeySampler` an item is asked for by a :class:`SampleKey`, and the pipeline
    finds ``results['rng']``. With any other sampler (evaluation) there is no such entry. A plain
    loop over the data set has the draws of seed 0 and epoch 0.

    Unlike its base it refuses bad input at once: a missing or empty folder, an unreadable image, a
    missing label map. Images may have any usual suffix and lie in nested folders. Without
    ``data_prefix.seg_map_path`` the data set is unlabelled.

    Subclasses may state :attr:`RAW_LABELS`, the class of each label value on disk, and
    :attr:`LABEL_CHANNELS` of their label maps.

    Args:
        ann_file (str): text file with one image name a line; all images of the folder if empty.
            Relative to ``data_root``.
        img_suffix (str, optional): ending of image names, such as ``.jpg`` or
            ``_leftImg8bit.png``; any usual suffix if None. Names in ``ann_file`` may leave it out.
        seg_map_suffix (str): ending of label maps, which are named as the images up to the ending.
        data_root (str, optional): prefix of all paths.
        data_prefix (dict, optional): folders ``img_path`` and, if labelled, ``seg_map_path``.
        metainfo (dict, optional): replaces entries of ``METAINFO``; ``classes`` may be a subset.
        pipeline (Sequence[dict or Callable]): transforms.
        test_mode (bool): kept for mmseg; nothing depends on it here.
        indices (int or Sequence[int], optional): part of the images, as in ``BaseDataset``.
        serialize_data (bool): as in ``BaseDataset``.
        lazy_init (bool): as in ``BaseDataset``.
        check_files (bool): whether to look at every file on construction.
        on_bad_image (str): what to do about an image that is missing or cannot be read, or whose
            label map is or cannot: ``refuse`` it, or ``skip`` it with a warning. What one rank
            cannot read is left out on all.

    Raises:
        FileNotFoundError: If a folder, list, image or label map is missing.
        ValueError: If an image or label map cannot be read (the message names it) or all are to be
            left out, the list is empty, ``data_prefix`` is misspelt or names no folder, or
            ``on_bad_image`` is another word, or ``skip`` without ``check_files``.
    """

    #: Says that items may be asked for by :class:`SampleKey`.
    takes_sample_keys = True

    #: Class of each label value on disk, or :data:`INVALID_LABEL`; values from its length on are
    #: invalid, except 255.
    RAW_LABELS: Sequence[int] | None = None

    #: Channels of the label maps on disk: 1, or 3 where :class:`LoadRGAnnotations` reads them.
    LABEL_CHANNELS = 1

    def __init__(
        self,
        ann_file: str = '',
        img_suffix: str | None = None,
        seg_map_suffix: str = '.png',
        data_root: str | None = None,
        data_prefix: dict[str, str] | None = None,
        metainfo: dict | None = None,
        pipeline: Sequence[dict | Callable] = (),
        test_mode: bool = False,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        lazy_init: bool = False,
        check_files: bool = True,
        on_bad_image: str = 'refuse',
    ) -> None:
        if on_bad_image not in ON_BAD_IMAGE:
            raise ValueError(
                f'on_bad_image of the dataset must be one of {", ".join(ON_BAD_IMAGE)}, but got '
                f'{on_bad_image!r}.'
            )
        if on_bad_image == 'skip' and not check_files:
            raise ValueError(
                "on_bad_image='skip' of the dataset needs check_files=True, as files that nothing "
                'looks at cannot be left out; remove check_files=False.'
            )
        unknown = set(data_prefix or ()) - {'img_path', 'seg_map_path'}
        if unknown:
            raise ValueError(
                f'data_prefix takes img_path and seg_map_path, but got {", ".join(sorted(unknown))}'
                '; correct the name.'
            )
        self.check_files, self.on_bad_image = check_files, on_bad_image
        super().__init__(
            ann_file=ann_file,
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            data_root=data_root,
            data_prefix=dict(img_path='') | dict(data_prefix or {}),
            metainfo=metainfo,
            pipeline=list(pipeline),
            test_mode=test_mode,
            indices=indices,
            serialize_data=serialize_data,
            lazy_init=lazy_init,
        )
        self._metainfo['image_folder'] = self.data_prefix['img_path']
        # Not stored with every sample, as mmseg's label_map is: it may have hundreds of entries.
        self.label_lut = self._make_label_lut()
        if self.label_map and 'groups' in self._metainfo and 'groups' not in (metainfo or ()):
            self._renumber_groups(self.label_map)

    def load_data_list(self) -> list[dict]:
        """List images and label maps.

        Returns:
            list[dict]: one entry an image, with ``img_path`` and perhaps ``seg_map_path``.
        """
        img_dir = self.data_prefix['img_path']
        seg_dir = self.data_prefix.get('seg_map_path')
        data_list = []
        for name in self._image_names(img_dir):
            info: dict[str, Any] = dict(
                img_path=osp.join(img_dir, name),
                label_map=None,
                reduce_zero_label=False,
                seg_fields=[],
            )
            if seg_dir is not None:
                info['seg_map_path'] = osp.join(seg_dir, self._stem(name) + self.seg_map_suffix)
            data_list.append(info)
        if self.check_files and _checks.get():
            return self._check_files(data_list)
        return data_list

    def _image_names(self, img_dir: str) -> list[str]:
        """Names of the images, relative to their folder, with suffix."""
        if not self.ann_file:
            if not img_dir:
                raise ValueError(
                    'data_root or data_prefix.img_path of the dataset must name a folder of '
                    'images, but neither is set.'
                )
            return find_images(img_dir, (self.img_suffix,) if self.img_suffix else IMAGE_SUFFIXES)
        if not osp.isfile(self.ann_file):
            raise FileNotFoundError(
                f'image list {self.ann_file} does not exist; set ann_file of the dataset to a text '
                "file with one image name a line, or to '' to use the whole folder."
            )
        names = read_lines(self.ann_file)
        suffix = self.img_suffix or ''
        return [name if name.lower().endswith(suffix.lower()) else name + suffix for name in names]

    def _stem(self, name: str) -> str:
        """What an image and its label map have in common in their names."""
        return name[: -len(self.img_suffix)] if self.img_suffix else osp.splitext(name)[0]

    def find_bad_samples(self, data_list: Sequence[dict]) -> Iterable[Exception | None]:
        """Look at the files of entries, by the rule of :mod:`.image_reading`.

        Args:
            data_list (Sequence[dict]): of :meth:`load_data_list`.

        Yields:
            Exception or None: what each is refused for, in their order.
        """
        stretches = [getattr(step, 'stretch', 'none') for step in self.pipeline.transforms]
        check = partial(
            check_sample,
            channels=self.LABEL_CHANNELS,
            stretch=next((name for name in stretches if name != 'none'), 'none'),
        )
        return find_faults(check, data_list)

    def _check_files(self, data_list: list[dict]) -> list[dict]:
        """Refuse missing and unreadable images and label maps, naming the first, or leave out."""
        bad: dict[int, str] = {}
        for index, error in enumerate(self.find_bad_samples(data_list)):
            if error is not None:
                if self.on_bad_image == 'refuse':
                    raise error
                bad[index] = str(error)
        if self.on_bad_image == 'skip':
            # A disk may fail on one machine alone, and ranks must agree on what an index means.
            for others in all_gather_object(bad):
                bad = others | bad
        if not bad:
            return data_list
        named = ' '.join(bad[index] for index in sorted(bad)[:_NAMED])
        number = f'{len(bad):,} of {len(data_list):,} images'
        if len(bad) == len(data_list):
            raise ValueError(f'on_bad_image of the dataset would leave out all {number}: {named}')
        text = f'left out {number} that cannot be used: {named}'
        if len(bad) > _NAMED:
            text += ' Further ones are named by picie check-data.'
        print_log(text, logger='current', level=logging.WARNING)
        return [info for index, info in enumerate(data_list) if index not in bad]

    def _make_label_lut(self) -> NDArray[np.int16]:
        """Class of each label value: (256,), :data:`INVALID_LABEL` where there is none."""
        raw = self.RAW_LABELS
        if raw is None:
            raw = range(len(self.METAINFO.get('classes') or self._metainfo.get('classes') or ()))
        lut = np.full(256, INVALID_LABEL, dtype=np.int16)
        lut[: len(raw)] = raw
        lut[self.ignore_index] = self.ignore_index
        if self.label_map:  # a subset of the classes was asked for
            subset = np.arange(256)
            subset[list(self.label_map)] = list(self.label_map.values())
            lut = np.where(lut == INVALID_LABEL, lut, subset[lut]).astype(np.int16)
        return lut

    def _renumber_groups(self, label_map: dict[int, int]) -> None:
        """Let the groups of classes follow the subset; a group that is left empty goes."""
        groups = {
            name: tuple(label_map[i] for i in members if label_map[i] != self.ignore_index)
            for name, members in self._metainfo['groups'].items()
        }
        self._metainfo['groups'] = {name: members for name, members in groups.items() if members}

    def get_data_info(self, idx: int) -> dict:
        """Entry of one image, with the look-up table of its labels."""
        info = super().get_data_info(idx)
        info['label_lut'] = self.label_lut
        return info

    def __getitem__(self, key: int | SampleKey) -> Any:
        """Load and transform one image.

        Args:
            key (int or SampleKey): index, or the key that the generator is made from.

        Returns:
            Any: what the pipeline returns.

        Raises:
            FileNotFoundError: If a file is gone; the message names it.
            ValueError: If a file cannot be read, or the pipeline returns None; likewise.
        """
        if not self._fully_initialized:
            self.full_init()
        index = key.sample_idx if isinstance(key, SampleKey) else key
        info = self.get_data_info(index)
        if isinstance(key, SampleKey):
            info['rng'] = key.rng()
        paths = [info[name] for name in ('img_path', 'seg_map_path') if name in info]
        try:
            data = self.pipeline(info)
        except Exception:
            # The words of decoders for a broken file do not name it. Files that Pillow would not
            # know (another loader's) and files that are in order leave the error as it is.
            for path in paths:
                if path.lower().endswith(IMAGE_SUFFIXES):
                    decode_image(path)
            raise
        if data is None:
            raise ValueError(
                f'the pipeline returned None for {paths[0]}; every transform must return results.'
            )
        return data

    def __iter__(self) -> Iterator[Any]:
        """Give the items one after the other, with the draws of seed 0 and epoch 0.

        No sampler asks for them then, but somebody who looks through the data, such as
        MMSegmentation's ``browse_dataset.py``.
        """
        for index in range(len(self)):
            yield self[SampleKey(0, 0, index)]

    @property
    def has_independent_items(self) -> bool:
        """Whether an item is a function of its key, so that several can be made side by side.

        That is known of a pipeline of this package's transforms and of mmseg's loaders and packers.
        Another transform might draw from a generator that all items share.
        """
        return all(type(transform) in _INDEPENDENT for transform in self.pipeline.transforms)
