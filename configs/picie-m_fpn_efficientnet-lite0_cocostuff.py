"""PiCIE-M with EfficientNet-Lite0 on COCO-Stuff-27.

Recipe: docs/recipes.md (principal decoder, merged centroids); it is not in the paper.
Command: python tools/train.py configs/picie-m_fpn_efficientnet-lite0_cocostuff.py
"""

_base_ = './backbones/picie_fpn_efficientnet-lite0_cocostuff.py'

model = dict(decode_head=dict(centroids_per_cluster=5))
default_hooks = dict(
    decoder=dict(type='PrincipalDecoderHook'),
    clustering=dict(warm_start=True, num_clusterings=2),
)
