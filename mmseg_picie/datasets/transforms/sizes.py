"""Sizes in configs."""

from collections.abc import Sequence

SizeLike = int | Sequence[int]


def to_size(value: SizeLike, name: str) -> tuple[int, int]:
    """Read a size.

    Args:
        value (int or Sequence[int]): side of a square, or (height, width), in pixels.
        name (str): name of the argument, for the message.

    Returns:
        tuple[int, int]: (height, width).

    Raises:
        ValueError: If it is not one or two positive integers.
    """
    if isinstance(value, int):
        size: tuple = (value, value)
    else:
        size = tuple(value) if isinstance(value, Sequence) else ()
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(
            f'{name} must be a positive integer or a pair (height, width) of them, but got '
            f'{value!r}.'
        )
    return size
