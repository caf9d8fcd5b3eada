"""Vision transformers of timm as backbones that give maps of their tokens."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader
from mmseg.registry import MODELS
from torch import Tensor, nn

TOKENS = ('patch', 'key')
#: Stands for the weights that timm downloads, as a value of ``weights``.
DOWNLOAD = 'timm'
# timm's files of transformers with tokens of class and patches, and maps of the latter.
_MODULES = ['deit', 'eva', 'vision_transformer']


@MODELS.register_module()
class TIMMViT(BaseModule):
    """Maps of the patch tokens of a vision transformer: DINO, DINOv2, DINOv3 and their like.

    mmseg's ``TIMMBackbone`` gives such maps too, but before the last norm, which timm leaves out of
    intermediate features unless it is told; and it cannot give keys. Class and register tokens are
    dropped. Position embeddings are fitted to any size and aspect whose sides are multiples of the
    patch; ``PiCIE`` and ``FrozenEncoder`` resize to such sides. Blocks behind the last one that is
    asked for are left out. To keep the transformer as it is, name it in ``frozen`` of ``PiCIE``.

    Args:
        model_name (str): timm's name, such as ``vit_small_patch14_dinov2``.
        out_indices (Sequence[int]): blocks that give a map each, from 0, or from the end if
            negative; of 12 blocks, 8 is the ninth.
        norm (bool): whether patch tokens pass the transformer's last LayerNorm, as DINO's own code
            has it. Of no matter for keys.
        tokens (str): 'patch', what a block returns, or 'key', the keys of its attention.
        weights (str, optional): a file of a state dict with timm's names, or of a segmentor with
            this backbone; 'timm' for those that timm downloads; None for random ones. Read by
            ``init_weights``, so not where a checkpoint is loaded anyway.
        options (dict, optional): further arguments of ``timm.create_model``, such as ``img_size``.

    Raises:
        ValueError: If timm has no such model, it is no vision transformer, a block does not exist,
            or another argument is out of range. On ``init_weights``, if the file is no such one.
    """

    def __init__(
        self,
        model_name: str,
        out_indices: Sequence[int] = (-1,),
        norm: bool = True,
        tokens: str = 'patch',
        weights: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(None)
        if tokens not in TOKENS:
            raise ValueError(f'tokens of TIMMViT must be one of {TOKENS}, but got {tokens!r}.')
        self.model_name, self.weights = model_name, weights
        self.norm, self.tokens = norm, tokens
        self._options = dict(options or {}, num_classes=0, dynamic_img_size=True)
        self.vit = self._create()
        number = len(self.vit.blocks)
        if not out_indices or any(not -number <= index < number for index in out_indices):
            raise ValueError(
                f'out_indices of TIMMViT must name blocks of {model_name} from 0 to {number - 1} '
                f'(or from -1 to {-number}), but got {tuple(out_indices)}.'
            )
        self.out_indices = tuple(index % number for index in out_indices)
        prune_norm = tokens == 'key' or not norm
        self.vit.prune_intermediate_layers(list(self.out_indices), prune_norm=prune_norm)

    def _create(self, pretrained: bool = False) -> Any:
        """Build timm's model, all of it."""
        import timm  # an optional dependency, which takes a second to import

        if not timm.is_model(self.model_name):
            near = ', '.join(timm.list_models(f'*{self.model_name.split(".")[0][:12]}*')[:5])
            raise ValueError(
                f'model_name of TIMMViT is {self.model_name!r}, which timm {timm.__version__} does '
                f'not know{"; it has " + near if near else ""}; see timm.list_models().'
            )
        name = self.model_name.split('.')[0]  # without the tag of the weights
        if not timm.models.is_model_in_modules(name, _MODULES):
            raise ValueError(
                f'model_name of TIMMViT must be a plain vision transformer, but is {name!r}; use '
                'TIMMBackbone for it.'
            )
        return timm.create_model(self.model_name, pretrained=pretrained, **self._options)

    @property
    def out_channels(self) -> int:
        """D, channels of each map."""
        return self.vit.embed_dim

    def init_weights(self) -> None:
        """Load the weights; all tensors of the blocks that are used must be there."""
        if self.weights is None:
            return
        if self.weights == DOWNLOAD:
            found = self._create(pretrained=True).state_dict()
        else:
            found = self._read(self.weights)
        wanted = self.vit.state_dict()
        wrong = [
            key
            for key, value in wanted.items()
            if getattr(found.get(key), 'shape', None) != value.shape
        ]
        if wrong:
            raise ValueError(
                f'weights of TIMMViT must hold the {len(wanted)} tensors of {self.model_name}, but '
                f'in {self.weights} {len(wrong)} are missing or of another shape, such as '
                f'{wrong[0]}; give the weights of this model, with the names that timm has.'
            )
        self.vit.load_state_dict({key: found[key] for key in wanted})
        print_log(f'TIMMViT: {len(wanted)} tensors of {self.weights}.', logger='current')

    def _read(self, path: str) -> dict[str, Tensor]:
        """Read a file of weights, with timm's names or as a part of a segmentor."""
        if '://' not in path and not Path(path).is_file():
            raise FileNotFoundError(
                f'backbone.weights names the file {path!r}, which does not exist; give the path of '
                f"the weights, '{DOWNLOAD}' to have timm download them, or None for random ones."
            )
        checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
        found = checkpoint.get('state_dict', checkpoint)
        for prefix in ('backbone.vit.', 'vit.'):
            inside = {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}
            if inside:
                return inside
        return found

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps of images (N, 3, H, W), whose sides are multiples of the patch.

        Returns:
            tuple[Tensor, ...]: (N, D, h, w) for each of ``out_indices``, h and w being the sides
                in patches.
        """
        if self.tokens == 'patch':
            maps = self.vit.forward_intermediates(
                images, list(self.out_indices), norm=self.norm, intermediates_only=True
            )
            in_order = dict(zip(sorted(set(self.out_indices)), maps, strict=True))
            return tuple(in_order[index] for index in self.out_indices)
        keys = self._forward_keys(images)
        height, width = self.vit.patch_embed.dynamic_feat_size(images.shape[2:])
        return tuple(
            keys[index][:, self.vit.num_prefix_tokens :].mT.unflatten(2, (height, width))
            for index in self.out_indices
        )

    def _forward_keys(self, images: Tensor) -> dict[int, Tensor]:
        """Keys (N, L, D) of all tokens, before they are split into attention's heads."""
        keys: dict[int, Tensor] = {}

        def remember(index: int, attention: nn.Module, tokens: Tensor) -> None:
            keys[index] = _keys(attention, tokens)

        handles = [
            self.vit.blocks[index].attn.register_forward_pre_hook(
                lambda attention, inputs, index=index: remember(index, attention, inputs[0])
            )
            for index in set(self.out_indices)
        ]
        try:
            self.vit.forward_features(images)
        finally:
            for handle in handles:
                handle.remove()
        return keys


def _keys(attention: Any, tokens: Tensor) -> Tensor:
    """Keys of an attention layer of timm, whose projections are one matrix or three."""
    if attention.qkv is None:
        return attention.k_proj(tokens)
    size = len(attention.qkv.weight) // 3
    rows = slice(size, 2 * size)  # between queries and values
    bias = None if attention.qkv.bias is None else attention.qkv.bias[rows]
    return F.linear(tokens, attention.qkv.weight[rows], bias)
