"""A look at a few training images before the first epoch."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from ..models import PiCIE
from .clustering_pass import build_clustering_loader
from .distributed import unwrap_model
from .progress import track


def check_numbers(hook: str, **numbers: int) -> None:
    """Refuse arguments of a hook that are below 1.

    Args:
        hook (str): its name.
        numbers (int): its arguments by name.

    Raises:
        ValueError: If one is less than 1.
    """
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f'{name} of {hook} must be at least 1, but got {value}.')


class FirstLookHook(Hook, ABC):
    """Sets weights or statistics once, by a look at training images before the first epoch.

    Nothing is done when a run is resumed, or starts from another checkpoint (``load_from``). What
    is set is a function of the backbone's weights and the seed alone.
    """

    def before_train(self, runner: Runner) -> None:
        """Look, unless there are trained weights already.

        Raises:
            ValueError: If the model is no PiCIE, or not one that the hook can begin.
        """
        model = unwrap_model(runner)
        if not isinstance(model, PiCIE):
            raise ValueError(
                f'{type(self).__name__} looks at the views of a PiCIE, but the model is a '
                f'{type(model).__name__}; take the hook out of default_hooks.'
            )
        self.check(model)
        if not (runner.iter or runner._has_loaded):
            self.begin(runner, model)

    def check(self, model: PiCIE) -> None:
        """Refuse a model that the hook cannot begin; any is fine by default."""

    @abstractmethod
    def begin(self, runner: Runner, model: PiCIE) -> None:
        """Set what the hook sets.

        Args:
            runner (Runner): whose training images are looked at.
            model (PiCIE): its model, not wrapped.
        """


def look_at_views(
    runner: Runner, num_images: int, batch_size: int, description: str
) -> Iterator[Tensor]:
    """Batches of all views of some training images, as the model takes them.

    Args:
        runner (Runner): whose data and seed choose the images; its model is a PiCIE.
        num_images (int): training images that are looked at, or all if there are fewer.
        batch_size (int): images a batch, over all ranks, of which it is a multiple.
        description (str): of the progress bar.

    Yields:
        Tensor: (n, 3, H, W), normalised; the views of a batch follow each other. A rank that has no
            image yields none.
    """
    model = unwrap_model(runner)
    assert isinstance(model, PiCIE)
    runner.train_dataloader.sampler.seed = runner.seed
    number = min(num_images, len(runner.train_dataloader.dataset))
    loader = build_clustering_loader(runner, batch_size, number)
    for batch in track(loader, description, len(loader)):
        for images in model.data_preprocessor(batch, False)['inputs'][: model.num_views]:
            yield model.fit_images(images)
