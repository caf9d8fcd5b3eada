"""What ranks tell each other, over mmengine's process group."""

import torch
from mmengine.dist import (
    all_gather,
    all_gather_object,
    all_reduce,
    all_reduce_params,
    broadcast,
    gather,
    get_world_size,
    is_main_process,
)
from mmengine.model import MMSeparateDistributedDataParallel, is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parallel import DistributedDataParallel

from ..clustering import ClusterSums


def unwrap_model(runner: Runner) -> nn.Module:
    """The runner's model, without the wrapper that it has on several ranks."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def check_wrapper(kind: type[nn.Module] | None) -> None:
    """Refuse a wrapper under which a rank does not hold the whole model.

    Clusters and pseudo-labels are made with the encoder by itself, outside of the wrapper.

    Args:
        kind (type, optional): of the wrapper; None is left to what builds it.

    Raises:
        ValueError: If it is one that shards the weights, or wraps parts of the model apart.
    """
    if kind is None:
        return
    is_plain = issubclass(kind, DistributedDataParallel)
    if not is_plain or issubclass(kind, MMSeparateDistributedDataParallel):
        raise ValueError(
            'model_wrapper_cfg.type must be MMDistributedDataParallel for PiCIE, as every rank '
            f'clusters with the whole encoder, but is {kind.__name__}; leave model_wrapper_cfg '
            '(or strategy) out, and where memory is short set activation_checkpointing or a '
            'smaller batch size.'
        )


def check_same(what: str, value: object, why: str) -> None:
    """Refuse ranks of which one has another value than the others; alone, a rank passes.

    Args:
        what (str): that is compared, for the message.
        value (object): this rank's; compared as text.
        why (str): what that means and what to do, which ends the message.

    Raises:
        ValueError: On every rank, if they differ.
    """
    told = all_gather_object(str(value))
    other = next((one for one in told if one != told[0]), None)
    if other is not None:
        raise ValueError(
            f'{what} must be the same on all ranks, but got {told[0]} and {other}; {why}'
        )


def check_norms(model: nn.Module, sync_bn: str | None) -> None:
    """Refuse norms over all ranks on CPUs, where torch cannot compute them.

    Args:
        model (nn.Module): not wrapped.
        sync_bn (str, optional): the config's, which turns all norms into such.

    Raises:
        ValueError: If there would be any.
    """
    kinds = {'sync_bn': sync_bn is not None}
    kinds["a norm_cfg of type 'SyncBN'"] = any(
        isinstance(part, nn.SyncBatchNorm) for part in model.modules()
    )
    found = [name for name, is_there in kinds.items() if is_there]
    if found:
        raise ValueError(
            f'the config has {" and ".join(found)}, but torch has SyncBatchNorm on GPUs alone, and '
            "the ranks are on CPUs; leave sync_bn out and use norms of type 'BN', whose running "
            'statistics are averaged over the ranks after every epoch.'
        )


class ProcessGroup:
    """The :class:`mmseg_picie.clustering.Communicator` of all ranks; alone, it does nothing."""

    def gather(self, features: Tensor) -> Tensor | None:
        """Gather images on rank 0 in the order of the stream.

        Args:
            features (Tensor): (n, P, D); rank r holds the images r, r + W, ... of the part, so n
                may differ by one between ranks. P may be anything where n is 0.

        Returns:
            Tensor or None: (sum of n, P, D) on rank 0, None elsewhere.
        """
        if get_world_size() == 1:
            return features
        shape = torch.tensor(features.shape[:2], device=features.device) * (len(features) > 0)
        sizes, pixels = torch.stack(all_gather(shape)).T.tolist()
        # Ranks must send one shape.
        sent = features.new_zeros(max(sizes), max(pixels), features.shape[2])
        if len(features):
            sent[: len(features)] = features
        parts = gather(sent)
        if not is_main_process():
            return None
        gathered = sent.new_empty(sum(sizes), *sent.shape[1:])
        for rank, size in enumerate(sizes):
            gathered[rank :: len(sizes)] = parts[rank][:size]
        return gathered

    def broadcast(self, tensor: Tensor) -> Tensor:
        """Rank 0's tensor, on every rank."""
        tensor = tensor.contiguous()
        broadcast(tensor)
        return tensor

    def reduce(self, sums: ClusterSums) -> ClusterSums:
        """Sums over all ranks, on every rank."""
        for tensor in sums:
            all_reduce(tensor)
        return sums

    def fail_together(self, failure: Exception | None) -> None:
        """Raise on every rank if any of them has a failure to tell.

        Args:
            failure (Exception, optional): this rank's, which is raised as it is.

        Raises:
            RuntimeError: With the first other rank's failure.
        """
        told = None if failure is None else f'{type(failure).__name__}: {failure}'
        failures = all_gather_object(told)
        if failure is not None:
            raise failure
        for rank, message in enumerate(failures):
            if message is not None:
                raise RuntimeError(f'clustering failed on rank {rank}: {message}')


def average_statistics(model: nn.Module) -> None:
    """Average the running statistics of normalisation layers over all ranks.

    Each rank has gathered those of its own images. The other buffers of a model are functions of
    what all ranks share.

    Args:
        model (nn.Module): changed in place, alike on all ranks.
    """
    statistics = [
        tensor
        for module in model.modules()
        if isinstance(module, _NormBase)
        for tensor in (module.running_mean, module.running_var)
        if tensor is not None
    ]
    if statistics:
        all_reduce_params(statistics, op='mean')
