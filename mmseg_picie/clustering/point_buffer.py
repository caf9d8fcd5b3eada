"""Points that arrive in parts, held once."""

from torch import Tensor


class PointBuffer:
    """Holds the points of all parts in one tensor.

    Memory is taken once if ``num_expected`` says how many there will be. Beyond that, it is doubled
    whenever it is full.

    Args:
        num_expected (int): points to expect.
    """

    def __init__(self, num_expected: int = 0) -> None:
        self._num_expected = num_expected
        self._held: Tensor | None = None
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, points: Tensor) -> None:
        """Copy points to the end.

        Args:
            points (Tensor): (n, D), all of one D, type and device.
        """
        needed = self._size + len(points)
        if self._held is None:
            self._held = points.new_empty(max(needed, self._num_expected), points.shape[1])
        elif needed > len(self._held):
            grown = points.new_empty(max(needed, 2 * len(self._held)), points.shape[1])
            grown[: self._size] = self._held[: self._size]
            self._held = grown
        self._held[self._size : needed] = points
        self._size = needed

    def take(self) -> Tensor:
        """Hand over the points and hold none any more.

        Returns:
            Tensor: (P, D), in the order in which they came; no copy.
        """
        assert self._held is not None
        points, self._held, self._size = self._held[: self._size], None, 0
        return points
