"""Which share of the images is this call's, of several that label them together."""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from ..launched import find_rank

#: What `--share` may be, for messages.
FORMS = (
    'I/N such as 2/8 (from 1 to N), array (the task of a Slurm array), or ranks (the process of a '
    'job of torchrun, srun or mpirun)'
)
_ARRAY = ('SLURM_ARRAY_TASK_ID', 'SLURM_ARRAY_TASK_MIN', 'SLURM_ARRAY_TASK_COUNT')

Item = TypeVar('Item')


class Share(NamedTuple):
    """A share of the images.

    Attributes:
        number (int): which, from 1.
        total (int): of how many.
    """

    number: int
    total: int

    def __str__(self) -> str:
        return f'{self.number}/{self.total}'

    def take(self, items: Sequence[Item]) -> list[Item]:
        """Every N-th item, so that images of one kind, which lie together, are shared out."""
        return list(items[self.number - 1 :: self.total])


def parse_share(word: str) -> Share:
    """Read which share is meant.

    Args:
        word (str): of :data:`FORMS`.

    Returns:
        Share: that of this process.

    Raises:
        ValueError: If it is something else, or not known from the environment.
    """
    if word == 'ranks':
        rank = find_rank()
        if rank is None:
            raise ValueError(
                "share is 'ranks', but no launcher has started this process; start it with "
                'torchrun, srun or mpirun, or give a share such as 2/8.'
            )
        return Share(rank.number + 1, rank.size)
    if word == 'array':
        return _read_array()
    found = re.fullmatch(r'(\d{1,9})/(\d{1,9})', word, re.ASCII)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f'share must be {FORMS}, but got {word!r}.')
    return Share(int(found[1]), int(found[2]))


def _read_array() -> Share:
    """The share of a task of a Slurm array."""
    values = [os.environ.get(name, '') for name in _ARRAY]
    step = os.environ.get('SLURM_ARRAY_TASK_STEP', '1')
    said = ', '.join(f'{name}={value!r}' for name, value in zip(_ARRAY, values, strict=True))
    if not all(re.fullmatch(r'\d{1,9}', value, re.ASCII) for value in (*values, step)):
        raise ValueError(
            f"share is 'array', but this is no task of a Slurm array ({said}); start the job with "
            'sbatch --array=1-8, or give a share such as 2/8.'
        )
    task, first, count = map(int, values)
    number, rest = divmod(task - first, int(step) or 1)
    if rest or not 0 <= number < count:
        raise ValueError(
            f"share is 'array', but the tasks of the array are not all from the first to the last "
            f'({said}); give a share such as 2/8, which says of how many it is.'
        )
    return Share(number + 1, count)
