"""What the data sets of this package share: keyed randomness, checked files, checked labels."""

import os.path as osp
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs
from mmseg.registry import DATASETS
from numpy.typing import NDArray

from .image_files import (
    IMAGE_SUFFIXES,
    check_images,
    check_label_maps,
    decode_image,
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


@DATASETS.register_module()
class KeyedSegDataset(BaseSegDataset):
    """A ``BaseSegDataset`` that hands its pipeline a generator keyed by seed, epoch and index.

    With :class:`EpochKeySampler` an item is asked for by a :class:`SampleKey`, and the pipeline
    finds ``results['rng']``. With any other sampler (evaluation) there is no such entry.

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

    Raises:
        FileNotFoundError: If a folder, list, image or label map is missing.
        ValueError: If an image or label map cannot be read (the message names it), the list is
            empty, or ``data_prefix`` is misspelt or names no folder.
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
    ) -> None:
        unknown = set(data_prefix or ()) - {'img_path', 'seg_map_path'}
        if unknown:
            raise ValueError(
                f'data_prefix takes img_path and seg_map_path, but got {", ".join(sorted(unknown))}'
                '; correct the name.'
            )
        self.check_files = check_files
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
        if self.check_files:
            self._check_files(data_list)
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

    def _check_files(self, data_list: list[dict]) -> None:
        """Refuse missing and unreadable images and label maps, naming the first."""
        check_images(info['img_path'] for info in data_list)
        labelled = [info for info in data_list if 'seg_map_path' in info]
        for info in labelled:
            if not osp.isfile(info['seg_map_path']):
                raise FileNotFoundError(
                    f'label map {info["seg_map_path"]} of image {info["img_path"]} does not exist; '
                    'check data_prefix.seg_map_path and seg_map_suffix of the dataset.'
                )
        check_label_maps((info['seg_map_path'] for info in labelled), self.LABEL_CHANNELS)

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

    @property
    def has_independent_items(self) -> bool:
        """Whether an item is a function of its key, so that several can be made side by side.

        That is known of a pipeline of this package's transforms and of mmseg's loaders and packers.
        Another transform might draw from a generator that all items share.
        """
        return all(type(transform) in _INDEPENDENT for transform in self.pipeline.transforms)
