"""A training step with the activations of one view at a time in memory."""

from collections.abc import Iterator
from typing import Any, Protocol

from mmengine.optim import OptimWrapper
from torch import Tensor


class ViewModel(Protocol):
    """A ``BaseModel`` whose loss is a sum over views."""

    num_views: int

    def data_preprocessor(self, data: dict, training: bool) -> dict:
        """As of ``BaseModel``."""

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """As of ``BaseModel``."""

    def losses_by_view(self, inputs: list, data_samples: list) -> Iterator[dict[str, Tensor]]:
        """The shares of the views in the loss, each made when it is asked for."""


def train_view_by_view(
    model: ViewModel, data: dict[str, Any], optim_wrapper: OptimWrapper
) -> dict[str, Tensor]:
    """Do the ``train_step`` of a model whose loss is a sum over views.

    Each view's share is propagated back before the next view is forwarded. The gradients are those
    of the whole loss.

    Args:
        model (ViewModel): that is trained.
        data (dict): as of ``BaseModel.train_step``.
        optim_wrapper (OptimWrapper): likewise; it must not accumulate over iterations.

    Returns:
        dict[str, Tensor]: the losses of all views together, for the log.
    """
    data = model.data_preprocessor(data, True)
    shares = model.losses_by_view(**data)
    log: dict[str, Tensor] = {}
    for view in range(model.num_views):
        with optim_wrapper.optim_context(model):
            loss, parts = model.parse_losses(next(shares))
        for name, value in parts.items():
            log[name] = log.get(name, 0) + value.detach()
        if view < model.num_views - 1:
            optim_wrapper.backward(optim_wrapper.scale_loss(loss))
    optim_wrapper.update_params(loss)
    return log
