"""PiCIE-M with EfficientNet-Lite0 on a folder of your own images, without annotations.

Recipe: docs/recipes.md (principal decoder, merged centroids); it is not in the paper.
Command: python tools/train.py configs/picie-m_fpn_efficientnet-lite0_folder.py
  --cfg-options train_dataloader.dataset.data_root=FOLDER model.decode_head.num_clusters=12
"""

_base_ = './picie_fpn_efficientnet-lite0_folder.py'

model = dict(decode_head=dict(centroids_per_cluster=5))
default_hooks = dict(
    decoder=dict(type='PrincipalDecoderHook'),
    clustering=dict(warm_start=True, num_clusterings=2),
)
