"""What tests of several rooms share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

GOLDEN = Path(__file__).parent / 'data' / 'golden'


@pytest.fixture(scope='session')
def golden() -> Callable[[str], dict[str, NDArray]]:
    """Read a file of measured values by its stem; `data/golden/README.md` says what they are."""

    def read(stem: str) -> dict[str, NDArray]:
        with np.load(GOLDEN / f'{stem}.npz') as file:
            return dict(file)

    return read
