"""PiCIE-M with EfficientNet-Lite0 on CamVid, 11 classes, at 160 x 160.

Recipe: docs/recipes.md (principal decoder, merged centroids); it is not in the paper.
Command: python tools/train.py configs/picie-m_fpn_efficientnet-lite0_camvid.py
"""

_base_ = './picie_fpn_efficientnet-lite0_camvid.py'

model = dict(decode_head=dict(centroids_per_cluster=5))
default_hooks = dict(
    decoder=dict(type='PrincipalDecoderHook'),
    clustering=dict(warm_start=True, num_clusterings=2),
)
