"""Which process of a job this is, by what a launcher has set in the environment."""

from __future__ import annotations

import os
import re
import zlib
from typing import NamedTuple

#: Launcher -> names of the variables for a process's number, the number of all, and its number on
#: its machine. Where there are several names, any of them will do.
VARIABLES: dict[str, tuple[tuple[str, ...], ...]] = {
    'pytorch': (('RANK',), ('WORLD_SIZE',), ('LOCAL_RANK',)),
    'mpi': (  # of Open MPI, and of MPICH and its children
        ('OMPI_COMM_WORLD_RANK', 'PMI_RANK'),
        ('OMPI_COMM_WORLD_SIZE', 'PMI_SIZE'),
        ('OMPI_COMM_WORLD_LOCAL_RANK', 'MPI_LOCALRANKID'),
    ),
    'slurm': (('SLURM_PROCID',), ('SLURM_STEP_NUM_TASKS', 'SLURM_NTASKS'), ('SLURM_LOCALID',)),
}
#: Launcher -> how it starts a job, for messages.
STARTS = {
    'pytorch': 'torchrun, or with tools/dist_train.sh or tools/dist_test.sh',
    'mpi': 'mpirun (over several machines, with MASTER_ADDR set to the address of the first)',
    'slurm': 'srun, or with tools/slurm_train.sh',
}
#: Processes of one machine, where a launcher of MPI says how many they are.
_ON_MACHINE = ('OMPI_COMM_WORLD_LOCAL_SIZE', 'MPI_LOCALNRANKS')
#: What names a job of MPI: of Open MPI from 5 on, and of 4.
_JOBS_OF_MPI = ('PMIX_NAMESPACE', 'OMPI_MCA_ess_base_jobid')
#: Ports of jobs where nobody says: the first, which is torchrun's, and how many there are.
_PORT, _PORTS = 29500, 1000


class Rank(NamedTuple):
    """A process of a job.

    Attributes:
        number (int): from 0.
        size (int): processes of the job.
        local (int): its number on its machine, from 0.
    """

    number: int
    size: int
    local: int


def read_rank(launcher: str) -> Rank:
    """Which process of a job this is.

    Args:
        launcher: That started the job: a key of :data:`VARIABLES`.

    Returns:
        Its place.

    Raises:
        ValueError: If the launcher has not started this process, or says nonsense.
    """
    _refuse(launcher, _missing(launcher))
    found = [_find(names) for names in VARIABLES[launcher]]
    rank = Rank(*(int(os.environ[name]) if _is_number(name) else -1 for name in found))
    if not (0 <= rank.number < rank.size and rank.local >= 0):
        said = ', '.join(f'{name}={os.environ[name]!r}' for name in found)
        raise ValueError(
            f'{launcher} needs processes that are numbered from 0, each below the number of all, '
            f'but got {said}; start the job with {STARTS[launcher]}'
        )
    return rank


def find_rank() -> Rank | None:
    """Which process of a job this is, whoever started it.

    Returns:
        Its place; None if no launcher has started this process.
    """
    # Mpirun may run within a job of Slurm, and torchrun within either.
    for launcher, names in VARIABLES.items():
        if all(map(_find, names)):
            return read_rank(launcher)
    return None


def is_first() -> bool:
    """Whether this process is the first of its job, or in none."""
    numbers = (_find(names[0]) for names in VARIABLES.values())
    return next((os.environ[name] == '0' for name in numbers if name), True)


def name_job() -> str:
    """What the innermost launcher calls this job; '' if it has no name for it."""
    names: tuple[str, ...] = ('SLURM_JOB_ID', 'SLURM_STEP_ID')
    if os.environ.get('TORCHELASTIC_RUN_ID'):
        names = ('TORCHELASTIC_RUN_ID',)
    elif all(map(_find, VARIABLES['mpi'])):
        names = _JOBS_OF_MPI
    return ' '.join(f'{name}={os.environ[name]}' for name in names if os.environ.get(name))


def check_launcher(launcher: str, resumes: bool) -> None:
    """Refuse a start that is not what torchrun was asked for.

    Args:
        launcher: The one that the command was told of, or 'none'.
        resumes: Whether the training would go on from what it has saved.

    Raises:
        ValueError: If each process would train alone, or a job that is started again would begin
            anew, over what it has saved.
    """
    if launcher == 'none' and all(map(_find, VARIABLES['pytorch'])):
        size = os.environ['WORLD_SIZE']
        if size != '1':
            raise ValueError(
                f'torchrun has started {size} processes, each of which would work alone with '
                '--launcher none; add --launcher pytorch'
            )
    limit = os.environ.get('TORCHELASTIC_MAX_RESTARTS', '0')
    if launcher == 'pytorch' and limit != '0' and not resumes:
        raise ValueError(
            f'--max-restarts of torchrun is {limit}, but without --resume a training that is '
            'started again begins anew, over its checkpoints; add --resume'
        )


