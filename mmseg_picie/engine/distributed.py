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
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from ..clustering import ClusterSums


def unwrap_model(runner: Runner) -> nn.Module:
    """The runner's model, without the wrapper that it has on several ranks."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


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
