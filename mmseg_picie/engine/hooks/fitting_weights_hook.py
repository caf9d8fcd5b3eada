"""Refuse weights that leave a part of the model as it was made."""

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from ...models import PiCIE
from ..distributed import unwrap_model


class FittingWeightsHook(Hook):
    """Compares a checkpoint with the model before mmengine loads what happens to fit.

    A model that is only scored needs all of its tensors; one that is trained may take over a part.
    :class:`PiCIE` compares by itself, however it is loaded.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names and shapes.

        Raises:
            ValueError: If nothing fits, or, without a training, something is missing.
        """
        model = unwrap_model(runner)
        if isinstance(getattr(model, 'module', model), PiCIE):
            return
        weights = checkpoint.get('state_dict', checkpoint)
        shapes = {
            name.removeprefix('module.'): getattr(value, 'shape', None)
            for name, value in weights.items()
        }
        own = {
            name.removeprefix('module.'): value.shape
            for name, value in model.state_dict().items()
            if not name.endswith('num_batches_tracked')
        }
        wrong = [name for name, shape in own.items() if shapes.get(name) != shape]
        is_training = isinstance(runner._train_loop, BaseLoop)
        if wrong and (not is_training or len(wrong) == len(own)):
            raise ValueError(
                f'the checkpoint does not fit the model of the config: of {len(own)} tensors, '
                f'{len(wrong)} are missing or of another shape, such as {wrong[0]}; give the '
                'config that it was trained with.'
            )