def describe_job(launcher: str) -> dict[str, str]:
    """What torchrun would have set for this process.

    Args:
        launcher: That started the job.

    Returns:
        The variables RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT.

    Raises:
        ValueError: If the launcher has not started this process, or does not say where the
            processes of the job meet.
    """
    missing = _missing(launcher)
    place = dict(
        MASTER_ADDR=os.environ.get('MASTER_ADDR') or _find_address(launcher),
        MASTER_PORT=os.environ.get('MASTER_PORT') or _find_port(launcher),
    )
    _refuse(launcher, missing + [name for name, value in place.items() if not value])
    tasks = os.environ.get('SLURM_NTASKS', '1')
    if launcher == 'slurm' and tasks != '1' and not os.environ.get('SLURM_STEP_NUM_TASKS'):
        raise ValueError(
            f'slurm needs a process for each of the {tasks} tasks of the job, but this is its '
            f'batch script, which runs once; start the job with {STARTS[launcher]}'
        )
    rank = read_rank(launcher)
    return place | dict(
        RANK=str(rank.number), WORLD_SIZE=str(rank.size), LOCAL_RANK=str(rank.local)
    )


def read_restart() -> int:
    """How often torchrun has started this job again, where it keeps its store of addresses.

    Returns:
        0 if it has not, or takes a new store each time.

    Raises:
        ValueError: If it is to do so on several machines, which do not count alike.
    """
    keeps = os.environ.get('TORCHELASTIC_USE_AGENT_STORE') == 'True'
    limit = os.environ.get('TORCHELASTIC_MAX_RESTARTS', '0')
    if not keeps or limit == '0':
        return 0
    if os.environ.get('GROUP_WORLD_SIZE', '1') != '1':
        raise ValueError(
            f'--max-restarts of torchrun is {limit}, on several machines, which would find the '
            'addresses of dead processes when they start again; set '
            'TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 on each of them and give torchrun '
            '--rdzv-backend c10d --rdzv-endpoint HOST:PORT, or leave --max-restarts out'
        )
    return int(os.environ.get('TORCHELASTIC_RESTART_COUNT', '0'))


def _missing(launcher: str) -> list[str]:
    """What a launcher sets, and has not set."""
    return [' or '.join(names) for names in VARIABLES[launcher] if not _find(names)]


def _refuse(launcher: str, missing: list[str]) -> None:
    if missing:
        raise ValueError(
            f'{launcher} needs {", ".join(missing)} in the environment; start the job with '
            f'{STARTS[launcher]}'
        )


def _find_address(launcher: str) -> str:
    """The machine of the first process; '' where the launcher does not say."""
    if launcher == 'mpi':
        size, here = (_find(names) for names in (VARIABLES['mpi'][1], _ON_MACHINE))
        is_alone = size and here and os.environ[size] == os.environ[here]
        return '127.0.0.1' if is_alone else ''
    if launcher == 'slurm':
        return _first_of(os.environ.get(_find(('SLURM_STEP_NODELIST', 'SLURM_NODELIST')), ''))
    return ''


def _find_port(launcher: str) -> str:
    """A port for the processes of a job to meet at; torchrun says one by itself."""
    if launcher == 'pytorch':
        return ''
    # Two jobs may share a machine, and so may two steps of one job of Slurm.
    if launcher == 'mpi':
        number = zlib.crc32(os.environ.get(_find(_JOBS_OF_MPI), '').encode())
    else:
        job, step = (
            int(os.environ[name]) if _is_number(name) else 0
            for name in ('SLURM_JOB_ID', 'SLURM_STEP_ID')
        )
        number = job + 101 * step
    return str(_PORT + number % _PORTS)


def _first_of(nodes: str) -> str:
    """The first of Slurm's list of machines: cn001 of cn[001-004,7],gpu3."""
    return re.sub(r'\[([^],-]+)[^]]*\]', r'\1', nodes).partition(',')[0]


def _find(names: tuple[str, ...]) -> str:
    """The first of some variables that is set; '' if none is."""
    return next((name for name in names if os.environ.get(name)), '')


def _is_number(name: str) -> bool:
    return bool(re.fullmatch(r'\d{1,18}', os.environ.get(name, ''), re.ASCII))
