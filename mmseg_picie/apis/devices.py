"""Which device a run of the toolbox uses."""

from collections.abc import Iterator
from contextlib import contextmanager

import mmengine.device.utils
import torch

from .prediction import check_device


@contextmanager
def using_device(device: str) -> Iterator[None]:
    """Within, the toolbox's runs are on this device, where they would choose one by themselves.

    Args:
        device (str): such as 'cpu', 'cuda' or 'cuda:1'.

    Raises:
        ValueError: If there is no such device.
    """
    check_device(device)
    kind = torch.device(device)
    before = mmengine.device.utils.DEVICE
    if kind.type == 'cuda' and kind.index is not None:
        torch.cuda.set_device(kind.index)  # which 'cuda' then means
    mmengine.device.utils.DEVICE = kind.type
    try:
        yield
    finally:
        mmengine.device.utils.DEVICE = before
