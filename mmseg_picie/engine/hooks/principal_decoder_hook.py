"""How a decoder begins."""

import torch
from mmengine.dist import all_reduce, broadcast, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor

from ...clustering import Moments, moments, principal_projection
from ...models import PiCIE, SumFPN
from ..clustering_pass import build_clustering_loader
from ..distributed import unwrap_model
from ..progress import track


@HOOKS.register_module()
class PrincipalDecoderHook(Hook):
    """Begins the decoder with principal components, in place of random weights.

    A random decoder mixes the levels of the backbone by the size of their numbers, so the first
    clusters, which the training makes firm, are those of one level. Before the first epoch this
    hook looks at a few training images and sets the weights of ``SumFPN`` to those of
    :func:`principal_projection`: all levels weigh the same, and as much is kept of them as D
    channels can keep. It is not in the paper.

    Nothing is done when a run is resumed or starts from another checkpoint (``load_from``). A
    function of the backbone's weights and the seed alone.

    Args:
        num_images (int): training images that are looked at, or all if there are fewer.
        pixels_per_image (int): pixels of each of their maps, chosen at random, or all.
        batch_size (int): images that are forwarded at once, over all ranks: equally many on each,
            and at least one.

    Raises:
        ValueError: If an argument is less than 1, the neck is not a ``SumFPN``, or it has more
            channels than the backbone.
    """

    def __init__(
        self, num_images: int = 128, pixels_per_image: int = 1000, batch_size: int = 16
    ) -> None:
        given = dict(
            num_images=num_images, pixels_per_image=pixels_per_image, batch_size=batch_size
        )
        for name, value in given.items():
            if value < 1:
                raise ValueError(
                    f'{name} of PrincipalDecoderHook must be at least 1, but got {value}.'
                )
        self.num_images = num_images
        self.pixels_per_image = pixels_per_image
        self.batch_size = batch_size

    @torch.no_grad()
    def before_train(self, runner: Runner) -> None:
        """Set the decoder's weights, unless there are some already."""
        model = unwrap_model(runner)
        neck = getattr(model, 'neck', None)
        if not isinstance(model, PiCIE) or not isinstance(neck, SumFPN):
            raise ValueError(
                'PrincipalDecoderHook sets the weights of a SumFPN of PiCIE, but the neck is '
                f'{type(neck).__name__}; set neck.type to SumFPN, or take the hook out of '
                'default_hooks.'
            )
        if runner.iter or runner._has_loaded:
            return
        found = self._look_at(runner, model, neck)
        projection = principal_projection(found, neck.in_channels, neck.out_channels)
        neck.project(*projection)
        for parameter in neck.parameters():
            broadcast(parameter.data)  # rank 0's, to the last bit
        runner.logger.info(
            f'The decoder begins with the {neck.out_channels} leading principal components of '
            f'{sum(neck.in_channels)} channels, over {int(found.pixels)} pixels.'
        )

    def _look_at(self, runner: Runner, model: PiCIE, neck: SumFPN) -> Moments:
        """Moments of the stacked levels of all views, over all ranks."""
        runner.train_dataloader.sampler.seed = runner.seed
        number = min(self.num_images, len(runner.train_dataloader.dataset))
        ranks = get_world_size()
        share = max(1, self.batch_size // ranks)  # sums do not depend on it
        loader = build_clustering_loader(runner, share * ranks, number)
        generator = torch.Generator().manual_seed(runner.seed)
        was_training = model.training
        model.eval()
        total: Moments | None = None
        for batch in track(loader, 'Looking at features', len(loader)):
            for images in model.data_preprocessor(batch, False)['inputs'][: model.num_views]:
                maps = model.backbone(model.fit_images(images))
                chosen = self._choose(maps[0], generator)
                for i in range(len(images)):  # all levels at the size of the finest are large
                    stacked = neck.stack([level[i : i + 1].float() for level in maps])
                    part = moments(stacked.flatten(2)[0, :, chosen].mT)
                    pairs = zip(total, part, strict=True) if total else None
                    total = Moments(*(a + b for a, b in pairs)) if pairs else part
        model.train(was_training)
        width = sum(neck.in_channels)
        if total is None:  # of a rank that has no image
            total = moments(next(model.parameters()).new_zeros(0, width))
        for tensor in total:
            all_reduce(tensor)
        return total

    def _choose(self, level: Tensor, generator: torch.Generator) -> Tensor:
        """Numbers of pixels of a map (N, C, H, W), alike for the images of a batch."""
        number = level.shape[2] * level.shape[3]
        chosen = torch.randperm(number, generator=generator)[: self.pixels_per_image]
        return chosen.to(level.device)
