"""Cityscapes in the 27 classes of the PiCIE benchmark."""

import os.path as osp
from collections.abc import Callable, Sequence

from mmseg.registry import DATASETS

from .base import KeyedSegDataset
from .image_files import find_images

#: Label ids of the public label maps below this one are void: ego vehicle, static, ground, ...
FIRST_LABEL_ID = 7
NUM_CLASSES = 27
VOID = 255

#: Published number of images of each split.
SPLIT_SIZES = dict(train=2975, val=500, test=1525, train_extra=19998)


@DATASETS.register_module()
class Cityscapes27Dataset(KeyedSegDataset):
    """Cityscapes on the public layout, label ids 7-33 as classes 0-26, ids 0-6 ignored.

    ``leftImg8bit/SPLIT/CITY/*_leftImg8bit.png`` and ``gtFine/SPLIT/CITY/*_gtFine_labelIds.png``,
    which are read as they are. The splits are train (2,975 images), val (500), test (1,525) and
    train_extra (19,998); only the first two have label maps that say anything (those of test are
    void throughout). Cordts et al., The Cityscapes dataset, CVPR 2016.

    Args:
        splits (Sequence[str]): sub-folders of ``data_prefix.img_path`` (and of
            ``data_prefix.seg_map_path``) whose images are listed, one after the other.
        img_suffix (str): ending of image names.
        seg_map_suffix (str): ending of label maps, which are named as the images up to the ending.
        data_root (str, optional): see :class:`KeyedSegDataset`, as for all that follow.
        data_prefix (dict, optional): folders ``img_path`` and, if labelled, ``seg_map_path``.
        metainfo (dict, optional): replaces entries of ``METAINFO``.
        pipeline (Sequence[dict or Callable]): transforms.
        test_mode (bool): kept for mmseg.
        indices (int or Sequence[int], optional): part of the images.
        serialize_data (bool): as in ``BaseDataset``.
        lazy_init (bool): as in ``BaseDataset``.
        check_files (bool): whether to look at every file on construction.
        on_bad_image (str): ``refuse`` or ``skip``.

    Raises:
        FileNotFoundError: If the folder of a split is missing or holds no image, or a label map
            is missing.
        ValueError: If ``splits`` is not a sequence of different names, or a file cannot be read.
    """

    METAINFO = dict(
        classes=(
            'road',
            'sidewalk',
            'parking',
            'rail track',
            'building',
            'wall',
            'fence',
            'guard rail',
            'bridge',
            'tunnel',
            'pole',
            'polegroup',
            'traffic light',
            'traffic sign',
            'vegetation',
            'terrain',
            'sky',
            'person',
            'rider',
            'car',
            'truck',
            'bus',
            'caravan',
            'trailer',
            'train',
            'motorcycle',
            'bicycle',
        ),
        # Cityscapes' own colours; only polegroup has another one, as it shares that of pole.
        palette=[
            [128, 64, 128],
            [244, 35, 232],
            [250, 170, 160],
            [230, 150, 140],
            [70, 70, 70],
            [102, 102, 156],
            [190, 153, 153],
            [180, 165, 180],
            [150, 100, 100],
            [150, 120, 90],
            [153, 153, 153],
            [200, 200, 170],
            [250, 170, 30],
            [220, 220, 0],
            [107, 142, 35],
            [152, 251, 152],
            [70, 130, 180],
            [220, 20, 60],
            [255, 0, 0],
            [0, 0, 142],
            [0, 0, 70],
            [0, 60, 100],
            [0, 0, 90],
            [0, 0, 110],
            [0, 80, 100],
            [0, 0, 230],
            [119, 11, 32],
        ],
        # Things are what Cityscapes annotates as instances: people and vehicles.
        groups=dict(things=tuple(range(17, 27)), stuff=tuple(range(17))),
    )
    RAW_LABELS = (*[VOID] * FIRST_LABEL_ID, *range(NUM_CLASSES))

    def __init__(
        self,
        splits: Sequence[str],
        img_suffix: str = '_leftImg8bit.png',
        seg_map_suffix: str = '_gtFine_labelIds.png',
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
        if isinstance(splits, str) or not splits or len(set(splits)) != len(splits):
            raise ValueError(
                'splits must be a sequence of different names of sub-folders, such as '
                f"('test', 'train_extra'), but got {splits!r}."
            )
        self.splits = tuple(splits)
        super().__init__(
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            data_root=data_root,
            data_prefix=data_prefix,
            metainfo=metainfo,
            pipeline=pipeline,
            test_mode=test_mode,
            indices=indices,
            serialize_data=serialize_data,
            lazy_init=lazy_init,
            check_files=check_files,
            on_bad_image=on_bad_image,
        )

    def _image_names(self, img_dir: str) -> list[str]:
        """Names of the images of all splits, relative to the folder of images."""
        names: list[str] = []
        for split in self.splits:
            folder = osp.join(img_dir, split)
            if not osp.isdir(folder):
                raise FileNotFoundError(
                    f'folder {folder} of split {split!r} does not exist; unpack the package of '
                    f'Cityscapes that holds it, or correct splits (there are '
                    f'{", ".join(SPLIT_SIZES)}) or data_root of the dataset.'
                )
            names += [f'{split}/{name}' for name in find_images(folder, (self.img_suffix,))]
        return names
