"""What some devices lack: float64, and mixed precision."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

#: Kinds of devices without float64.
WITHOUT_FLOAT64 = ('mps',)


def to_float64(values: Tensor) -> Tensor:
    """Values in float64: where they are, or on the CPU if their device has no float64.

    Args:
        values (Tensor): of any shape and type.
    """
    if values.device.type in WITHOUT_FLOAT64:
        values = values.cpu()
    return values.double()


def without_autocast(device: str) -> AbstractContextManager:
    """A context in which passes are in full precision, whatever mixed precision is around it.

    Args:
        device (str): kind of device; one that torch has no mixed precision for needs no context.
    """
    is_known = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if is_known else nullcontext()
