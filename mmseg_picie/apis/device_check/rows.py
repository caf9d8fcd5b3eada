"""What a check has found, as a row of a table."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from .cases import LeftOut

OK, FAILED, LEFT_OUT = 'ok', 'failed', 'left out'


class Found(NamedTuple):
    """What a check says of itself.

    Attributes:
        passed (bool): whether it is as it must be.
        text (str): what was found, in words.
        allowed (str): what may be found; empty for a plain measurement.
        values (dict[str, float]): the same as numbers, for programs.
    """

    passed: bool
    text: str
    allowed: str = ''
    values: dict[str, float] = {}


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        part (str): 'parity', 'training', 'precision', 'faiss', 'speed' or 'memory'.
        check (str): what was checked.
        result (str): :data:`OK`, :data:`FAILED` or :data:`LEFT_OUT`.
        found (str): what was found, or the reason.
        allowed (str): as of :class:`Found`.
        values (dict[str, float]): likewise; only finite ones.
    """

    part: str
    check: str
    result: str
    found: str
    allowed: str
    values: dict[str, float]


def attempt(part: str, check: str, run: Callable[[], Found]) -> Row:
    """Do a check. Whatever goes wrong in it is a row, so that no other is lost.

    Args:
        part (str): as of :class:`Row`.
        check (str): likewise.
        run (Callable): does it, and may raise :class:`LeftOut`.

    Returns:
        Row: what came of it.
    """
    try:
        found = run()
    except LeftOut as reason:
        return Row(part, check, LEFT_OUT, str(reason), '', {})
    except Exception as error:  # a device may raise anything
        words = ' '.join(str(error).split())
        return Row(part, check, FAILED, f'{type(error).__name__}: {words[:300]}', '', {})
    values: dict[str, Any] = {k: v for k, v in found.values.items() if math.isfinite(v)}
    return Row(part, check, OK if found.passed else FAILED, found.text, found.allowed, values)
