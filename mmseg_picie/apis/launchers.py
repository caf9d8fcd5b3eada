"""Start and end the distributed job that a config asks for."""

import datetime
import gc
import os
from collections.abc import Mapping
from typing import Any

import torch.distributed
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import barrier, is_distributed
from torch.distributed.constants import default_pg_timeout

from ..launched import check_launcher, describe_job, is_first, read_restart


def prepare_launcher(cfg: Config, trains: bool = False) -> None:
    """Make ready what mmengine needs to start the distributed job that the config asks for.

    Whatever launcher it is, mmengine is told what torchrun would have said. On a CPU mmengine's own
    start would call CUDA, so the process group is made here, with gloo, and the model is to be
    wrapped without device ids. It is also made here when torchrun has started a job again.

    Args:
        cfg (Config): with `launcher`, which is 'none' or 'pytorch' afterwards; on a CPU its
            `model_wrapper_cfg` is set.
        trains (bool): whether the job is to train, so that one that is started again must resume.

    Raises:
        ValueError: If the launcher has not started this process, could not start it again, or
            another one has started it.
    """
    check_launcher(cfg.launcher, bool(cfg.get('resume')) or not trains)
    if cfg.launcher == 'none':
        return
    options = (cfg.get('env_cfg') or {}).get('dist_cfg') or {}
    port = options.pop('port', None)
    if port is not None and cfg.launcher != 'pytorch':  # torchrun has chosen one
        os.environ['MASTER_PORT'] = str(port)
    os.environ.update(describe_job(cfg.launcher))
    if is_first():
        size, *place = (os.environ[n] for n in ('WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'))
        print(f'{size} processes meet at {":".join(place)} ...', flush=True)
    cfg.launcher = 'pytorch'
    is_on_cpu, restart = get_device() == 'cpu', read_restart()
    if not is_on_cpu:
        _choose_gpu()
    if not is_distributed() and (is_on_cpu or restart):
        _join('gloo' if is_on_cpu else options.get('backend', 'nccl'), options, restart)
    if is_on_cpu:
        _wrap_without_devices(cfg)


def _join(backend: str, options: Mapping[str, Any], restart: int) -> None:
    """Make the process group.

    When torchrun starts a job again it keeps the store by which ranks find each other, with the
    addresses of the dead ones. So each start has a part of the store of its own.
    """
    seconds = options.get('timeout')
    timeout = None if seconds is None else datetime.timedelta(seconds=seconds)
    place: dict[str, Any] = {}
    if restart:
        address, port = os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])
        patience = timeout or default_pg_timeout
        store = torch.distributed.TCPStore(address, port, is_master=False, timeout=patience)
        place = dict(
            store=torch.distributed.PrefixStore(f'restart_{restart}', store),
            rank=int(os.environ['RANK']),
            world_size=int(os.environ['WORLD_SIZE']),
        )
    torch.distributed.init_process_group(backend, timeout=timeout, **place)


def _wrap_without_devices(cfg: Config) -> None:
    """Have mmengine wrap the model for ranks on CPUs."""
    wrapper = dict(cfg.get('model_wrapper_cfg') or {})
    if wrapper.setdefault('type', 'MMDistributedDataParallel') == 'MMDistributedDataParallel':
        wrapper['device_ids'] = None
        wrapper.setdefault('broadcast_buffers', False)
        wrapper.setdefault('find_unused_parameters', cfg.get('find_unused_parameters', False))
    cfg.model_wrapper_cfg = wrapper


def leave_process_group() -> None:
    """Leave the distributed job, if this process is in one, after its work is done.

    The threads of gloo abort a process that ends while they still run.
    """
    if is_distributed():
        gc.collect()  # a runner that is done with, whose wrapped model holds the group
        barrier()
        torch.distributed.destroy_process_group()


def _choose_gpu() -> None:
    """Take a GPU, counted from 0 in every process, as Slurm may show each its own one alone."""
    if torch.cuda.is_available():
        local = int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()
        os.environ['LOCAL_RANK'] = str(local)
        torch.cuda.set_device(local)
