"""Communication of the clustering pass, over mmengine's process group."""

import torch
from mmengine.dist import all_gather, all_reduce, broadcast, gather, get_world_size, is_main_process
from torch import Tensor

from ..clustering import ClusterSums


class ProcessGroup:
    """The :class:`mmseg_picie.clustering.Communicator` of all ranks; alone, it does nothing."""

    def gather(self, features: Tensor) -> Tensor | None:
        """Gather images on rank 0 in the order of the stream.

        Args:
            features (Tensor): (n, P, D); rank r holds the images r, r + W, ... of the batch, so n
                may differ by one between ranks.

        Returns:
            Tensor or None: (sum of n, P, D) on rank 0, None elsewhere.
        """
        if get_world_size() == 1:
            return features
        size = torch.tensor([len(features)], device=features.device)
        sizes = [int(n) for n in all_gather(size)]
        padded = features.new_zeros(max(sizes), *features.shape[1:])
        padded[: len(features)] = features
        parts = gather(padded)
        if not is_main_process():
            return None
        return torch.stack(
            [
                parts[rank][i]
                for i in range(max(sizes))
                for rank in range(len(sizes))
                if i < sizes[rank]
            ]
        )

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
