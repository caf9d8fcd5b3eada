"""The rule of a config for levels of more than 8 bits: one word, wherever images are loaded."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from ..datasets.stretching import check_stretch

_LOADING = ('LoadImageFromFile', 'LoadImageFromNDArray')


def read_stretch(config: Config) -> str:
    """The rule of the test pipeline.

    Args:
        config (Config): with ``test_pipeline``.

    Returns:
        str: as of :func:`..datasets.image_reading.read_image`.
    """
    return next((step.get('stretch', 'none') for step in _find(config.test_pipeline)), 'none')


def set_stretch(config: Config, stretch: str) -> None:
    """Let training, validation and prediction of a config follow a rule.

    Args:
        config (Config): changed in place.
        stretch (str): as of :func:`..datasets.image_reading.read_image`.

    Raises:
        ValueError: If it names no rule.
    """
    check_stretch(stretch)
    for step in _find(config._cfg_dict):
        step['stretch'] = stretch


def _find(node: Any) -> Iterator[Any]:
    """The steps that load images."""
    if isinstance(node, dict):
        if node.get('type') in _LOADING:
            yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for each in node:
            yield from _find(each)
