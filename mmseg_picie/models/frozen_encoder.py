"""The encoder of a trained PiCIE as a backbone that does not learn."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.runner.checkpoint import CheckpointLoader
from mmseg.registry import MODELS
from torch import Tensor, nn

from .stride import StrideFitting


@MODELS.register_module()
class FrozenEncoder(StrideFitting, BaseModule):
    """Backbone and decoder of a checkpoint, fixed, with unit-length features: for linear probes.

    It has no gradients and stays in eval mode, so normalisation statistics do not move either. Any
    mmseg head learns on top of it.

    Args:
        backbone (dict): config of the backbone, as in the checkpoint's own config.
        neck (dict, optional): config of the decoder; None for the backbone alone.
        init_cfg (dict, optional): ``dict(type='Pretrained', checkpoint=FILE)``, a checkpoint of a
            segmentor with this backbone and decoder.

    Raises:
        ValueError: On ``init_weights``, if the checkpoint lacks weights of the encoder.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any],
        neck: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(None if init_cfg is None else dict(init_cfg))
        # Its own source of weights would be overwritten.
        self.backbone = MODELS.build({**backbone, 'init_cfg': None})
        self.neck = nn.Identity() if neck is None else MODELS.build(dict(neck))
        self.requires_grad_(False)
        self.eval()

    def init_weights(self) -> None:
        """Load the encoder's weights; all of them must be there."""
        if self.init_cfg is None:
            super().init_weights()
            return
        path = self.init_cfg['checkpoint']
        checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
        weights = checkpoint.get('state_dict', checkpoint)
        wanted = self.state_dict()
        wrong = [
            key
            for key, value in wanted.items()
            if key not in weights or weights[key].shape != value.shape
        ]
        if wrong:
            raise ValueError(
                f'init_cfg.checkpoint of FrozenEncoder must hold its {len(wanted)} tensors, but in '
                f'{path} {len(wrong)} are missing or of another shape, such as {wrong[0]}; give a '
                'checkpoint that was trained with this backbone and neck.'
            )
        self.load_state_dict({key: weights[key] for key in wanted})
        print_log(f'FrozenEncoder: {len(wanted)} tensors of {path}.', logger='current')

    def train(self, mode: bool = True) -> 'FrozenEncoder':
        """Stay in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Unit-length features of normalised images (N, 3, H, W), of any size.

        Returns:
            tuple[Tensor, ...]: the decoder's maps (N, D, h, w).
        """
        levels = self.neck(self.backbone(self.fit_images(images)))
        return tuple(F.normalize(level, dim=1) for level in levels)
