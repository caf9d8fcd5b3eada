"""mmengine's local backend for scores and pictures, which loses none without a word."""

import os

import numpy as np
from mmengine.config import Config
from mmengine.visualization import LocalVisBackend
from mmengine.visualization.vis_backend import force_init_env
from mmseg.registry import VISBACKENDS
from numpy.typing import NDArray

from ..evaluation.label_files import write_image
from ..whole_files import naming, write_whole


@VISBACKENDS.register_module(name='LocalVisBackend')
class WholeVisBackend(LocalVisBackend):
    """``LocalVisBackend`` that writes pictures and configs whole, and tells what it cannot write.

    It takes the place of mmengine's in all configs. mmengine's leaves out a picture without a word
    if the disk is full. See ``LocalVisBackend`` for the arguments.
    """

    @force_init_env
    def add_config(self, config: Config, **kwargs: object) -> None:
        """Write a config.

        Args:
            config (Config): the config.
            kwargs: unused.
        """
        write_whole(self._config_save_file, config.pretty_text)

    @force_init_env
    def add_image(
        self, name: str, image: NDArray[np.uint8], step: int = 0, **kwargs: object
    ) -> None:
        """Write a picture.

        Args:
            name (str): its name.
            image (NDArray): (H, W, 3) RGB, uint8.
            step (int): goes into the name of the file.
            kwargs: unused.
        """
        os.makedirs(self._img_save_dir, exist_ok=True)
        path = os.path.join(self._img_save_dir, f'{name}_{step}.png')
        write_image(path, image[..., ::-1])

    def _dump(self, value_dict: dict, file_path: str, file_format: str) -> None:
        """Add a line of scores."""
        with naming(file_path):
            super()._dump(value_dict, file_path, file_format)
