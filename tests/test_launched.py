"""Which process of a job this is, by the variables that launchers set."""

import pytest

from mmseg_picie.launched import (
    VARIABLES,
    Rank,
    check_launcher,
    describe_job,
    find_rank,
    is_first,
    name_job,
    read_rank,
    read_restart,
)

SLURM = dict(SLURM_PROCID='5', SLURM_STEP_NUM_TASKS='8', SLURM_LOCALID='1')
OPEN_MPI = dict(OMPI_COMM_WORLD_RANK='1', OMPI_COMM_WORLD_SIZE='2', OMPI_COMM_WORLD_LOCAL_RANK='1')
MPICH = dict(PMI_RANK='1', PMI_SIZE='2', MPI_LOCALRANKID='1')
TORCHRUN = dict(RANK='3', WORLD_SIZE='4', LOCAL_RANK='1')
MEETING = dict(MASTER_ADDR='cn7', MASTER_PORT='1234')


@pytest.fixture
def environment(monkeypatch):
    """Return a function that sets variables, where no launcher has set any."""
    others = ['MASTER_ADDR', 'MASTER_PORT', 'SLURM_JOB_ID', 'SLURM_NODELIST']
    others += ['SLURM_STEP_ID', 'PMIX_NAMESPACE', 'OMPI_MCA_ess_base_jobid', 'TORCHELASTIC_RUN_ID']
    others += [
        'TORCHELASTIC_MAX_RESTARTS',
        'SLURM_STEP_NODELIST',
        'OMPI_COMM_WORLD_LOCAL_SIZE',
        'MPI_LOCALNRANKS',
    ]
    for names in (*(names for table in VARIABLES.values() for names in table), others):
        for name in names:
            monkeypatch.delenv(name, raising=False)

    def set_variables(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


def job(number: int, size: int, local: int, address: str, port: str) -> dict[str, str]:
    place = dict(RANK=str(number), WORLD_SIZE=str(size), LOCAL_RANK=str(local))
    return place | dict(MASTER_ADDR=address, MASTER_PORT=port)


@pytest.mark.parametrize(
    ('nodes', 'first'),
    [
        ('cn7', 'cn7'),
        ('cn[001-004,7],gpu3', 'cn001'),
        ('cn[3,5-6]', 'cn3'),
        ('gpu-a,gpu-b', 'gpu-a'),
        ('rack[1-2]node[09-12].site', 'rack1node09.site'),
    ],
)
def test_tasks_of_slurm_meet_at_the_first_machine(environment, nodes, first):
    environment(**SLURM, SLURM_NODELIST=nodes, SLURM_JOB_ID='7001234')
    assert describe_job('slurm') == job(5, 8, 1, first, '29734')


def test_a_step_of_slurm_goes_before_its_job(environment):
    environment(**SLURM, SLURM_NTASKS='9', SLURM_NODELIST='a', SLURM_STEP_NODELIST='b')
    assert describe_job('slurm') == job(5, 8, 1, 'b', '29500')


@pytest.mark.parametrize(
    ('variables', 'here'),
    [(OPEN_MPI, 'OMPI_COMM_WORLD_LOCAL_SIZE'), (MPICH, 'MPI_LOCALNRANKS')],
)
def test_processes_of_mpi_meet_here_if_all_are_on_one_machine(environment, variables, here):
    environment(**variables, **{here: '2'})
    assert describe_job('mpi') == job(1, 2, 1, '127.0.0.1', '29500')
    environment(**{here: '1'})
    with pytest.raises(ValueError, match='mpi needs MASTER_ADDR in the environment; start'):
        describe_job('mpi')
    environment(**MEETING)
    assert describe_job('mpi') == job(1, 2, 1, 'cn7', '1234')


def test_what_torchrun_says_is_what_it_is(environment):
    environment(**TORCHRUN, **MEETING)
    assert describe_job('pytorch') == TORCHRUN | MEETING


@pytest.mark.parametrize('launcher', list(VARIABLES))
def test_a_launcher_that_has_not_started_the_process_is_named_with_all_that_is_missing(
    environment, launcher
):
    with pytest.raises(ValueError, match=f'^{launcher} needs .*; start the job with ') as caught:
        describe_job(launcher)
    for names in VARIABLES[launcher]:
        assert all(name in str(caught.value) for name in names)
    assert 'MASTER_ADDR' in str(caught.value)


@pytest.mark.parametrize('wrong', ['8', '-1', 'x', '1.5', '٣'])
def test_a_number_that_makes_no_sense_is_refused_with_the_variable(environment, wrong):
    environment(**SLURM | dict(SLURM_PROCID=wrong))
    with pytest.raises(ValueError, match=f"got SLURM_PROCID='{wrong}', SLURM_STEP_NUM_TASKS='8'"):
        read_rank('slurm')


def test_the_innermost_launcher_tells_the_rank(environment):
    """Mpirun and torchrun may run within a job of Slurm, whose batch script is task 0."""
    assert find_rank() is None and is_first()
    environment(**SLURM)
    assert find_rank() == Rank(5, 8, 1) and not is_first()
    environment(**SLURM | dict(SLURM_PROCID='0', SLURM_LOCALID='0'))
    assert find_rank() == Rank(0, 8, 0) and is_first()
    environment(**MPICH)
    assert find_rank() == Rank(1, 2, 1) and not is_first()
    environment(**TORCHRUN)
    assert find_rank() == Rank(3, 4, 1)
    environment(**SLURM, RANK='0')  # whose numbers torchrun may deal out in another order
    assert find_rank() == Rank(0, 4, 1) and is_first()


def test_steps_and_jobs_have_ports_of_their_own(environment):
    environment(**SLURM, SLURM_NODELIST='a', SLURM_JOB_ID='77')
    ports = set()
    for step in range(50):
        environment(SLURM_STEP_ID=str(step))
        ports.add(describe_job('slurm')['MASTER_PORT'])
    assert len(ports) == 50
    environment(**OPEN_MPI, MASTER_ADDR='a')
    first, second = set(), set()
    for found, name in (
        (first, 'prterun-a-1@1'),
        (second, 'prterun-a-2@1'),
        (first, 'prterun-a-1@1'),
    ):
        environment(PMIX_NAMESPACE=name)
        found.add(describe_job('mpi')['MASTER_PORT'])
    assert len(first) == len(second) == 1 and first != second


def test_the_innermost_launcher_names_the_job(environment):
    """Its processes may be of several steps of Slurm."""
    assert name_job() == ''
    environment(SLURM_JOB_ID='7', SLURM_STEP_ID='1')
    assert name_job() == 'SLURM_JOB_ID=7 SLURM_STEP_ID=1'
    environment(**MPICH)
    assert name_job() == ''
    environment(PMIX_NAMESPACE='prterun-a-1@1')
    assert name_job() == 'PMIX_NAMESPACE=prterun-a-1@1'
    environment(TORCHELASTIC_RUN_ID='12')
    assert name_job() == 'TORCHELASTIC_RUN_ID=12'


def test_a_batch_script_is_not_a_task_of_several(environment):
    environment(SLURM_PROCID='0', SLURM_LOCALID='0', SLURM_NTASKS='4', SLURM_NODELIST='a')
    with pytest.raises(ValueError, match='each of the 4 tasks .* batch script.* start .* srun'):
        describe_job('slurm')
    environment(SLURM_NTASKS='1')
    assert describe_job('slurm')['WORLD_SIZE'] == '1'


def test_what_torchrun_was_asked_for_must_be_meant(environment):
    check_launcher('none', resumes=False)
    environment(**TORCHRUN)
    with pytest.raises(ValueError, match='started 4 processes.* alone.*; add --launcher pytorch'):
        check_launcher('none', resumes=True)
    check_launcher('pytorch', resumes=False)
    environment(TORCHELASTIC_MAX_RESTARTS='3')
    with pytest.raises(ValueError, match='--max-restarts of torchrun is 3, .*; add --resume'):
        check_launcher('pytorch', resumes=False)
    check_launcher('pytorch', resumes=True)
    environment(WORLD_SIZE='1')
    check_launcher('none', resumes=False)


def test_a_job_that_torchrun_starts_again_counts_its_starts_where_the_store_stays(
    environment, monkeypatch
):
    """Addresses of dead processes are in it. Machines do not count alike."""
    for name in ('USE_AGENT_STORE', 'MAX_RESTARTS', 'RESTART_COUNT'):
        monkeypatch.delenv(f'TORCHELASTIC_{name}', raising=False)
    monkeypatch.delenv('GROUP_WORLD_SIZE', raising=False)
    assert read_restart() == 0
    environment(TORCHELASTIC_MAX_RESTARTS='3', TORCHELASTIC_RESTART_COUNT='2')
    environment(TORCHELASTIC_USE_AGENT_STORE='True', GROUP_WORLD_SIZE='1')
    assert read_restart() == 2
    environment(GROUP_WORLD_SIZE='2')
    with pytest.raises(ValueError, match='set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 on each'):
        read_restart()
    environment(TORCHELASTIC_USE_AGENT_STORE='False')
    assert read_restart() == 0


def test_a_local_rank_alone_is_no_job(environment):
    """It is set for mmengine in every process."""
    environment(LOCAL_RANK='0')
    assert find_rank() is None
