"""Start and end the distributed job that a config asks for."""

import datetime
import gc
import os

import torch.distributed
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import barrier, is_distributed

from ..launched import describe_job


def prepare_launcher(cfg: Config) -> None:
    """Make ready what mmengine needs to start the distributed job that the config asks for.

    Whatever launcher it is, mmengine is told what torchrun would have said. On a CPU mmengine's own
    start would call CUDA, so the process group is made here, with gloo, and the model is to be
    wrapped without device ids.

    Args:
        cfg (Config): with `launcher`, which is 'none' or 'pytorch' afterwards; on a CPU its
            `model_wrapper_cfg` is set.

    Raises:
        ValueError: If the launcher has not started this process.
    """
    if cfg.launcher == 'none':
        return
    options = (cfg.get('env_cfg') or {}).get('dist_cfg') or {}
    port = options.pop('port', None)  # mmengine knows it with Slurm alone
    if port is not None:
        os.environ['MASTER_PORT'] = str(port)
    os.environ.update(describe_job(cfg.launcher))
    cfg.launcher = 'pytorch'
    if get_device() != 'cpu':
        _choose_gpu()
        return
    if not is_distributed():
        seconds = options.get('timeout')
        timeout = None if seconds is None else datetime.timedelta(seconds=seconds)
        torch.distributed.init_process_group('gloo', timeout=timeout)
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
    """Count GPUs from 0 in every process, as Slurm may show each its own one alone."""
    if torch.cuda.is_available():
        local = int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()
        os.environ['LOCAL_RANK'] = str(local)
