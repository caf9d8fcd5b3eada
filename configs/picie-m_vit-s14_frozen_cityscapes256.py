"""PiCIE-M on frozen DINOv2 ViT-S/14 on Cityscapes-27 squashed to 256 x 256.

Recipe: docs/recipes.md (principal decoder, merged centroids); it is not in the paper.
Command: python tools/train.py configs/picie-m_vit-s14_frozen_cityscapes256.py
timm downloads the weights from its hub; model.backbone.weights=FILE takes them from a file.
"""

_base_ = './picie_vit-s14_frozen_cityscapes256.py'

model = dict(decode_head=dict(centroids_per_cluster=5))
default_hooks = dict(
    decoder=dict(type='PrincipalDecoderHook'),
    clustering=dict(warm_start=True, num_clusterings=2),
)
